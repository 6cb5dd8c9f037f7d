"""Which samples of a pool are taken, reproducibly: the same keys and seed give the same choice in any order of arrival.

Public surface: ``seeded_order``, ``take``, ``stratified``, ``per_cluster_cap``, ``newest``, ``Quota``, ``quotas``.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import blake2b


@dataclass(frozen=True, slots=True)
class Quota:
    """At least ``n`` samples whose ``segment`` is ``value``: edge cases that chance alone would leave out."""

    segment: str
    value: str
    n: int


_OLDEST = datetime.min.replace(tzinfo=UTC)


def seeded_order(keys: Iterable[str], seed: int) -> list[str]:
    """Distinct keys in the order of their keyed hash: adding keys never reorders the ones that were there."""
    secret = str(seed).encode()
    return sorted(set(keys), key=lambda key: (blake2b(key.encode(), digest_size=16, key=secret).digest(), key))


def take(ids: Iterable[str], n: int, seed: int) -> list[str]:
    """A simple random sample of ``n`` ids without replacement; all of them where there are no more."""
    return seeded_order(ids, seed)[:n]


def stratified(strata: Mapping[str, str | None], n: int, seed: int) -> list[str]:
    """``n`` ids, each stratum in proportion to its size (largest remainders), at least one each where ``n`` allows.

    ``strata`` maps id to stratum; ``None`` is a stratum of its own. The result is in seeded order.
    """
    members: dict[str, list[str]] = defaultdict(list)
    for key in seeded_order(strata, seed):
        stratum = strata[key]
        members["" if stratum is None else f"={stratum}"].append(key)
    quota = _quotas({stratum: len(keys) for stratum, keys in members.items()}, n)
    return seeded_order((key for stratum, keys in members.items() for key in keys[: quota[stratum]]), seed)


def _quotas(sizes: Mapping[str, int], n: int) -> dict[str, int]:
    total = sum(sizes.values())
    n = min(n, total)
    floor = 1 if n >= len(sizes) else 0
    exact = {stratum: n * size / total for stratum, size in sizes.items()}
    quota = {stratum: max(floor, int(share)) for stratum, share in exact.items()}
    by_need = sorted(sizes, key=lambda stratum: (quota[stratum] - exact[stratum], stratum))
    while (missing := n - sum(quota.values())) != 0:
        step = 1 if missing > 0 else -1
        for stratum in by_need if step > 0 else reversed(by_need):
            if missing != 0 and floor <= quota[stratum] + step <= sizes[stratum]:
                quota[stratum] += step
                missing -= step
    return quota


def per_cluster_cap(clusters: Mapping[str, str | None], cap: int, seed: int) -> list[str]:
    """Ids in seeded order with at most ``cap`` of each cluster; an id without a cluster stands alone."""
    seen: Counter[str] = Counter()
    kept = []
    for key in seeded_order(clusters, seed):
        cluster = clusters[key]
        if cluster is not None:
            seen[cluster] += 1
            if seen[cluster] > cap:
                continue
        kept.append(key)
    return kept


def newest(occurred: Mapping[str, datetime | None], n: int) -> list[str]:
    """The ``n`` ids that happened last, newest first; ids of unknown date come last, ties by id."""
    return sorted(sorted(occurred), key=lambda key: occurred[key] or _OLDEST, reverse=True)[:n]


def quotas(wanted: Sequence[tuple[Collection[str], int]], seed: int) -> list[str]:
    """For each of ``wanted``, of its ids so many (all, where there are fewer), in seeded order.

    An id that serves two of them counts for both.
    """
    chosen: set[str] = set()
    for ids, n in wanted:
        missing = n - sum(key in chosen for key in ids)
        chosen.update(take((key for key in ids if key not in chosen), max(missing, 0), seed))
    return seeded_order(chosen, seed)
