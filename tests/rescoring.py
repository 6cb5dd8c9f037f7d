"""A newer version of an installed scorer, for tests of judging again.

Public surface: ``install_newer``, ``judged_run``, ``said``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from evaluations.enums import ArmRole, Outcome
from evaluations.models import Plan, ReplayRun
from evaluations.scorers.base import Answer, Score
from evaluations.scorers.regex import Regex
from evaluations.scorers.registry import SCORERS
from evaluations.scorers.text import verdict
from tests.replays import concluded, start


class Stricter(Regex):
    """Passes only what says yes, whatever the pattern."""

    version = "2"

    def score(self, answer: Answer, config: Mapping[str, Any]) -> Score:
        return verdict(answer.text == "yes", "by version 2")


def install_newer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Version 2 of ``regex``, as after an upgrade of its distribution."""
    monkeypatch.setitem(SCORERS._by_key, "regex", Stricter())  # type: ignore[arg-type]


def said(role: ArmRole, position: int) -> tuple[Outcome, str]:
    """The incumbent always says yes, the candidate every other time no; version 1 passes both."""
    return Outcome.OK, "no" if role is ArmRole.CANDIDATE and position % 2 else "yes"


def judged_run(plan: Plan, **options: Any) -> ReplayRun:
    """A run that has ended, with its verdict by version 1."""
    return concluded(start(plan, **options), said)
