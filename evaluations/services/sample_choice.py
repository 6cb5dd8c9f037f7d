"""Which samples of a file make up its set. Public surface: ``SampleChoice``, ``Traits``, ``parse_quota``.

The rules are those of ``capture/sampling.py``: the same samples and seed give the same set, whatever their order.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from evaluations.capture.base import CapturedSample
from evaluations.capture.sampling import Quota, newest, per_cluster_cap, quotas, seeded_order, stratified
from evaluations.capture.sampling import take as take_of
from evaluations.services.errors import Refused


@dataclass(frozen=True, slots=True)
class Traits:
    """What of a sample a choice looks at."""

    stratum: str | None = None
    cluster: str | None = None
    occurred_at: datetime | None = None
    edges: tuple[Quota, ...] = ()  # the quotas that it serves


@dataclass(frozen=True, slots=True)
class SampleChoice:
    """First the cap on clusters, then the newest of what is left, then ``take`` of these: quotas first, then the rest.

    ``stratify`` names the segment in whose proportions the rest is drawn; else it is drawn at random.
    """

    take: int | None = None
    seed: int = 0
    stratify: str | None = None
    newest: int | None = None
    per_cluster: int | None = None
    quotas: Sequence[Quota] = ()

    def check(self) -> None:
        """Raises ``Refused`` for numbers and combinations that choose nothing."""
        for field in ("take", "newest", "per_cluster"):
            number = getattr(self, field)
            if number is not None and number < 1:
                raise Refused("must be at least 1", field=field)
        if self.take is None:
            for field in ("stratify", "quotas"):
                if getattr(self, field):
                    raise Refused("needs take: without it every sample is a member", field=field)
        if any(quota.n < 1 for quota in self.quotas):
            raise Refused("must each be of at least 1", field="quotas")
        if self.take is not None and sum(quota.n for quota in self.quotas) > self.take:
            raise Refused(f"are together more than the {self.take} that are taken", field="quotas")

    @property
    def looks(self) -> bool:
        """Whether it looks at the samples at all; else their ids are enough, of which there may be very many."""
        return bool(self.stratify is not None or self.newest or self.per_cluster or self.quotas)

    def traits(self, sample: CapturedSample) -> Traits:
        return Traits(
            stratum=None if self.stratify is None else sample.segments.get(self.stratify),
            cluster=None if self.per_cluster is None else sample.cluster,
            occurred_at=None if self.newest is None else sample.occurred_at,
            edges=tuple(quota for quota in self.quotas if sample.segments.get(quota.segment) == quota.value),
        )

    def members(self, ids: Collection[str], samples: Mapping[str, Traits]) -> list[str]:
        """Of ``ids``, whose traits are given where it ``looks``, those of the set, in its order.

        Raises ``Refused`` for a segment that no sample has.
        """
        if self.stratify and samples and not any(traits.stratum for traits in samples.values()):
            raise Refused(f"no sample has the segment {self.stratify!r}", field="stratify")
        left: Collection[str] = ids
        if self.per_cluster is not None:
            left = per_cluster_cap({key: samples[key].cluster for key in left}, self.per_cluster, self.seed)
        if self.newest is not None:
            left = newest({key: samples[key].occurred_at for key in left}, self.newest)
        if self.take is None:
            return seeded_order(left, self.seed)
        wanted = [([key for key in left if quota in samples[key].edges], quota.n) for quota in self.quotas]
        for quota, (keys, _) in zip(self.quotas, wanted, strict=True):
            if samples and not keys:
                raise Refused(f"no sample has the segment {quota.segment!r} with {quota.value!r}", field="quotas")
        chosen = quotas(wanted, self.seed)
        rest = set(left) - set(chosen)
        if self.stratify is None:
            others = take_of(rest, self.take - len(chosen), self.seed)
        else:
            others = stratified({key: samples[key].stratum for key in rest}, self.take - len(chosen), self.seed)
        return seeded_order([*chosen, *others], self.seed)

    def to_json(self) -> dict[str, Any]:
        """For the set's method: how its members were chosen."""
        method: dict[str, Any] = {"take": self.take, "seed": self.seed, "stratify": self.stratify}
        if self.newest is not None:
            method["newest"] = self.newest
        if self.per_cluster is not None:
            method["per_cluster"] = self.per_cluster
        if self.quotas:
            method["quotas"] = [{"segment": row.segment, "value": row.value, "n": row.n} for row in self.quotas]
        return method


def parse_quota(text: str) -> Quota:
    """``SEGMENT=VALUE:N``. Raises ``Refused``."""
    segment, equals, rest = text.partition("=")
    value, colon, n = rest.rpartition(":")
    if not (segment.strip() and equals and colon and value.strip()) or not (n.isascii() and n.isdigit()):
        raise Refused(f"{text!r} is not SEGMENT=VALUE:N", field="quotas")
    return Quota(segment.strip(), value.strip(), int(n[:9]))
