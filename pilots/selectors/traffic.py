"""Observed traffic as pages show it. Public surface: ``observed_days``, ``workloads_with_traffic``, ``recent_shares``,
``waiting_names``, ``mapping_rules``, ``WINDOW_DAYS``."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from django.db.models import Count, Exists, Max, Min, OuterRef, Q, QuerySet, Sum

from evaluations.models import Workload
from pilots.models import TrafficDay, TrafficRule
from pilots.selectors.access import PilotAccess

WINDOW_DAYS = 30
WAITING_SHOWN = 100


def observed_days() -> QuerySet[TrafficDay]:
    """The rows in force whose workload and model are known."""
    return TrafficDay.objects.filter(replaced_at=None, workload__isnull=False, model__isnull=False)


@dataclass(frozen=True, slots=True)
class ModelShare:
    model: str  # slug
    requests: int
    share: float  # of the workload's requests in the window


@dataclass(frozen=True, slots=True)
class RecentTraffic:
    """One workload over the last ``WINDOW_DAYS`` days."""

    slug: str
    name: str
    team: str
    requests: int
    covered_days: int  # with data; the others are missing, not zero
    last_on: date | None  # None: nothing in the window
    shares: tuple[ModelShare, ...]  # largest first

    @property
    def coverage(self) -> float:
        return self.covered_days / WINDOW_DAYS


def workloads_with_traffic(access: PilotAccess, *, team: str = "") -> QuerySet[Workload]:
    """Those that anything was ever observed of, by slug."""
    observed = observed_days().filter(workload=OuterRef("pk"))
    found = access.workloads().filter(Exists(observed)).select_related("team").order_by("slug")
    return found.filter(team__slug=team) if team else found


def recent_shares(workloads: Sequence[Workload], *, today: date) -> tuple[RecentTraffic, ...]:
    """The shares by model of each, over the window that ends with ``today``. Two queries."""
    rows = observed_days().filter(workload__in=workloads, day__gt=today - timedelta(days=WINDOW_DAYS), day__lte=today)
    models: dict[int, list[tuple[str, int]]] = defaultdict(list)
    by_model = rows.order_by().values_list("workload_id", "model__slug").annotate(n=Sum("requests"))
    for workload, slug, n in by_model:
        models[workload].append((slug, n))
    covered = {
        workload: (days, last)
        for workload, days, last in rows.order_by()
        .values_list("workload_id")
        .annotate(days=Count("day", distinct=True), last=Max("day"))
    }
    found = []
    for workload in workloads:
        told = sorted(models[workload.pk], key=lambda item: (-item[1], item[0]))
        total = sum(n for _, n in told)
        days, last = covered.get(workload.pk, (0, None))
        shares = tuple(ModelShare(slug, n, n / total) for slug, n in told if total)
        found.append(RecentTraffic(workload.slug, workload.name, workload.team.name, total, days, last, shares))
    return tuple(found)


@dataclass(frozen=True, slots=True)
class WaitingNames:
    """Names that no rule explains, with what waits for one."""

    key_alias: str
    tags: tuple[str, ...]
    wire_name: str
    workload: str  # slug; '': not known
    model: str
    days: int
    requests: int
    first_on: date
    last_on: date


def waiting_names(access: PilotAccess) -> tuple[WaitingNames, ...]:
    """The names with the largest volume. Those of no workload are shown to everybody who manages pilots."""
    mine = Q(workload__in=access.workloads())
    if access.may_open_any():
        mine |= Q(workload=None)
    rows = TrafficDay.objects.filter(mine, Q(workload=None) | Q(model=None), replaced_at=None)
    names = ("source__key_alias", "source__tags", "source__wire_name", "workload__slug", "model__slug")
    volumes = (
        rows.order_by()
        .values_list("source_id", *names)
        .annotate(days=Count("pk"), requests=Sum("requests"), first=Min("day"), last=Max("day"))
        .order_by("-requests", "source_id")
    )
    return tuple(
        WaitingNames(alias, tuple(tags), wire, workload or "", model or "", *volume)
        for _, alias, tags, wire, workload, model, *volume in volumes[:WAITING_SHOWN]
    )


def mapping_rules(access: PilotAccess) -> QuerySet[TrafficRule]:
    """The rules for the person's workloads, and those that name a model for everybody."""
    rules = TrafficRule.objects.filter(Q(workload__in=access.workloads()) | Q(workload=None))
    return rules.select_related("workload__team", "model").order_by("kind", "name", "from_on")
