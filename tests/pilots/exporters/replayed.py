"""A pilot with an ended replay against simulated vendors, for tests of what is exported of it."""

from datetime import timedelta

from django.utils import timezone

from evaluations.models import ReplayRun
from evaluations.services.replays import settle_run
from evaluations.services.work import work_once
from evaluations.simulator.server import SimulatedVendors
from pilots.models import Pilot
from pilots.services import lifecycle
from tests import factories as make
from tests.replays import ready_plan, start, vendors


def replayed_pilot(slug: str = "triage-to-new", *, behaviours: dict | None = None, **plan: object) -> Pilot:
    """Opened, planned, replayed to its end and cut over; the samples ask 'What is 1 plus 1?' and so on."""
    with SimulatedVendors(vendors(**(behaviours or {}))) as simulated:
        planned = ready_plan(simulated.url, **plan)
        pilot = lifecycle.open_pilot(
            by=make.actor(),
            at=timezone.now() - timedelta(days=1),
            slug=slug,
            workload=planned.workload,
            incumbent=planned.incumbent_model,
            candidate=planned.candidate_model,
            plan=planned,
        )
        work(start(planned))
    lifecycle.record_cutover(pilot=pilot, by=make.actor(), at=timezone.now())
    return pilot


def work(run: ReplayRun) -> None:
    while work_once(run=run) is not None:
        pass
    settle_run(run=run, at=timezone.now())
