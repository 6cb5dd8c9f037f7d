"""What a claim's verdict follows from, criterion by criterion."""

from __future__ import annotations

from datetime import date

import pytest
from django.utils import timezone

from evaluations.enums import Verdict
from evaluations.models import ComparisonRow, ModelVersion
from pilots.enums import ClaimKind
from pilots.selectors.claims import ClaimRow, ClaimVerdict, claims
from pilots.selectors.filters import ReportFilters
from pilots.services.claims import save_claim
from tests import factories as make
from tests.pilots.exporters.replayed import replayed_pilot

pytestmark = pytest.mark.django_db(transaction=True)


def claim(kind: ClaimKind, model: str = "new") -> None:
    save_claim(
        model=ModelVersion.objects.get(slug=model),
        words=f"claims {kind}",
        kind=kind,
        stated_on=date(2026, 1, 2),
        by=make.actor(),
        at=timezone.now(),
    )


def read(**filters: str) -> dict[str, ClaimRow]:
    found = claims(ReportFilters.parse(filters, now=timezone.now())).claims
    return {row.kind.value: row for row in found}


def test_each_kind_is_decided_by_its_own_criteria() -> None:
    """The plan agrees on one score; its run says non-inferior."""
    replayed_pilot(n=200)
    for kind in ClaimKind:
        claim(kind)
    claim(ClaimKind.QUALITY, "old")  # nobody tried it as a candidate
    rows = read(candidate="new")
    assert {kind: row.verdict for kind, row in rows.items()} == {
        "quality": ClaimVerdict.SUPPORTED,
        "cost": ClaimVerdict.NOT_ENOUGH,
        "speed": ClaimVerdict.NOT_ENOUGH,
        "reliability": ClaimVerdict.NOT_ENOUGH,
        "safety": ClaimVerdict.NOT_TESTABLE,
        "provenance": ClaimVerdict.NOT_TESTABLE,
    }
    [bearing] = rows["quality"].bearings
    assert (bearing.evidence.pilot, bearing.criterion.metric) == ("triage-to-new", "answered")
    assert claims(ReportFilters.parse({"vendor": "openai"}, now=timezone.now())).claims[0].bearings == ()


@pytest.mark.parametrize(
    ("verdict", "expected"),
    [
        (Verdict.BETTER, ClaimVerdict.SUPPORTED),
        (Verdict.NON_INFERIOR, ClaimVerdict.SUPPORTED),
        (Verdict.WORSE, ClaimVerdict.CONTRADICTED),
        (Verdict.INCONCLUSIVE, ClaimVerdict.NOT_ENOUGH),
        (Verdict.NOT_COMPUTABLE, ClaimVerdict.NOT_ENOUGH),
    ],
)
def test_a_claims_verdict_follows_from_the_criterions(verdict: Verdict, expected: ClaimVerdict) -> None:
    replayed_pilot(n=4)
    row = ComparisonRow.objects.get()
    row.document["verdict"] = verdict.value
    row.save()
    claim(ClaimKind.QUALITY)
    assert read()["quality"].verdict is expected
    row.document["role"] = "advisory"
    row.save()
    assert read()["quality"].verdict is ClaimVerdict.NOT_ENOUGH  # advisory criteria decide nothing


def test_a_claim_of_a_later_day_is_not_known_yet() -> None:
    make.model("new")
    claim(ClaimKind.QUALITY)
    assert read(as_of="2026-01-01") == {}
    assert list(read(as_of="2026-01-02")) == ["quality"]
