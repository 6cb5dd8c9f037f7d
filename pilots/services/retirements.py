"""Warning of models that go away. Public surface: ``warn_of_retirements``."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from itertools import chain
from operator import attrgetter

from django.db import transaction

from evaluations.models import ModelVersion, Workload
from pilots.conf import setting
from pilots.enums import NoticeKind
from pilots.models import Notice
from pilots.selectors.end_of_life import OnModel, standings
from pilots.services.notices import News, announce


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
    chosen = ModelVersion.objects.filter(pk=model.pk)
    lines = [
        line
        for standing in standings(Workload.objects.all(), today=retires_on, models=chosen)
        for line in standing.lines
    ]
    teams = dict(Workload.objects.filter(pk__in=[line.pk for line in lines]).values_list("pk", "team_id"))
    by_team: defaultdict[int, list[OnModel]] = defaultdict(list)
    for line in sorted(lines, key=attrgetter("workload")):
        if line.workload not in told[teams[line.pk]]:
            by_team[teams[line.pk]].append(line)
    for team_id, entries in by_team.items():
        n = len(entries)
        when = "today" if left == 0 else f"in {left} day{'' if left == 1 else 's'}, on {retires_on}"
        named = ", ".join(f"{line.workload} ({' and '.join(line.roles)})" for line in entries[:5])
        more = f" and {n - 5} more" if n > 5 else ""
        yield News(
            key=f"{stem}:{team_id}:{len(told[team_id])}",
            kind=NoticeKind.RETIREMENT_NEAR,
            team_id=team_id,
            words=f"{model} retires {when}: {n} workload{' is' if n == 1 else 's are'} on it, {named}{more}",
            data={
                "team": entries[0].team,
                "model": model.slug,
                "vendor": model.vendor.slug,
                "retires_on": retires_on.isoformat(),
                "days_left": left,
                "warning": warning,
                "workloads": [
                    {
                        "workload": line.workload,
                        "as": list(line.roles),
                        "pilots": sorted({*chain(*line.roles.values())}),
                    }
                    for line in entries
                ],
            },
        )
