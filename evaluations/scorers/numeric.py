"""The first number of the reply equals that of the reference. Public surface: ``Numeric``."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from evaluations.scorers.base import Answer, Score, ScorerConfigError, Unscored
from evaluations.scorers.config import known_keys
from evaluations.scorers.numbers import close, first_number
from evaluations.scorers.text import shown, verdict


class Numeric:
    """``{tolerance: 0}``: the first numbers of both sides differ by at most ``tolerance`` (absolute)."""

    key = "numeric"
    version = "1"
    binary = True
    scores_truncated = False

    def validate(self, config: Mapping[str, Any]) -> None:
        known_keys(config, "tolerance")
        _tolerance(config)

    def score(self, answer: Answer, config: Mapping[str, Any]) -> Score:
        expected = first_number(answer.reference)
        if expected is None:
            return Unscored("no_reference" if answer.reference is None else "reference_not_numeric")
        given = first_number(answer.text)
        if given is None:
            return verdict(False, "no number in the reply")
        passed = close(given, expected, _tolerance(config))
        return verdict(passed, f"{shown(str(given))} against {shown(str(expected))}")


def _tolerance(config: Mapping[str, Any]) -> Decimal:
    value = config.get("tolerance", 0)
    number = first_number(value) if isinstance(value, int | float | str) else None
    try:
        exact = Decimal(str(value))
    except ArithmeticError:
        exact = None
    if number is None or number != exact or number < 0:
        raise ScorerConfigError("'tolerance' must be a number of 0 or more")
    return number
