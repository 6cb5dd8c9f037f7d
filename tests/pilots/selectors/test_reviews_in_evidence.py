"""Human preference beside the criteria: in the report, in the workbook, and as a criterion of a frozen plan."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.utils import timezone

from evaluations.enums import CriterionRole, Preferred
from evaluations.models import Plan, PlanVersion, ReviewBatch
from evaluations.services.errors import Refused
from evaluations.services.plan_document import CriterionEntry, definition_of
from evaluations.services.review_batches import close_batch
from pilots.exporters.base import ExportRequest
from pilots.exporters.evidence import EvidenceExporter
from pilots.models import Pilot
from pilots.selectors.evidence_report import evidence
from pilots.selectors.filters import ReportFilters
from tests.pilots.views.people import planned_pilot
from tests.replays import BY, concluded, start, with_criteria
from tests.reviews import batch_of, people, prefer_all, said

pytestmark = pytest.mark.django_db


def reviewed(pilot: Pilot) -> ReviewBatch:
    """All eight samples judged: one for the incumbent, seven for the candidate; open."""
    assert pilot.plan is not None
    run = concluded(start(Plan.objects.get(pk=pilot.plan_id)), said)
    batch = batch_of(run.plan_version, people("ana"), size=8)
    prefer_all(batch, {0: Preferred.INCUMBENT})
    return batch


def reported(**filters: Any) -> Any:
    given = {name: [str(value)] for name, value in filters.items()}
    [pilot] = evidence(ReportFilters.parse(given, now=timezone.now())).to_document()["pilots"]
    return pilot["human_preference"]


def asked() -> ExportRequest:
    now = timezone.now()
    return ExportRequest(
        filters=ReportFilters.parse({}, now=now),
        pilots=Pilot.objects.all(),
        audience="full",
        who="ana",
        at=now,
        vendor="",
        may_read_content=lambda pilot: True,
    )


def test_the_report_says_what_people_prefer_once_a_batch_is_closed() -> None:
    batch = reviewed(planned_pilot(n=8))
    assert reported() is None
    close_batch(batch=batch, by=BY, at=timezone.now())
    found = reported()
    assert (found["n"], found["difference"], found["after_the_fact"]) == (8, 0.75, True)
    assert found == ReviewBatch.objects.get().document
    assert reported(as_of=(timezone.now() - timedelta(days=2)).date()) is None


def test_a_criterion_of_the_frozen_plan_is_not_after_the_fact_and_has_its_margin() -> None:
    pilot = planned_pilot(n=8)
    assert pilot.plan is not None
    wanted = CriterionEntry(metric="human_preference", role=CriterionRole.ADVISORY, margin=Decimal("0.1"))
    with_criteria(pilot.plan, *definition_of(pilot.plan).criteria, wanted)
    batch = reviewed(pilot)
    row = batch.plan_version.runs.get().comparisons.get(metric="human_preference")
    assert (row.verdict, row.document["reason"]) == ("not_computable", "reviewed_later")
    close_batch(batch=batch, by=BY, at=timezone.now())
    found = reported()
    assert (found["after_the_fact"], found["role"], found["margin"]) == (False, "advisory", 0.1)
    assert found["verdict"] == "better"


def test_people_cannot_be_a_gate() -> None:
    pilot = planned_pilot(n=2)
    assert pilot.plan is not None
    wanted = CriterionEntry(metric="human_preference", role=CriterionRole.PRIMARY, margin=Decimal("0.1"))
    with pytest.raises(Refused, match="only be advisory") as refusal:
        with_criteria(pilot.plan, wanted)
    assert refusal.value.field == "plan.criteria[0].role"
    assert PlanVersion.objects.count() == 1


def test_the_workbook_has_a_sheet_of_it() -> None:
    batch = reviewed(planned_pilot(n=8))
    keys = [sheet.key for sheet in EvidenceExporter().build(asked()).sheets]
    assert keys == ["pilots", "criteria", "tables"]
    close_batch(batch=batch, by=BY, at=timezone.now())
    [people_sheet] = [sheet for sheet in EvidenceExporter().build(asked()).sheets if sheet.key == "people"]
    [row] = list(people_sheet.rows)
    named = dict(zip([column.key for column in people_sheet.columns], row, strict=True))
    assert {name: named[name] for name in ("incumbent", "candidate", "n", "estimate", "late")} == {
        "incumbent": 1,
        "candidate": 7,
        "n": 8,
        "estimate": 0.75,
        "late": True,
    }
