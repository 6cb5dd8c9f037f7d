"""Browser sessions, and a pilot with an ended replay, for tests of the pages."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from evaluations.models import ReplayRun
from evaluations.simulator.server import SimulatedVendors
from pilots.models import Pilot
from pilots.services.lifecycle import open_pilot
from pilots.services.planning import freeze_pilot_plan
from pilots.services.replays import start_replay
from tests import factories as make
from tests.pilots.exporters.replayed import work
from tests.replays import ready_plan, vendors

# Of the Reports area, by URL name.
REPORT_PAGES = ("retention", "rollback-reasons", "predictiveness", "costs", "savings", "drift", "claims")


def session(person: User) -> Client:
    client = Client()
    client.force_login(person)
    return client


def planned_pilot(url: str = "http://127.0.0.1:9", **plan: Any) -> Pilot:
    """A pilot of team ``support`` with a frozen plan and samples; nothing listens at its endpoints."""
    ready = ready_plan(url, **plan)
    at = timezone.now() - timedelta(days=1)
    pilot = open_pilot(
        by=make.actor(),
        at=at,
        slug="triage-to-new",
        workload=ready.workload,
        incumbent=ready.incumbent_model,
        candidate=ready.candidate_model,
        plan=ready,
    )
    freeze_pilot_plan(pilot=pilot, by=make.actor(), at=at)
    return pilot


def evaluated_pilot(*, n: int = 5, behaviours: dict[str, Any] | None = None) -> tuple[Pilot, ReplayRun]:
    """The same after one replay, run to its end against simulated vendors."""
    with SimulatedVendors(vendors(**(behaviours or {}))) as simulated:
        pilot = planned_pilot(simulated.url, n=n)
        run = start_replay(pilot=pilot, by=make.actor(), at=timezone.now(), enqueue=False)
        work(run)
    return pilot, ReplayRun.objects.get(pk=run.pk)
