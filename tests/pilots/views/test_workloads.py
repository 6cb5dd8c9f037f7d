"""Workloads and their sets: what the pages count, and the mix of a set beside its pool's."""

from __future__ import annotations

import pytest
from django.test import Client
from django.urls import reverse

from evaluations.models import Sample, SampleSet, SampleSetMember, Workload
from evaluations.selectors.sample_mix import VALUES_SHOWN, mix_of
from tests import factories as make
from tests.pilots.views.people import session

pytestmark = pytest.mark.django_db


def pool(workload: Workload, *mixes: tuple[int, dict[str, str]]) -> list[Sample]:
    return Sample.objects.bulk_create(
        Sample(workload=workload, external_id=make.name("s"), digest="d" * 64, segments=segments)
        for n, segments in mixes
        for _ in range(n)
    )


def frozen(workload: Workload, samples: list[Sample], **fields: object) -> SampleSet:
    given = {"name": "May", "digest": make.name("digest"), "frozen_at": make.NOW, **fields}
    found = SampleSet.objects.create(workload=workload, size=len(samples), **given)  # type: ignore[misc]
    SampleSetMember.objects.bulk_create(
        SampleSetMember(sample_set=found, sample=sample, position=position) for position, sample in enumerate(samples)
    )
    return found


def test_a_mix_is_counted_in_the_set_and_in_what_can_be_replayed_of_the_pool() -> None:
    workload = make.workload()
    samples = pool(workload, (6, {"lang": "en", "tier": "gold"}), (3, {"lang": "de"}), (1, {"lang": "fr"}))
    Sample.objects.bulk_create(
        [Sample(workload=workload, external_id="x", digest="d", segments={"lang": "xx"}, replayable=False)]
    )
    pool(make.workload(), (5, {"lang": "ja"}))
    lang, tier = mix_of(frozen(workload, [*samples[:3], samples[6]]))
    assert [(row.value, row.in_set, row.in_pool, row.share_of_set, row.share_of_pool) for row in lang.rows] == [
        ("en", 3, 6, 0.75, 0.6),
        ("de", 1, 3, 0.25, 0.3),
        ("fr", 0, 1, 0.0, 0.1),
    ]
    assert [(row.value, row.in_set, row.in_pool) for row in tier.rows] == [("gold", 3, 6), (None, 1, 4)]
    assert (lang.missing, tier.missing, [row.missing for row in lang.rows]) == (1, 0, [False, False, True])


def test_a_segment_of_very_many_values_is_summed_up() -> None:
    workload = make.workload()
    samples = pool(workload, *((1, {"customer": f"c{n:03}"}) for n in range(VALUES_SHOWN + 5)))
    [mix] = mix_of(frozen(workload, samples[:1]))
    assert (len(mix.rows), mix.rows[-1].others, mix.rows[-1].in_pool) == (VALUES_SHOWN + 1, 5, 5)
    assert mix.missing == VALUES_SHOWN + 4


def test_the_page_of_a_set_warns_of_what_is_missing_from_it() -> None:
    workload = make.workload("triage", "support")
    client = session(make.member(make.team("support")))
    samples = pool(workload, (2, {"lang": "en"}), (1, {"lang": "de"}))
    part, whole = frozen(workload, samples[:2]), frozen(workload, samples)
    warned = [
        "missing from this set" in client.get(reverse("pilots:sample-set", args=["triage", one.pk])).content.decode()
        for one in (part, whole)
    ]
    assert warned == [True, False]
    other = frozen(make.workload("other", "support"), pool(make.workload("other", "support"), (1, {})))
    assert client.get(reverse("pilots:sample-set", args=["triage", other.pk])).status_code == 404


def test_the_list_is_of_the_persons_teams_and_can_be_searched() -> None:
    pool(make.workload("triage", "support"), (3, {}))
    make.workload("routing", "support")
    make.workload("drafting", "legal")
    client = session(make.member(make.team("support")))

    def listed(query: str = "") -> str:
        return client.get(f"{reverse('pilots:workloads')}{query}").content.decode()

    assert [word in listed() for word in ("Triage", "Routing", "Drafting")] == [True, True, False]
    assert [word in listed("?q=rout") for word in ("Triage", "Routing")] == [False, True]
    assert "No workload fits" in listed("?team=legal")
    assert "triage" in client.get(f"{reverse('pilots:jump')}?q=tria").content.decode()


def test_a_workload_without_samples_says_what_to_do(client: Client) -> None:
    make.workload("triage", "support")
    page = session(make.member(make.team("support"))).get(reverse("pilots:workload", args=["triage"]))
    assert "None yet." in page.content.decode()
