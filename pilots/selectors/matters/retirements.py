"""Models that go away while workloads are on them. Public surface: ``retirements``."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from datetime import date, timedelta

from pilots.enums import MatterKind
from pilots.selectors.matters.base import Action, Matter, Scope, days, midnight
from pilots.transitions import NO_SWITCH_YET

RETIREMENT_NEAR_DAYS = 90


def retirements(scope: Scope) -> Iterator[Matter]:
    """Incumbents that go away while pilots have not moved off them."""
    rows = scope.pilots.filter(
        status__in=NO_SWITCH_YET,
        incumbent__retires_on__gte=scope.today,
        incumbent__retires_on__lte=scope.today + timedelta(days=RETIREMENT_NEAR_DAYS),
    )
    waiting: dict[tuple[str, date], int] = defaultdict(int)
    for model, retires_on in rows.order_by("pk").values_list("incumbent__slug", "incumbent__retires_on"):
        assert retires_on is not None
        waiting[model, retires_on] += 1
    for (model, retires_on), n in waiting.items():
        left = (retires_on - scope.today).days
        yield Matter(
            kind=MatterKind.RETIREMENT,
            key=f"retirement:{model}:{retires_on}",
            tone="caution",
            subject=model,
            words=f"retires in {days(left)}: {n} pilot{'' if n == 1 else 's'} not switched yet",
            team="",
            pilot="",
            run=None,
            urgency=0,
            stake=f"{days(left)} left",
            days=left,
            amount=None,
            currency="",
            due_on=retires_on,
            since=midnight(retires_on - timedelta(days=RETIREMENT_NEAR_DAYS)),
            size=n,
            action=Action("See the pilots", "list", query=f"incumbent={model}"),
        )
