"""The reply matches a pattern. Public surface: ``Regex``, ``matches``, ``compiled``."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import regex

from evaluations.scorers.base import Answer, Score, ScorerConfigError, Unscored
from evaluations.scorers.config import known_keys, text_of_length
from evaluations.scorers.text import verdict

LONGEST_PATTERN = 500
TIMEOUT_SECONDS = 0.1


@lru_cache(maxsize=256)
def compiled(pattern: str) -> regex.Pattern[str]:
    """The compiled pattern. Raises ``ScorerConfigError`` when it is not one."""
    try:
        return regex.compile(pattern)
    except (regex.error, RecursionError, OverflowError) as error:
        raise ScorerConfigError(f"'pattern' is not a valid pattern: {error}") from None


def matches(pattern: str, text: str, timeout_seconds: float = TIMEOUT_SECONDS) -> bool:
    """Whether the pattern is found anywhere in the text. Raises ``TimeoutError`` when that takes too long."""
    return compiled(pattern).search(text, timeout=timeout_seconds) is not None


class Regex:
    """``{pattern}``: the pattern is found in the reply (anchor it for a full match); needs no reference.

    A pattern that takes more than 0.1 s gives ``Unscored("scorer_timeout")``: it says nothing about the reply.
    """

    key = "regex"
    version = "1"
    binary = True
    scores_truncated = False

    def validate(self, config: Mapping[str, Any]) -> None:
        known_keys(config, "pattern")
        compiled(text_of_length(config, "pattern", LONGEST_PATTERN))

    def score(self, answer: Answer, config: Mapping[str, Any]) -> Score:
        try:
            found = matches(config["pattern"], answer.text)
        except TimeoutError:
            return Unscored("scorer_timeout")
        return verdict(found, "pattern found" if found else "pattern not found")
