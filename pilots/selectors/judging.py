"""What the judge of a pilot's plan says, and how far it is. Public surface: ``pilot_judge``, ``PilotJudge``,
``JudgingLine``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from evaluations.enums import JudgeMode, RunStatus
from evaluations.models import ReplayRun
from evaluations.selectors.judge_figures import stored_judge
from pilots.models import Pilot
from pilots.selectors.evidence import CriterionRow, criterion_rows
from pilots.selectors.reviews import NOT_OF_PREFERENCE, reviewed_version

NEWEST = 5


@dataclass(frozen=True, slots=True)
class JudgingLine:
    """The judging of one replay."""

    pk: int
    run: int  # the replay whose answers are judged
    status: RunStatus
    status_reason: str  # ''
    done: int  # answers of the judge, two a sample
    total: int
    spent: Decimal
    budget: Decimal
    currency: str

    @property
    def goes_on(self) -> bool:
        return self.status in (RunStatus.PENDING, RunStatus.RUNNING)

    @property
    def resumable(self) -> bool:
        return not self.goes_on and self.status is not RunStatus.FINISHED


@dataclass(frozen=True, slots=True)
class PilotJudge:
    model: str
    mode: JudgeMode
    rubric: str
    row: CriterionRow | None  # None: it has not been read yet
    document: Mapping[str, Any] | None
    judgings: tuple[JudgingLine, ...]  # the newest
    unjudged: tuple[int, ...]  # finished replays that it was not asked about, the newest

    @property
    def unscored(self) -> tuple[tuple[str, int], ...]:
        """Why answers of the judge say nothing, and how many."""
        return () if self.document is None else tuple(self.document["unscored"].items())


def pilot_judge(pilot: Pilot) -> PilotJudge | None:
    """Of the newest plan version with an ended replay; None: there is none, or its plan has no judge."""
    version = reviewed_version(pilot)
    if version is None or version.document["judge"] is None:
        return None
    judge, document = version.document["judge"], stored_judge(version)
    replays = ReplayRun.objects.filter(plan_version=version, judges=None, status=RunStatus.FINISHED, done__gt=0)
    unjudged = replays.filter(judging=None).order_by("-pk").values_list("pk", flat=True)[:NEWEST]
    judgings = ReplayRun.objects.filter(plan_version=version, judges__isnull=False).order_by("-pk")[:NEWEST]
    return PilotJudge(
        model=judge["model"],
        mode=JudgeMode(judge["mode"]),
        rubric=judge["rubric"],
        row=None if document is None else criterion_rows([{**NOT_OF_PREFERENCE, **document}])[0],
        document=document,
        judgings=tuple(
            JudgingLine(
                pk=row.pk,
                run=row.judges_id or 0,
                status=row.status,
                status_reason=row.status_reason,
                done=row.done,
                total=row.total,
                spent=row.spent_amount,
                budget=row.budget_amount,
                currency=row.currency,
            )
            for row in judgings
        ),
        unjudged=tuple(unjudged),
    )
