"""A vendor that discloses no price: the evidence page says under which price the agreed criterion would be met."""

from __future__ import annotations

from decimal import Decimal

import pytest
from django.urls import reverse
from django.utils import timezone
from django.utils.html import escape

from evaluations.models import Price, Team
from evaluations.services.plan_document import CriterionEntry
from evaluations.simulator.server import SimulatedVendors
from pilots.services.replays import start_replay
from tests import factories as make
from tests.pilots.exporters.replayed import work
from tests.pilots.views.people import planned_pilot, session
from tests.replays import vendors, with_criteria


@pytest.mark.django_db(transaction=True)
def test_the_evidence_page_names_the_price_that_an_undisclosed_candidate_must_stay_under() -> None:
    with SimulatedVendors(vendors()) as simulated:
        pilot = planned_pilot(simulated.url, n=40, assume_per_mtok={"input": Decimal(1), "output": Decimal(1)})
        Price.objects.filter(model__slug="new").delete()
        with_criteria(pilot.plan, CriterionEntry(metric="cost_per_request", max_ratio=Decimal("0.9")))  # type: ignore[arg-type]
        run = start_replay(pilot=pilot, by=make.actor(), at=timezone.now(), enqueue=False)
        work(run)
    document = run.comparisons.get().document
    price = Decimal(document["break_even"]["output_per_mtok"])
    named = f"new must stay under ${price:.2f} per million output tokens to meet the criterion"
    page = session(make.member(Team.objects.get())).get(reverse("pilots:evidence", args=[pilot.slug]))
    assert named in document["sentence"]
    assert escape(document["sentence"]) in page.content.decode()
