"""What does not come in, or does not go out: names of gateways that no rule explains, webhooks that do not answer.
Public surface: ``unmapped_traffic``, ``failed_webhooks``."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

from django.db.models import Count, Max, Min, Q, Sum

from pilots.enums import DeliveryState, MatterKind
from pilots.models import Delivery, TrafficDay
from pilots.selectors.matters.base import Action, Matter, Scope, days


def unmapped_traffic(scope: Scope) -> Iterator[Matter]:
    """Observed usage that waits for a rule, by the team of its workload; that of no workload is one matter."""
    mine = Q(workload__team__in=scope.teams)
    if scope.unassigned:
        mine |= Q(workload=None)
    rows = (
        TrafficDay.objects.filter(mine, Q(workload=None) | Q(model=None), replaced_at=None)
        .order_by()
        .values_list("workload__team__slug")
        .annotate(
            names=Count("source", distinct=True),
            requests=Sum("requests"),
            on=Count("day", distinct=True),
            since=Min("recorded_at"),
        )
    )
    for team, names, requests, on, since in rows:
        are = "name waits" if names == 1 else "names wait"
        yield Matter(
            kind=MatterKind.UNMAPPED,
            key=f"unmapped:{team or ''}",
            tone="caution",
            subject=team or "gateway logs",
            words=f"{names:,} {are} for a mapping rule: what they stand for counts nowhere",
            team=team or "",
            pilot="",
            run=None,
            urgency=0,
            stake=f"{requests:,} requests on {days(on)}",
            days=on,
            amount=None,
            currency="",
            due_on=None,
            since=since,
            size=requests,
            action=Action("Say what the names stand for", "traffic"),
        )


def failed_webhooks(scope: Scope) -> Iterator[Matter]:
    """Webhooks with messages that were given up and not sent again since."""
    rows = (
        Delivery.objects.filter(webhook__team__in=scope.teams, webhook__ended_at=None, state=DeliveryState.FAILED)
        .order_by()
        .values_list("webhook", "webhook__url", "webhook__team__slug")
        .annotate(n=Count("pk"), first=Min("ended_at"), last=Max("ended_at"))
    )
    for pk, url, team, n, first, last in rows:
        waited = None if first is None else (scope.at - first).days
        yield Matter(
            kind=MatterKind.WEBHOOK,
            key=f"webhook:{pk}",
            tone="caution",
            subject=urlsplit(url).netloc.rpartition("@")[2] or url,
            words=f"{n:,} message{'' if n == 1 else 's'} given up: the address did not take what was sent",
            team=team,
            pilot="",
            run=None,
            urgency=0,
            stake="" if waited is None else f"the oldest {days(waited)} ago",
            days=waited,
            amount=None,
            currency="",
            due_on=None,
            since=last,
            size=n,
            action=Action("Look at its log, send again", "webhook", str(pk)),
        )
