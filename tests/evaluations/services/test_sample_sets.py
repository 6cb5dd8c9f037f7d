"""Sets that are part of another: chosen and copied by the database, the same as if each member had been named."""

from __future__ import annotations

import hashlib
import tracemalloc
from collections.abc import Iterable

import pytest
from django.utils import timezone

from evaluations.capture import digest
from evaluations.capture.digest import set_digest
from evaluations.enums import Outcome
from evaluations.models import AuditEvent, Sample, SampleSet, SampleSetMember, Workload
from evaluations.selectors.unreplayed import unreplayed
from evaluations.services import sample_sets
from evaluations.services.bulk import insert_rows
from evaluations.services.sample_sets import freeze_part, freeze_set
from tests.replays import BY, concluded, ready_plan, start

pytestmark = pytest.mark.django_db


def positions(sample_set: SampleSet) -> list[tuple[int, int]]:
    return list(sample_set.members.values_list("position", "sample"))


def test_a_part_is_the_set_that_its_members_would_be() -> None:
    plan = ready_plan("http://127.0.0.1:9", n=10)
    whole = SampleSet.objects.get()
    members = whole.members.filter(position__gte=4)
    part = freeze_part(parent=whole, members=members, take=3, name="of the end", by=BY, at=timezone.now())
    assert part is not None
    chosen = [sample for _, sample in positions(whole)[4:7]]
    assert positions(part) == list(enumerate(chosen))
    assert (part.size, part.parent, part.name) == (3, whole, "10 samples: 3 of the end")
    assert part.method == {"kind": "take", "take": 3, "from": whole.pk}
    event = AuditEvent.objects.latest("id")
    assert (event.action, event.data["size"], event.data["digest"]) == ("sample_set.frozen", 3, part.digest)
    named = freeze_set(
        workload=plan.workload, sample_ids=chosen[::-1], name="x", method={}, parent=None, by=BY, at=timezone.now()
    )
    assert named == part


def test_a_part_that_there_is_already_is_that_one_and_nothing_else_is_left() -> None:
    ready_plan("http://127.0.0.1:9", n=4)
    whole = SampleSet.objects.get()
    common = {"parent": whole, "name": "again", "by": BY, "at": timezone.now()}
    assert freeze_part(members=whole.members.all(), take=9, **common) == whole  # type: ignore[arg-type]
    assert freeze_part(members=whole.members.filter(position__gt=3), take=9, **common) is None  # type: ignore[arg-type]
    assert (SampleSet.objects.count(), SampleSetMember.objects.count()) == (1, 4)


def test_take_goes_on_where_the_plan_stopped() -> None:
    plan = ready_plan("http://127.0.0.1:9", n=7)
    whole = SampleSet.objects.get()
    taken = []
    for expected in (3, 3, 1, 0):
        run = start(plan, take=3)
        assert (0 if run.sample_set is None else run.sample_set.size) == expected
        if run.sample_set is not None:
            taken += [sample for _, sample in positions(run.sample_set)]
            concluded(run, lambda role, position: (Outcome.OK, "yes"))
    assert taken == [sample for _, sample in positions(whole)]
    assert not unreplayed(plan, whole).exists()


@pytest.mark.parametrize("at_once", [1, 3, 1000])
def test_a_digest_is_the_same_however_much_is_sorted_at_once(at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(digest, "_SORTED_AT_ONCE", at_once)
    lines = ["b 1", "a c 2", "a b 3", "a\nb 4", "a\tb 5", "é 6", "\U0001f600 7", "a 8", "ａ 9", "z\\ 10"]
    expected = hashlib.sha256("\n".join(sorted(lines)).encode()).hexdigest()
    assert set_digest(lines) == expected == set_digest(reversed(lines))


def _pool(workload: Workload, numbers: Iterable[int]) -> None:
    at = timezone.now()
    insert_rows(
        Sample,
        ("workload", "external_id", "digest", "cluster", "segments", "replayable", "captured_at"),
        [(workload.pk, f"m{i:07}", f"{i:064}", "", {}, True, at) for i in numbers],
    )


def test_a_run_over_many_samples_is_created_without_a_list_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """20,000 members more cost no memory: their ids alone would be a megabyte, their rows several."""
    monkeypatch.setattr(digest, "_SORTED_AT_ONCE", 1000)
    monkeypatch.setattr(sample_sets, "_AT_ONCE", 500)
    plan = ready_plan("http://127.0.0.1:9", n=2, budget="5000")
    peaks = []
    _pool(plan.workload, range(24_000))
    ids = Sample.objects.filter(external_id__startswith="m").order_by("id").values_list("id", flat=True)
    for first, last in ((0, 2_000), (2_000, 24_000)):
        whole = freeze_set(
            workload=plan.workload,
            sample_ids=list(ids[first:last]),
            name="many",
            method={},
            parent=None,
            by=BY,
            at=timezone.now(),
        )
        tracemalloc.start()
        run = start(plan, sample_set=whole, take=last - first - 1)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert run.sample_set is not None
        assert run.sample_set.size == last - first - 1
        for arm in run.arms.all():
            slices = list(arm.chunks.order_by("start").values_list("start", "stop"))
            assert [0, *(stop for _, stop in slices)] == [*(start for start, _ in slices), run.sample_set.size]
    assert peaks[1] - peaks[0] < 500_000
