"""A large portfolio to measure against: believable lives of pilots, and years of their daily traffic.

Histories go in through the import that people use, so every row is one that the services write. Traffic is copied into
the table: eleven million rows through the service would take minutes. Seeded: the same numbers give the same portfolio.
"""

from __future__ import annotations

import csv
import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from django.contrib.auth import get_user_model
from django.db import connection

from evaluations.models import ModelVersion, Workload
from evaluations.services.audit import Actor
from pilots.demo.history import COLUMNS
from pilots.models import TrafficDay, TrafficSource
from pilots.services.history_import import import_history
from pilots.services.traffic_names import Source, source_digest

TRAFFIC_COLUMNS = (
    "workload",
    "day",
    "model",
    "requests",
    "input_tokens",
    "output_tokens",
    "errors",
    "cost",
    "currency",
)
PAIRS = (
    ("gpt-4o", "mai-thinking-1"),
    ("gpt-4", "mai-thinking-1"),
    ("gpt-4o", "claude-sonnet-4.5"),
    ("claude-sonnet-4", "gemini-2.5-pro"),
    ("gemini-2.0-flash", "gpt-5-mini"),
    ("mistral-large", "gpt-5-mini"),
)
REASONS = ("quality", "latency", "cost", "refusals", "reliability", "integration", "user_preference")
FOLLOW_UPS = (30, 60, 90, 180, 365)
TEAMS = 300
RETURN_DAYS = 12  # a silent rollback is this old at the end of the record


@dataclass(frozen=True)
class Life:
    """One pilot, and what its workload's traffic looks like."""

    number: int
    incumbent: str
    candidate: str
    opened: date
    cutover: date | None
    left: date | None  # rolled back, superseded or ended
    event: str  # by which it left; '': still on it
    fate: str  # declined, abandoned, alongside, in_progress: instead of a cutover; '': it was cut over
    silent: bool  # back on the incumbent without a word
    residue: float  # of the traffic that stays on the other model after the cutover
    volume: int  # requests a day

    @property
    def workload(self) -> str:
        return f"w{self.number:05}"

    @property
    def team(self) -> str:
        return f"team-{self.number % TEAMS:03}"


def lives(pilots: int, *, anchor: date, seed: int = 20260000) -> Iterator[Life]:
    rng = random.Random(seed)
    for number in range(pilots):
        incumbent, candidate = PAIRS[rng.randrange(len(PAIRS))]
        back = rng.randrange(20, 1050)
        fate, left, event = "", None, ""
        draw = rng.random()
        if draw < 0.22:
            fate = rng.choice(("declined", "abandoned", "alongside", "in_progress", "in_progress"))
        cutover = anchor - timedelta(days=back)
        stays = int(rng.weibullvariate(1600, 0.8)) + 3
        if not fate and stays < back:
            left = cutover + timedelta(days=stays)
            event = rng.choices(("rollback", "superseded", "ended"), (7, 2, 1))[0]
        silent = not fate and not event and back > 60 and rng.random() < 0.03
        yield Life(
            number, incumbent, candidate, cutover - timedelta(days=rng.randrange(20, 60)),
            None if fate else cutover, left, event, fate, silent,
            rng.choice((0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.04, 0.12)), rng.randrange(200, 20_000),
        )  # fmt: skip


def history_rows(life: Life, *, anchor: date) -> Iterator[dict[str, Any]]:
    """The rows of one pilot in the history file."""
    rng = random.Random(life.number)
    base = dict.fromkeys(COLUMNS, "") | {
        "team": life.team,
        "workload": life.workload,
        "pilot": f"p{life.number:05}",
        "incumbent": life.incumbent,
        "candidate": life.candidate,
    }

    def row(event: str, on: date, **more: str) -> dict[str, Any]:
        return {**base, "event": event, "occurred_at": on.isoformat(), **more}

    yield row("opened", life.opened)
    at = life.opened + timedelta(days=15)
    if life.fate in ("declined", "abandoned"):
        yield row(life.fate, at, note="No longer wanted.")
    elif life.fate == "alongside":
        yield row("decided", at)
        yield row("alongside", at + timedelta(days=3), traffic_share="0.4")
    elif life.fate == "in_progress" and life.number % 2:
        yield row("decided", at)
    if life.cutover is None:
        return
    yield row("decided", at)
    yield row("ramp", life.cutover - timedelta(days=3), traffic_share="0.2")
    yield row("cutover", life.cutover, traffic_share="1")
    answered = rng.choices(range(6), (2, 1, 1, 1, 1, 14))[0]
    for day in FOLLOW_UPS[:answered]:
        due = life.cutover + timedelta(days=day + rng.randrange(0, 4))
        if due < (life.left or anchor):
            yield row("follow_up", due)
    if life.left is None:
        return
    if life.event == "rollback":
        yield row("rollback", life.left, traffic_share="1", reason=rng.choice(REASONS), attachment="incident:Q-1")
    elif life.event == "superseded":
        yield row("superseded", life.left, to_model="deepseek-v3")
    else:
        yield row("ended", life.left)


def usage(life: Life, *, first: date, last: date) -> Iterator[tuple[date, str, int]]:
    """Requests by model of each day; every workload is seen every day unless it has ended."""
    returned = last - timedelta(days=RETURN_DAYS) if life.silent else None
    cutover = life.cutover
    for offset in range((last - first).days + 1):
        day = first + timedelta(days=offset)
        total = life.volume * (100 + (life.number * 7 + offset * 13) % 21 - 10) // 100
        main, other, residue = life.incumbent, life.candidate, 0.0
        if life.fate == "alongside" and day > life.opened + timedelta(days=18):
            residue = 0.4
        if cutover is not None and day >= cutover:
            main, other, residue = life.candidate, life.incumbent, life.residue
            if life.left is not None and day >= life.left:
                if life.event == "ended":
                    return
                main, residue = (life.incumbent if life.event == "rollback" else "deepseek-v3"), 0.0
            elif returned is not None and day >= returned:
                main, other, residue = life.incumbent, life.candidate, 0.15
        aside = int(total * residue)
        yield day, main, total - aside
        if aside:
            yield day, other, aside


def write_month(path: Path, pilots: int, *, anchor: date, first: date, days: int) -> int:
    """A month of everybody's traffic, two models a workload and day, as a gateway's export; returns its rows."""
    rows = 0
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(TRAFFIC_COLUMNS)
        for life in lives(pilots, anchor=anchor):
            on_it = life.cutover is not None and life.left is None
            main, other = (life.candidate, life.incumbent) if on_it else (life.incumbent, life.candidate)
            share = 0.2 if life.number % 100 == 7 else 0.96
            for offset in range(days):
                day = (first + timedelta(days=offset)).isoformat()
                for model, n in ((main, int(life.volume * share)), (other, life.volume - int(life.volume * share))):
                    writer.writerow(
                        (life.workload, day, model, n, n * 812, n * 164, n // 400, f"{n * 0.00231:.6f}", "USD")
                    )
                    rows += 1
    return rows


def make_portfolio(pilots: int, *, anchor: date, folder: Path) -> None:
    """Import the histories, as people do: a file for each thousand pilots."""
    now = datetime.combine(anchor, datetime.min.time(), UTC)
    every = list(lives(pilots, anchor=anchor))
    for start in range(0, pilots, 1000):
        path = folder / f"history-{start:05}.csv"
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, COLUMNS)
            writer.writeheader()
            for life in every[start : start + 1000]:
                writer.writerows(history_rows(life, anchor=anchor))
        import_history(path=path, by=Actor.command("bench"), at=now)
    # Overdue follow-ups and lists by owner need somebody.
    users = get_user_model()
    if not users.objects.filter(username="bench").exists():
        users.objects.create_superuser("bench", password="bench")


def copy_traffic(pilots: int, *, anchor: date, first: date, last: date) -> int:
    """The days from ``first`` to ``last`` straight into the table; returns the rows."""
    workloads = dict(Workload.objects.values_list("slug", "pk"))
    models = dict(ModelVersion.objects.values_list("slug", "pk"))
    sources = _sources(pilots, anchor)
    columns = (
        "source_id, workload_id, day, model_id, requests, input_tokens, output_tokens, errors, cost_amount, currency,"
        " recorded_at, replaced_at"
    )
    at = datetime.combine(last, datetime.max.time(), UTC).isoformat()
    n = 0
    with connection.cursor() as cursor, cursor.copy(
        f"COPY {TrafficDay._meta.db_table} ({columns}) FROM STDIN"
    ) as copy:  # fmt: skip
        for life in lives(pilots, anchor=anchor):
            workload, block = workloads[life.workload], []
            for day, model, requests in usage(life, first=first, last=last):
                block.append(
                    f"{sources[life.workload, model]}\t{workload}\t{day}\t{models[model]}\t{requests}\t{requests * 812}"
                    f"\t{requests * 164}\t{requests // 400}\t\\N\t\t{at}\t\\N\n"
                )
            n += len(block)
            copy.write("".join(block))
    return n


def _sources(pilots: int, anchor: date) -> dict[tuple[str, str], int]:
    names = [
        Source(life.workload, (), model)
        for life in lives(pilots, anchor=anchor)
        for model in dict.fromkeys((life.incumbent, life.candidate, "deepseek-v3"))
    ]
    made = TrafficSource.objects.bulk_create(
        [TrafficSource(**name._asdict(), digest=source_digest(name)) for name in names], batch_size=5000
    )
    return {(name.key_alias, name.wire_name): row.pk for name, row in zip(names, made, strict=True)}
