"""The first number of the reply equals that of the reference. Public surface: ``Numeric``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from evaluations.scorers.base import Answer, Score, Unscored
from evaluations.scorers.config import known_keys
from evaluations.scorers.numbers import close, first_number, tolerance_of
from evaluations.scorers.text import shown, verdict


class Numeric:
    """``{tolerance: 0}``: the first numbers of both sides differ by at most ``tolerance`` (absolute)."""

    key = "numeric"
    version = "1"
    binary = True
    scores_truncated = False

    def validate(self, config: Mapping[str, Any]) -> None:
        known_keys(config, "tolerance")
        tolerance_of(config)

    def score(self, answer: Answer, config: Mapping[str, Any]) -> Score:
        expected = first_number(answer.reference)
        if expected is None:
            return Unscored("no_reference" if answer.reference is None else "reference_not_numeric")
        given = first_number(answer.text)
        if given is None:
            return verdict(False, "no number in the reply")
        passed = close(given, expected, tolerance_of(config))
        return verdict(passed, f"{shown(str(given))} against {shown(str(expected))}")
