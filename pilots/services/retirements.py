"""Warning of models that go away. Public surface: ``warn_of_retirements``."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from itertools import chain

from django.db import transaction

from evaluations.models import ModelVersion, Workload
from pilots.conf import setting
from pilots.enums import NoticeKind, PilotStatus
from pilots.models import Notice, Pilot
from pilots.services.notices import News, announce
from pilots.transitions import NO_SWITCH_YET

_ON_INCUMBENT = (*NO_SWITCH_YET, PilotStatus.ALONGSIDE)
_ON_CANDIDATE = (*NO_SWITCH_YET, PilotStatus.ALONGSIDE, PilotStatus.SWITCHED)

Roles = dict[Workload, dict[str, list[str]]]  # workload -> what the model is to it -> pilots, none: it runs on it


def warn_of_retirements(*, now: datetime) -> None:
    """Tell each team of the models that its workloads are on and that retire, once a warning of
    ``RETIREMENT_WARN_DAYS``, counted to the date as it stands: a date that moves is told anew.

    Of warnings that are due together only the nearest is given. A workload that comes onto the model later is told of
    then. Called twice, or at once, it tells nothing twice.
    """
    today = now.date()
    days = sorted(setting("RETIREMENT_WARN_DAYS"))
    retiring = ModelVersion.objects.filter(retires_on__gte=today, retires_on__lte=today + timedelta(days=days[-1]))
    for model in retiring.select_related("vendor").order_by("retires_on", "slug"):
        assert model.retires_on is not None
        left = (model.retires_on - today).days
        warning = next(day for day in days if left <= day)
        news = list(_news(model, model.retires_on, warning, left))
        if news:
            with transaction.atomic():
                announce(news, at=now)


def _news(model: ModelVersion, retires_on: date, warning: int, left: int) -> Iterator[News]:
    stem = f"{NoticeKind.RETIREMENT_NEAR}:{model.pk}:{retires_on}:{warning}"
    told: defaultdict[int, set[str]] = defaultdict(set)
    for team_id, data in Notice.objects.filter(key__startswith=f"{stem}:").values_list("team", "data"):
        told[team_id] |= {entry["workload"] for entry in data["workloads"]}
    by_team: defaultdict[int, list[tuple[Workload, dict[str, list[str]]]]] = defaultdict(list)
    for workload, roles in _workloads_on(model).items():
        if workload.slug not in told[workload.team_id]:
            by_team[workload.team_id].append((workload, roles))
    for team_id, entries in by_team.items():
        n = len(entries)
        when = "today" if left == 0 else f"in {left} day{'' if left == 1 else 's'}, on {retires_on}"
        named = ", ".join(f"{workload.slug} ({' and '.join(roles)})" for workload, roles in entries[:5])
        more = f" and {n - 5} more" if n > 5 else ""
        yield News(
            key=f"{stem}:{team_id}:{len(told[team_id])}",
            kind=NoticeKind.RETIREMENT_NEAR,
            team_id=team_id,
            words=f"{model} retires {when}: {n} workload{' is' if n == 1 else 's are'} on it, {named}{more}",
            data={
                "team": entries[0][0].team.slug,
                "model": model.slug,
                "vendor": model.vendor.slug,
                "retires_on": retires_on.isoformat(),
                "days_left": left,
                "warning": warning,
                "workloads": [
                    {"workload": workload.slug, "as": list(roles), "pilots": sorted({*chain(*roles.values())})}
                    for workload, roles in entries
                ],
            },
        )


def _workloads_on(model: ModelVersion) -> Roles:
    found: Roles = {}
    for workload in Workload.objects.filter(runs_on=model).select_related("team"):
        found.setdefault(workload, {}).setdefault("in production", [])
    pilots = Pilot.objects.select_related("workload__team").order_by("slug")
    for role, rows in (
        ("incumbent", pilots.filter(incumbent=model, status__in=_ON_INCUMBENT)),
        ("candidate", pilots.filter(candidate=model, status__in=_ON_CANDIDATE)),
    ):
        for pilot in rows:
            found.setdefault(pilot.workload, {}).setdefault(role, []).append(pilot.slug)
    return dict(sorted(found.items(), key=lambda entry: entry[0].slug))
