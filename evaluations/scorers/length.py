"""The reply is neither too short nor too long. Public surface: ``Length``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from evaluations.scorers.base import Answer, Score, ScorerConfigError
from evaluations.scorers.config import choice, known_keys
from evaluations.scorers.text import verdict
from evaluations.scorers.words import words

_UNITS = ("words", "characters")
_LONGEST = 10_000_000


class Length:
    """``{minimum, maximum, unit: words | characters}``: the length lies within the bounds; one of them is enough.

    Needs no reference. Characters are counted without white space at either end; where a script puts no space between
    words, every character counts as a word.
    """

    key = "length"
    version = "1"
    binary = True
    scores_truncated = False

    def validate(self, config: Mapping[str, Any]) -> None:
        known_keys(config, "minimum", "maximum", "unit")
        choice(config, "unit", _UNITS)
        minimum, maximum = (_bound(config, key) for key in ("minimum", "maximum"))
        if minimum is None and maximum is None:
            raise ScorerConfigError("'minimum' or 'maximum' is needed")
        if minimum is not None and maximum is not None and minimum > maximum:
            raise ScorerConfigError("'maximum' is below 'minimum'")

    def score(self, answer: Answer, config: Mapping[str, Any]) -> Score:
        unit = choice(config, "unit", _UNITS)
        length = len(answer.text.strip()) if unit == "characters" else len(words(answer.text))
        minimum, maximum = _bound(config, "minimum"), _bound(config, "maximum")
        fits = (minimum is None or length >= minimum) and (maximum is None or length <= maximum)
        return verdict(fits, f"{length:,} {unit}")


def _bound(config: Mapping[str, Any], key: str) -> int | None:
    value = config.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= _LONGEST:
        raise ScorerConfigError(f"{key!r} must be a whole number from 0 to {_LONGEST}")
    return value
