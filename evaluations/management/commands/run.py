"""``run RUN_ID``: look at, wait for, cancel or resume a run, or judge its answers again."""

from __future__ import annotations

import time
from typing import Any

from django.core.management.base import CommandParser
from django.utils import timezone

from evaluations.enums import RunStatus
from evaluations.management.base import PilotsCommand, amount
from evaluations.management.waiting import wait_for
from evaluations.models import ReplayRun, Rescoring
from evaluations.selectors.progress import judging_document, run_document
from evaluations.services.errors import Conflict, Refused
from evaluations.services.replays import cancel_run, resume_run, settle_run
from evaluations.services.rescoring import rescore_run, rescoring_document, settle_rescoring
from evaluations.tasks import hint

BADLY = (RunStatus.FAILED, RunStatus.STOPPED_BY_BUDGET)


class Command(PilotsCommand):
    help = "Look at a replay run or a judging, or wait for, cancel or resume it, or score a run's answers again."
    name = "run"

    def arguments(self, parser: CommandParser) -> None:
        parser.add_argument("run_id", type=int)
        parser.add_argument("--wait", action="store_true", help="work on it here until it ends")
        parser.add_argument("--budget", metavar="AMOUNT", help="with --resume: the new cap")
        change = parser.add_mutually_exclusive_group()
        change.add_argument("--cancel", action="store_true")
        change.add_argument("--resume", action="store_true")
        change.add_argument(
            "--rescore",
            action="store_true",
            help="judge its answers by the plan as frozen now; no call, after the fact",
        )

    def run(self, **options: Any) -> tuple[Any, bool]:
        run = ReplayRun.objects.filter(pk=options["run_id"]).first()
        if run is None:
            raise Refused(f"no run {options['run_id']}", field="run_id")
        if options["budget"] is not None and not options["resume"]:
            raise Refused("is the new cap of --resume", field="--budget")
        if options["rescore"] and run.judges_id is not None:
            raise Refused("a judging has no scores", field="--rescore")
        if options["rescore"]:
            return self._rescored(run), True
        if options["cancel"]:
            cancel_run(run=run, by=self.actor, at=self.now)
            settle_run(run=run, at=self.now)
            return _document(run), True
        if options["resume"]:
            resume_run(run=run, by=self.actor, at=self.now, budget=amount(options["budget"], field="--budget"))
            hint(run.pk, chunks=run.arms.count())
        if options["wait"]:
            finished = wait_for(run, say=self.progress)
            return _document(run), finished
        run.refresh_from_db()
        return _document(run), run.status not in BADLY

    def _rescored(self, run: ReplayRun) -> dict[str, Any]:
        """In this process, or by the worker that is at it already."""
        rescoring = rescore_run(run=run, by=self.actor, at=self.now)
        while rescoring.finished_at is None and not settle_rescoring(rescoring=rescoring, at=timezone.now()):
            self.progress(f"run {run.pk} is being judged by another process")
            time.sleep(1)
            try:
                rescoring.refresh_from_db()
            except Rescoring.DoesNotExist:
                raise Conflict("the run was resumed meanwhile") from None
        return rescoring_document(rescoring)


def _document(run: ReplayRun) -> dict[str, Any]:
    return run_document(run) if run.judges_id is None else judging_document(run)
