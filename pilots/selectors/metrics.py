"""The site in numbers for a monitoring system. Public surface: ``site_metrics``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime

from django.db.models import Count, F, Sum

from evaluations.enums import Beat, RunStatus
from evaluations.models import CallTally, Heartbeat, ReplayRun
from evaluations.selectors.queue import queue_state
from pilots.models import Pilot
from pilots.prometheus import Family, Number
from pilots.selectors.followups import overdue_follow_ups

Sample = tuple[dict[str, str], Number]


def site_metrics(*, now: datetime) -> tuple[Family, ...]:
    """A handful of queries on counters and small tables; names of endpoints, and nothing of any team."""
    today = now.astimezone(UTC).date()
    queue = queue_state(now)
    beats = dict(Heartbeat.objects.values_list("name", "at"))
    chunks = {"ready": queue.ready, "leased": queue.leased, "waiting": queue.waiting}
    overdue = overdue_follow_ups(Pilot.objects.all(), today)
    return (
        _gauge("pilots_runs", "Replay runs by status.", _runs()),
        _gauge("pilots_chunks", "Slices of unfinished work.", (({"state": key}, n) for key, n in chunks.items())),
        _gauge(
            "pilots_answers_left",
            "Answers that the runs which go on still wait for.",
            [({}, _answers_left())],
        ),
        _gauge(
            "pilots_work_stalled_seconds",
            "How long due work has been lying while nothing moved.",
            [({}, queue.stalled_seconds)],
        ),
        Family(
            "pilots_calls_total",
            "counter",
            "Replay calls that have ended, retries included.",
            tuple(_calls()),
        ),
        _gauge(
            "pilots_spent_today",
            "Known cost of the replay calls that ended on this UTC day.",
            (
                ({"currency": currency}, amount)
                for currency, amount in CallTally.objects.filter(day=today)
                .values_list("run__currency")
                .annotate(amount=Sum("cost_amount"))
                .order_by("run__currency")
            ),
        ),
        _gauge(
            "pilots_seconds_since",
            "Since the scheduler last sent the sweep, and since a worker last did it.",
            (({"what": str(name)}, max(0.0, (now - beats[name]).total_seconds())) for name in Beat if name in beats),
        ),
        _gauge(
            "pilots_follow_ups_overdue",
            "Periods on a candidate whose follow-up is overdue.",
            [({}, overdue.values("pilot", "spell_number").distinct().count())],
        ),
    )


def _gauge(name: str, help: str, samples: Iterable[Sample]) -> Family:
    return Family(name, "gauge", help, tuple(samples))


def _runs() -> Iterator[Sample]:
    counts = dict(ReplayRun.objects.order_by().values_list("status").annotate(n=Count("id")))
    return (({"status": str(status)}, counts.get(status, 0)) for status in RunStatus)


def _answers_left() -> int:
    going = ReplayRun.objects.filter(status__in=[RunStatus.PENDING, RunStatus.RUNNING])
    left: int = going.aggregate(n=Sum(F("total") - F("done"), default=0))["n"]
    return left


def _calls() -> Iterator[Sample]:
    rows = CallTally.objects.values_list("endpoint__slug", "outcome").annotate(n=Sum("calls"))
    return (
        ({"endpoint": endpoint, "outcome": str(outcome)}, n)
        for endpoint, outcome, n in rows.order_by("endpoint__slug", "outcome")
    )
