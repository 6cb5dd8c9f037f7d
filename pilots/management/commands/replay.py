"""``replay PILOT``: replay both arms on the workload's samples."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from evaluations.enums import RunTrigger
from evaluations.management.base import amount
from evaluations.management.waiting import wait_for
from evaluations.models import SampleSet
from evaluations.selectors.consent import refusals
from evaluations.selectors.estimates import estimate_replay
from evaluations.selectors.progress import run_document
from evaluations.services.errors import Refused
from evaluations.services.replays import newest_set
from pilots.management.base import PilotCommand
from pilots.services.replays import start_replay


class Command(PilotCommand):
    help = "Replay a pilot's samples against both models."
    name = "replay"

    def arguments(self, parser: CommandParser) -> None:
        parser.add_argument("pilot")
        parser.add_argument("--set", type=int, dest="sample_set", metavar="ID", help="default: the workload's newest")
        parser.add_argument("--take", type=int, metavar="N", help="N samples that this plan has not replayed yet")
        parser.add_argument("--repeats", type=int, default=1, metavar="R")
        parser.add_argument("--budget", metavar="USD", help="hard cap of this run; default: the plan's")
        parser.add_argument("--estimate", action="store_true", help="say what it would take, and stop")
        parser.add_argument("--wait", action="store_true", help="work on it here until it ends")

    def run(self, **options: Any) -> tuple[Any, bool]:
        pilot = self.pilot(options["pilot"])
        if pilot.plan is None:
            raise Refused(f"pilot {pilot.slug} has no plan", field="pilot")
        sample_set = None
        if options["sample_set"] is not None:
            sample_set = SampleSet.objects.filter(pk=options["sample_set"]).first()
            if sample_set is None:
                raise Refused(f"no sample set {options['sample_set']}", field="--set")
        if options["estimate"]:
            estimate = estimate_replay(
                plan=pilot.plan,
                sample_set=newest_set(pilot.plan, sample_set),
                take=options["take"],
                repeats=options["repeats"],
                budget=amount(options["budget"], field="--budget"),
                at=self.now,
            )
            for sentence in estimate.warnings:
                self.progress(sentence)
            return estimate.to_document(), True
        run = start_replay(
            pilot=pilot,
            by=self.actor,
            at=self.now,
            sample_set=sample_set,
            take=options["take"],
            repeats=options["repeats"],
            budget=amount(options["budget"], field="--budget"),
            trigger=RunTrigger.COMMAND,
        )
        for role, refusal in refusals(pilot.plan, at=self.now).items():
            self.progress(f"no sample will be sent to the {role}: {refusal}")
        finished = wait_for(run, say=self.progress) if options["wait"] else True
        return run_document(run), finished
