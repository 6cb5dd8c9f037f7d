"""What a model judges of a run: read it, begin it, stop it and go on with it."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from django.shortcuts import get_object_or_404
from rest_framework.request import Request

from evaluations.enums import RunTrigger, TeamRole
from evaluations.models import ReplayRun
from evaluations.selectors.progress import judging_document
from evaluations.services.replays import cancel_run, resume_run, settle_run
from evaluations.tasks import hint
from pilots.api.base import operation
from pilots.api.pilots import MANAGER
from pilots.api.runs import OfARun, Resumption
from pilots.api.shapes import JudgingDocument
from pilots.services.replays import have_judged


class OfAJudging(OfARun):
    def judging(self, pk: int, *, managed: bool = False) -> ReplayRun:
        """The judging of that run. Raises ``Http404``, ``NotAllowed``."""
        related = ("plan_version__plan__workload__team", "sample_set")
        found = get_object_or_404(self.access.judgings().select_related(*related), judges=pk)
        if managed:
            self.allow(self.access.has_role(found.plan_version.plan.workload.team, TeamRole.MANAGER), MANAGER)
            self.versioned = found
        return found


class RunJudging(OfAJudging):
    @operation(
        "read_judging", "Read what the plan's model judge says of a run, and how far it is", answers=JudgingDocument
    )
    def get(self, request: Request, pk: int) -> dict[str, Any]:
        return judging_document(self.judging(pk))

    @operation(
        "start_judging",
        "Have the plan's model judge the answers of a finished run, under the judge's own budget",
        answers=JudgingDocument,
        status=HTTPStatus.ACCEPTED,
    )
    def post(self, request: Request, pk: int) -> dict[str, Any]:
        run = self.run(pk, managed=True)
        return judging_document(have_judged(run=run, by=self.actor, at=self.now, trigger=RunTrigger.API))


class CancelJudging(OfAJudging):
    @operation("cancel_judging", "Cancel a judging: calls in flight are settled, answers stay", answers=JudgingDocument)
    def post(self, request: Request, pk: int) -> dict[str, Any]:
        judging = self.judging(pk, managed=True)
        cancel_run(run=judging, by=self.actor, at=self.now)
        settle_run(run=judging, at=self.now)
        return judging_document(judging)


class ResumeJudging(OfAJudging):
    @operation(
        "resume_judging",
        "Resume a stopped judging, under a new cap where its budget stopped it",
        answers=JudgingDocument,
        status=HTTPStatus.ACCEPTED,
        body=Resumption,
    )
    def post(self, request: Request, pk: int, body: Resumption) -> dict[str, Any]:
        judging = self.judging(pk, managed=True)
        resume_run(run=judging, by=self.actor, at=self.now, budget=body.budget)
        hint(judging.pk, chunks=1)
        return judging_document(judging)
