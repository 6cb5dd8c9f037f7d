"""What a scorer is.

Public surface: ``Answer``, ``Scored``, ``Unscored``, ``Score``, ``ScorerConfigError``, ``Scorer``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from evaluations.enums import Outcome


class ScorerConfigError(ValueError):
    """A configuration that can never score anything; the message names the key at fault."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a scorer may look at: the answer, the reference and the request it answers."""

    text: str
    reference: Any = None  # None: the sample has no reference
    message: Mapping[str, Any] | None = None  # assistant message in OpenAI chat form
    request: Mapping[str, Any] = field(default_factory=dict)
    outcome: Outcome = Outcome.OK


@dataclass(frozen=True, slots=True)
class Scored:
    """A value in [0, 1], higher is better; pass/fail scorers use exactly 0 and 1."""

    value: float
    detail: str = ""  # one short sentence for the page: what was compared


@dataclass(frozen=True, slots=True)
class Unscored:
    """The scorer could not judge (no reference, a pattern that took too long, ...). Not the same as zero."""

    reason: str


Score = Scored | Unscored


class Scorer(Protocol):
    """One scoring rule. ``validate`` runs when a plan is written; ``score`` never raises for a valid config."""

    key: str
    version: str
    binary: bool  # True: every value is 0 or 1, so the comparison is of pass rates
    scores_truncated: bool  # True: an answer cut at the output limit is still judged

    def validate(self, config: Mapping[str, Any]) -> None: ...

    def score(self, answer: Answer, config: Mapping[str, Any]) -> Score: ...
