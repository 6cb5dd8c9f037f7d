"""Why teams went back: five rollbacks of six switches, counted and shared out by hand.

quality on days 10, 40 and 60 (median 40), latency on day 20, cost on day 100. 3 of 5 is 60 %, Wilson (z = 1.959964):
    centre (0.6 + z2/10) / (1 + z2/5), half z sqrt(0.6 x 0.4 / 5 + z2/100) / (1 + z2/5), z2 = 3.841459
    = (0.984146 -+ 0.576159) / 1.768292: 0.230724 to 0.882379; 1 of 5 likewise 0.036224 to 0.624464.
"""

from __future__ import annotations

from typing import Any

import pytest

from pilots.enums import Reason
from pilots.selectors.filters import ReportFilters
from pilots.selectors.rollback_reasons import RollbackReasonsReport, rollback_reasons_report
from tests import factories as make

pytestmark = pytest.mark.django_db


def read(**filters: str) -> RollbackReasonsReport:
    return rollback_reasons_report(ReportFilters.parse(filters, now=make.NOW))


@pytest.fixture
def rollbacks() -> None:
    told: list[tuple[str, int, Reason, str]] = [
        ("a", 10, Reason.QUALITY, "support"),
        ("b", 40, Reason.QUALITY, "support"),
        ("c", 60, Reason.QUALITY, "legal"),
        ("d", 20, Reason.LATENCY, "legal"),
        ("e", 100, Reason.COST, "sales"),
    ]
    for slug, days, reason, team in told:
        make.rolled_back_pilot(slug, days=days, reason=reason, workload=make.workload(f"w-{slug}", team))
    make.switched_pilot("f", workload=make.workload("w-f", "sales"))
    make.pilot("g", workload=make.workload("w-g", "sales"))


@pytest.mark.usefixtures("rollbacks")
def test_reasons_are_ranked_with_their_shares_and_every_pilot() -> None:
    report = read()
    assert (report.switched, report.rolled_back, report.withheld) == (6, 5, False)
    assert report.headline == "5 of 6 periods on a candidate ended with a rollback: quality comes first, with 3."
    assert [(row.code, row.count, row.share, row.median_days) for row in report.reasons] == [
        (Reason.QUALITY, 3, 0.6, 40),
        (Reason.COST, 1, 0.2, 100),
        (Reason.LATENCY, 1, 0.2, 20),
    ]
    limits = [(row.lower, row.upper) for row in report.reasons]
    assert limits[0] == pytest.approx((0.230724, 0.882379), abs=1e-5)
    assert limits[1] == limits[2] == pytest.approx((0.036224, 0.624464), abs=1e-5)
    listed = [[(one.pilot, one.days, one.to_model) for one in row.rollbacks] for row in report.reasons]
    assert listed == [
        [("c", 60, "gpt-4"), ("b", 40, "gpt-4"), ("a", 10, "gpt-4")],
        [("e", 100, "gpt-4")],
        [("d", 20, "gpt-4")],
    ]
    assert sum(row.count for row in report.reasons) == report.rolled_back


@pytest.mark.usefixtures("rollbacks")
def test_groups_and_filters() -> None:
    groups = {group.key: group for group in read(by="team").groups}
    counted = {
        key: (group.switched, group.rolled_back, [(reason.code, reason.count) for reason in group.reasons])
        for key, group in groups.items()
    }
    assert counted == {
        "legal": (2, 2, [("latency", 1), ("quality", 1)]),
        "sales": (2, 1, [("cost", 1)]),
        "support": (2, 2, [("quality", 2)]),
    }
    assert read(team="sales").headline == (
        "1 of 2 periods on a candidate ended with a rollback: cost comes first, with 1."
    )
    assert read(team="legal").headline.endswith("latency and quality come first, 1 each.")


@pytest.mark.usefixtures("rollbacks")
def test_shares_of_too_few_rollbacks_are_withheld_and_counts_are_not() -> None:
    report = read(min_at_risk="6")
    assert report.withheld
    assert {(row.share, row.lower, row.upper) for row in report.reasons} == {(None, None, None)}
    assert [row.count for row in report.reasons] == [3, 1, 1]


@pytest.mark.usefixtures("rollbacks")
def test_what_had_not_happened_by_then_is_not_counted() -> None:
    report = read(as_of=make.day(30).date().isoformat())
    assert (report.switched, [(row.code, row.count) for row in report.reasons]) == (
        6,
        [(Reason.LATENCY, 1), (Reason.QUALITY, 1)],
    )


def test_nobody_has_switched_and_nobody_went_back() -> None:
    assert (read().headline, read().reasons) == ("Nobody has switched yet.", ())
    make.switched_pilot()
    assert read().headline == "None of 1 period on a candidate ended with a rollback."
    document: dict[str, Any] = read().to_document()
    assert (document["rolled_back"], document["filters"]["min_at_risk"]) == (0, 5)
