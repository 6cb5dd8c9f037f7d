import json
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evaluations.capture.base import CapturedResponse, CapturedSample
from evaluations.capture.digest import sample_digest, set_digest
from evaluations.capture.sampling import newest, per_cluster_cap, quotas, seeded_order, stratified, take

SAMPLE = CapturedSample(
    line=3,
    external_id="a",
    request={"messages": [{"role": "user", "content": "Grüße, 世界"}], "temperature": 0.5},
    cluster="c",
    segments={"z": "1", "a": "2"},
    reference=["x"],
    response=CapturedResponse(text="ok", model="gpt-4"),
)


def test_the_digest_is_sha256_of_canonical_json():
    content = {
        "cluster": "c",
        "reference": ["x"],
        "request": SAMPLE.request,
        "response": {"text": "ok", "message": None},
        "segments": {"a": "2", "z": "1"},
    }
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert sample_digest(SAMPLE) == sha256(canonical.encode()).hexdigest()


def test_key_order_line_id_and_instant_do_not_matter_but_content_does():
    same = replace(
        SAMPLE,
        line=99,
        external_id="b",
        occurred_at=datetime(2026, 1, 1, tzinfo=UTC),
        request=dict(reversed(SAMPLE.request.items())),
    )
    assert sample_digest(same) == sample_digest(SAMPLE)
    changed = [
        replace(SAMPLE, request=SAMPLE.request | {"temperature": 0}),
        replace(SAMPLE, reference=["y"]),
        replace(SAMPLE, reference=None),
        replace(SAMPLE, cluster=None),
        replace(SAMPLE, segments={}),
        replace(SAMPLE, response=None),
        replace(SAMPLE, response=CapturedResponse(text="OK")),
        replace(SAMPLE, response=CapturedResponse(text="ok", message={"role": "assistant"})),
    ]
    assert len({sample_digest(sample) for sample in [SAMPLE, *changed]}) == 1 + len(changed)


def test_a_set_digest_ignores_order_and_sees_membership():
    assert set_digest(["b", "a"]) == set_digest(iter(["a", "b"])) == sha256(b"a\nb").hexdigest()
    assert len({set_digest([]), set_digest(["a"]), set_digest(["a", "b"])}) == 3


@given(st.permutations([f"s-{n}" for n in range(30)]))
def test_the_seeded_order_does_not_depend_on_arrival(keys):
    assert seeded_order(keys, 7) == seeded_order(sorted(keys), 7)


def test_the_order_depends_on_the_seed_and_new_keys_do_not_reorder_old_ones():
    keys = [f"s-{n}" for n in range(200)]
    assert seeded_order(keys, 1) != seeded_order(keys, 2)
    more = seeded_order([*keys, "new-1", "new-2"], 1)
    assert [key for key in more if key in set(keys)] == seeded_order(keys, 1)


def test_take_is_a_uniform_choice_over_seeds():
    counts = Counter(key for seed in range(2000) for key in take("abcdefghij", 3, seed))
    # 600 expected each; five standard deviations of a binomial(2000, 0.3).
    assert all(abs(counts[key] - 600) < 5 * (2000 * 0.3 * 0.7) ** 0.5 for key in "abcdefghij")
    assert sorted(take("abc", 10, 1)) == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("sizes", "n", "expected"),
    [
        ({"a": 80, "b": 15, "c": 5}, 20, {"a": 16, "b": 3, "c": 1}),
        ({"a": 97, "b": 2, "c": 1}, 10, {"a": 8, "b": 1, "c": 1}),
        ({"a": 97, "b": 2, "c": 1}, 2, {"a": 2}),
        ({"a": 1, "b": 1}, 5, {"a": 1, "b": 1}),
        ({"a": 50, None: 50}, 10, {"a": 5, None: 5}),
        ({}, 5, {}),
    ],
)
def test_strata_get_their_share(sizes, n, expected):
    strata = {f"{stratum}-{i}": stratum for stratum, size in sizes.items() for i in range(size)}
    chosen = stratified(strata, n, seed=1)
    assert Counter(strata[key] for key in chosen) == expected
    assert chosen == stratified(dict(reversed(strata.items())), n, seed=1)


@given(st.dictionaries(st.text(min_size=1, max_size=3), st.integers(1, 40), max_size=8), st.integers(0, 150))
def test_stratified_always_gives_exactly_what_was_asked(sizes, n):
    strata = {f"{stratum}-{i}": stratum for stratum, size in sizes.items() for i in range(size)}
    chosen = stratified(strata, n, seed=3)
    assert len(chosen) == len(set(chosen)) == min(n, len(strata))
    if n >= len(sizes):
        assert {strata[key] for key in chosen} == set(sizes)


def test_a_cluster_gives_at_most_its_cap_and_single_samples_all_stay():
    clusters = {f"c{n % 3}-{n}": f"c{n % 3}" for n in range(30)} | {"x": None, "y": None}
    kept = per_cluster_cap(clusters, 2, seed=5)
    assert Counter(clusters[key] for key in kept) == {"c0": 2, "c1": 2, "c2": 2, None: 2}
    assert kept == [key for key in seeded_order(clusters, 5) if key in set(kept)]


def test_newest_first_and_unknown_dates_last():
    day = [datetime(2026, 1, n, tzinfo=UTC) for n in range(1, 4)]
    assert newest({"b": day[0], "c": None, "a": day[2], "e": day[1], "d": day[1]}, 4) == ["a", "d", "e", "b"]


def test_quotas_are_filled_and_what_serves_two_counts_for_both():
    emoji, long = [f"e{n}" for n in range(10)], [f"l{n}" for n in range(3)]
    chosen = quotas([(emoji, 4), (long, 5), ([*emoji, "x"], 4)], seed=2)
    assert [len(set(chosen) & set(emoji)), set(chosen) >= set(long), "x" in chosen] == [4, True, False]
    assert chosen == quotas([(emoji[::-1], 4), (long, 5), (["x", *emoji], 4)], seed=2)
    assert len(chosen) == len(set(chosen)) == 7
