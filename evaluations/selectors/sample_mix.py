"""A sample set's mix of segments beside the pool's. Public surface: ``mix_of``, ``SegmentMix``, ``MixRow``,
``pool_mix``."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass

from django.db.models import Count, QuerySet

from evaluations.models import Sample, SampleSet

VALUES_SHOWN = 20  # of one segment


@dataclass(frozen=True, slots=True)
class MixRow:
    value: str | None  # None: the sample does not say; '' with ``others``: all values that are not shown
    in_set: int
    in_pool: int
    share_of_set: float
    share_of_pool: float
    others: int = 0  # how many values the row stands for

    @property
    def missing(self) -> bool:
        """The pool has it, the set has none of it."""
        return self.in_pool > 0 and self.in_set == 0


@dataclass(frozen=True, slots=True)
class SegmentMix:
    segment: str
    rows: tuple[MixRow, ...]  # the pool's most frequent value first
    missing: int  # values of the pool that the set has none of, shown or not


def mix_of(sample_set: SampleSet) -> tuple[SegmentMix, ...]:
    """How often each value of each segment occurs in the set and in the pool of what production sent. Two queries.

    Only what can be replayed counts.
    """
    in_pool, pool_size = pool_mix(sample_set.workload_id)
    in_set, set_size = _counted(Sample.objects.filter(memberships__sample_set=sample_set))
    return tuple(
        _mix(segment, in_set.get(segment, Counter()), set_size, counts, pool_size)
        for segment, counts in sorted(in_pool.items())
    )


def pool_mix(workload: int) -> tuple[dict[str, Counter[str | None]], int]:
    """Per segment, how many samples of the workload's pool that can be replayed have each value; and how many there
    are. None: no value, where another sample has one. One query.
    """
    return _counted(Sample.objects.filter(workload=workload, replayable=True))


def _counted(samples: QuerySet[Sample]) -> tuple[dict[str, Counter[str | None]], int]:
    """Per segment, how many samples have each value; None: no value, where another sample has one."""
    counts: dict[str, Counter[str | None]] = defaultdict(Counter)
    size = 0
    # One row a combination of values: a handful, however many samples there are.
    combined = samples.order_by().values("segments").annotate(n=Count("pk"))
    for row in combined.iterator(chunk_size=2000):
        size += row["n"]
        for segment, value in row["segments"].items():
            counts[segment][value] += row["n"]
    for values in counts.values():
        if unsaid := size - values.total():
            values[None] = unsaid
    return counts, size


def _mix(
    segment: str, in_set: Counter[str | None], set_size: int, in_pool: Counter[str | None], pool_size: int
) -> SegmentMix:
    if not in_set:  # no member has the segment at all
        in_set = Counter({None: set_size})
    values = sorted(in_pool.keys() | in_set.keys(), key=lambda value: (-in_pool[value], value or ""))
    shown = [_row(value, in_set[value], set_size, in_pool[value], pool_size) for value in values[:VALUES_SHOWN]]
    if rest := values[VALUES_SHOWN:]:
        n_set, n_pool = sum(in_set[value] for value in rest), sum(in_pool[value] for value in rest)
        shown.append(_row("", n_set, set_size, n_pool, pool_size, others=len(rest)))
    missing = sum(1 for value in values if value is not None and in_pool[value] and not in_set[value])
    return SegmentMix(segment, tuple(shown), missing)


def _row(value: str | None, in_set: int, set_size: int, in_pool: int, pool_size: int, *, others: int = 0) -> MixRow:
    return MixRow(
        value=value,
        in_set=in_set,
        in_pool=in_pool,
        share_of_set=in_set / set_size if set_size else 0.0,
        share_of_pool=in_pool / pool_size if pool_size else 0.0,
        others=others,
    )
