"""Night by night: what stood after each run, and which samples were new."""

from __future__ import annotations

import json
from io import StringIO

import pytest
from django.core.management import call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from evaluations.enums import ArmRole, Outcome
from evaluations.models import ReplayRun, Sample, SampleSet
from evaluations.selectors import drift as room
from pilots.models import Pilot
from pilots.selectors import trend as trends
from pilots.selectors.trend import trend_of
from tests import factories as make
from tests.pilots.views.people import planned_pilot, session
from tests.replays import add_samples, concluded, start

pytestmark = pytest.mark.django_db


@pytest.fixture
def pilot() -> Pilot:
    return planned_pilot(n=4, looks="every_night")


def night(pilot: Pilot, right: int, sample_set: SampleSet | None = None) -> ReplayRun:
    """The incumbent passes all, the candidate the first ``right`` of each set."""

    def said(role: ArmRole, position: int) -> tuple[Outcome, str]:
        return Outcome.OK, "yes" if role is ArmRole.INCUMBENT or position < right else ""

    assert pilot.plan is not None
    return concluded(start(pilot.plan, sample_set=sample_set), said)


def test_a_golden_set_replayed_nightly_keeps_n_at_its_size_and_new_samples_make_it_grow(pilot: Pilot) -> None:
    golden = SampleSet.objects.get()
    runs = [night(pilot, 4, golden) for _ in range(3)]
    add_samples(pilot.workload, 6, stem="f")
    runs += [night(pilot, 5, SampleSet.objects.latest("pk")), night(pilot, 4, golden)]
    [trend] = trend_of(runs[-1].pk)
    assert [one.run for one in trend.nights] == [run.pk for run in runs]
    assert [one.n for one in trend.nights] == [4, 4, 4, 10, 10]
    assert [one.fresh for one in trend.nights] == [4, 0, 0, 6, 0]
    # One of ten fails; the golden four were answered four times and count once each.
    assert [one.estimate for one in trend.nights] == [0, 0, 0, pytest.approx(-0.1), pytest.approx(-0.1)]
    limits = [(one.lower, one.upper) for one in trend.nights]
    assert limits[0] == limits[1] == limits[2]
    assert (trend.reference, trend.bound, trend.higher_is_worse) == (0.0, -0.03, False)


def test_a_new_period_begins_with_new_samples(pilot: Pilot, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "BASELINE_NIGHTS", 3)
    runs = [night(pilot, right) for right in (4, 3, 4, 1, 1, 1, 1, 1)]
    [trend] = trend_of(runs[-1].pk)
    assert [(one.period, one.fresh) for one in trend.nights] == [(1, 4), *[(1, 0)] * 5, (2, 4), (2, 0)]
    assert [one.reason for one in trend.nights][5] == "a model changed under the test"
    page = session(make.member(pilot.workload.team)).get(reverse("pilots:evidence", args=[pilot.slug]))
    assert page.content.decode().count('<line class="mark"') == 1


def test_one_night_is_no_trend_and_old_nights_are_counted(pilot: Pilot, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trends, "NIGHTS_SHOWN", 3)
    first = night(pilot, 4)
    assert trend_of(first.pk) == ()
    for _ in range(4):
        last = night(pilot, 4)
    [trend] = trend_of(last.pk)
    assert (len(trend.nights), trend.earlier) == (3, 2)
    assert [one.fresh for one in trend.nights] == [0, 0, 0]


def test_the_page_in_a_constant_number_of_queries_with_a_table_for_each_drawing(pilot: Pilot) -> None:
    for _ in range(2):
        night(pilot, 4)
    client = session(make.member(pilot.workload.team))
    address = reverse("pilots:evidence", args=[pilot.slug])

    def asked() -> tuple[int, str]:
        with CaptureQueriesContext(connection) as queries:
            page = client.get(address).content.decode()
        return len(queries), page

    before, _ = asked()
    for _ in range(3):
        night(pilot, 3)
    after, page = asked()
    assert after == before
    assert page.count('<svg class="chart trend"') == page.count("As a table") == 1
    assert page.count('<circle class="estimate" cx') == 5 + 1  # the nights, and the verdict's own bar
    assert page.count("the same again") == 4


def test_productions_mix_on_the_page_in_the_report_and_in_the_workbook(pilot: Pilot) -> None:
    """Four samples in the set: two of each language, in a pool with six more German ones."""
    names = list(pilot.workload.samples.order_by("external_id").values_list("pk", flat=True))
    Sample.objects.filter(pk__in=names[:2]).update(segments={"language": "en"})
    Sample.objects.filter(pk__in=names[2:]).update(segments={"language": "de"})
    golden = SampleSet.objects.get()
    add_samples(pilot.workload, 6, stem="l")
    Sample.objects.filter(external_id__startswith="l").update(segments={"language": "de"})
    run = night(pilot, 3, golden)
    out = StringIO()
    call_command("report", "evidence", "--json", stdout=out)
    [row] = json.loads(out.getvalue())["pilots"][0]["weighted"]
    # One of the two German samples fails: a quarter of the set, 0.8 x 1 / 2 of production.
    assert (row["unweighted"], row["difference"], row["lower"]) == (-0.25, pytest.approx(-0.4), None)
    assert run.comparisons.get().document["difference"] == -0.25
    page = session(make.member(pilot.workload.team)).get(reverse("pilots:evidence", args=[pilot.slug]))
    assert "\N{MINUS SIGN}40.0 points" in page.content.decode()
