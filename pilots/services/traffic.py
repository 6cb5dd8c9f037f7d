"""Observed production usage from files and programs. Public surface: ``import_traffic``, ``record_traffic``,
``TrafficReport``, ``Problem``.

Both go the same way: rows are staged by source (the names as written) and UTC day, the names are read by the mapping
rules, and what is new or different is stored in a few statements however much it is.
"""

from __future__ import annotations

import gc
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from django.db import IntegrityError, transaction

from evaluations.capture.base import CaptureError
from evaluations.capture.usage import UsageRow, open_usage
from evaluations.models import Team, Workload
from evaluations.services.audit import Actor, Link, record_all, register_actions
from evaluations.services.bulk import large_transaction
from evaluations.services.errors import Conflict, Refused
from pilots.services.savings_readings import savings_of_workloads_due
from pilots.services.traffic_comparing import Change, Comparing, Difference, Group
from pilots.services.traffic_names import Source
from pilots.services.traffic_readings import mark_due
from pilots.services.traffic_staging import Problem, Staging, Total

__all__ = ["Problem", "TrafficReport", "Waiting", "import_traffic", "record_traffic"]

register_actions({"traffic.imported": "imported observed traffic from"})

MOST_PROBLEMS = 50
_REPLACED_SHOWN = 20


@dataclass(frozen=True, slots=True)
class Waiting:
    """Names that nobody has said the meaning of, with what waits for it."""

    source: Source
    days: int
    requests: int


@dataclass(frozen=True, slots=True)
class TrafficReport:
    """What an import did, or would do. A traffic day is a workload's usage of one model on one day."""

    days: int  # traffic days with a workload and a model
    workloads: int
    unmapped: int  # traffic days that wait for a rule
    added: int  # of all, here and below
    replaced: int
    unchanged: int
    first_on: date | None  # None: an empty file
    last_on: date | None
    waiting: tuple[Waiting, ...]  # largest first
    problems: tuple[Problem, ...] = ()  # of a dry run: nothing would be stored

    def to_document(self) -> dict[str, int]:
        return {name: getattr(self, name) for name in ("days", "workloads", "unmapped", *_CHANGES)}


_CHANGES = ("added", "replaced", "unchanged")


def import_traffic(
    *,
    paths: Sequence[Path],
    by: Actor,
    at: datetime,
    workloads: Collection[int] | None = None,
    dry_run: bool = False,
) -> TrafficReport:
    """Store the usage in ``paths``, all or nothing; the parts of one log are given together.

    A log with one call a line is added up by day, so it has to hold whole days. A source's day that is on record with
    other numbers is replaced, the same numbers change nothing. ``workloads``: primary keys of those that may be written
    to; None: all. With ``dry_run`` nothing is kept, and all bad rows are in the report. Raises ``Refused`` naming file,
    line and field of the first, and ``Conflict`` when somebody imports the same days at this moment.
    """
    return _Import(at, workloads, by, dry_run).of_files(paths)


def record_traffic(
    *, rows: Sequence[UsageRow], by: Actor, at: datetime, workloads: Collection[int] | None = None
) -> TrafficReport:
    """The same for rows at hand: totals of days, numbered by their ``line``."""
    return _Import(at, workloads, by, dry_run=False).of_rows(rows)


@contextmanager
def _uncollected() -> Iterator[None]:
    """Reading makes millions of small objects that end with their block: to look for cycles among them takes a fifth of
    the time."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


class _Import:
    """One import, in one transaction."""

    def __init__(self, at: datetime, allowed: Collection[int] | None, by: Actor, dry_run: bool) -> None:
        self.at, self.by, self.dry_run = at, by, dry_run
        self.allowed = None if allowed is None else frozenset(allowed)
        self.staging = Staging(at.date(), MOST_PROBLEMS if dry_run else 1)

    def of_files(self, paths: Sequence[Path]) -> TrafficReport:
        def take() -> None:
            for path in paths:
                try:
                    file = open_usage(path)
                    self.staging.take(path.name, file.rows, calls=file.calls)
                except CaptureError as error:
                    raise Refused(str(error)) from None
                except OSError as error:
                    raise Refused(f"{path}: {error.strerror or error}") from None
                if len(self.staging.problems) >= (MOST_PROBLEMS if self.dry_run else 1):
                    return

        return self._run(take, ", ".join(path.name for path in paths))

    def of_rows(self, rows: Sequence[UsageRow]) -> TrafficReport:
        return self._run(lambda: self.staging.take("rows", rows, calls=False), "rows")

    def _run(self, take: Callable[[], None], label: str) -> TrafficReport:
        try:
            with transaction.atomic():
                large_transaction()
                with self.staging.taking(), _uncollected():
                    take()
                groups = self._compare()
                if self.staging.problems or self.dry_run:
                    transaction.set_rollback(True)
                else:
                    self._store(groups, label)
        except IntegrityError:
            raise Conflict("somebody imports the same days at this moment: try again, nothing was stored") from None
        if self.staging.problems and not self.dry_run:
            raise Refused(str(self.staging.problems[0]))
        return self._report(groups)

    def _compare(self) -> list[Group]:
        staging = self.staging
        self.comparing = Comparing(staging)
        for file, line, first_file, first_line in self.comparing.contradictions(MOST_PROBLEMS):
            where = f"line {first_line}" if first_file == file else staging.files[first_file]
            reason = f"says otherwise than {where} of the same workload, day and model"
            staging.problem(staging.files[file], line, "", reason)
        if staging.problems and not self.dry_run:
            return []
        groups = self.comparing.groups()
        if self.allowed is not None:
            foreign = next((g for g in groups if g.workloads - self.allowed), None)
            if foreign is not None:
                reason = f"{foreign.source.key_alias!r} is not one that you may import for"
                staging.problem(*self.comparing.place(foreign.seq), "workload", reason)
        staging.problems = sorted(staging.problems, key=lambda one: (staging.files.index(one.file), one.line))
        return groups

    def _store(self, groups: Sequence[Group], label: str) -> None:
        replaced = any(group.change is Change.REPLACED for group in groups)
        differences = self.comparing.differences(_REPLACED_SHOWN) if replaced else []
        self.comparing.store(self.at, replaced=replaced)
        self.comparing.drop()
        changed = [group for group in groups if group.change is not Change.UNCHANGED]
        concerned = {workload for group in changed for workload in group.workloads}
        mark_due(concerned)
        record_all(_links(changed, differences, label), by=self.by, at=self.at)
        savings_of_workloads_due(concerned)

    def _report(self, groups: Sequence[Group]) -> TrafficReport:
        waiting: dict[Source, Waiting] = {}
        for group in groups:
            if not group.whole:
                before = waiting.get(group.source, Waiting(group.source, 0, 0))
                waiting[group.source] = Waiting(
                    group.source, before.days + group.days, before.requests + group.requests
                )
        unmapped = sum(item.days for item in waiting.values())
        numbers = {change: sum(group.days for group in groups if group.change is change) for change in Change}
        return TrafficReport(
            days=sum(numbers.values()) - unmapped,
            workloads=len({group.workload for group in groups} - {None}),
            unmapped=unmapped,
            added=numbers[Change.ADDED],
            replaced=numbers[Change.REPLACED],
            unchanged=numbers[Change.UNCHANGED],
            first_on=self.staging.first_on,
            last_on=self.staging.last_on,
            waiting=tuple(sorted(waiting.values(), key=lambda item: (-item.requests, item.source))),
            problems=tuple(self.staging.problems),
        )


def _links(changed: Sequence[Group], differences: Sequence[Difference], label: str) -> list[Link]:
    """One audit event for each team whose record changed, also by days that count for another team's workload from now
    on, and one for what waits."""
    keys = {workload for group in changed for workload in group.workloads}
    team_of: dict[int | None, int] = {
        pk: team for pk, team in Workload.objects.values_list("pk", "team_id") if pk in keys
    }
    by_team: dict[int | None, list[Group]] = defaultdict(list)
    lost: dict[int | None, int] = defaultdict(int)
    for group in changed:
        team, before = team_of.get(group.workload), team_of.get(group.before)
        by_team[team].append(group)
        if before is not None and before != team:
            lost[before] += group.days
            by_team.setdefault(before, [])
    different: dict[int | None, list[dict[str, Any]]] = defaultdict(list)
    for one in differences:
        different[team_of.get(one.workload)].append(_difference(one))
    teams: dict[int | None, Team] = {team.pk: team for team in Team.objects.filter(pk__in=set(team_of.values()))}
    return [
        Link(
            action="traffic.imported",
            object_type="traffic",
            object_id=label[:80],
            object_label=label,
            team=teams.get(team),
            data={
                "workloads": len({group.workload for group in groups}) if team else 0,
                "added": sum(group.days for group in groups if group.change is Change.ADDED),
                "replaced": sum(group.days for group in groups if group.change is Change.REPLACED),
                "lost": lost[team],
                "differences": different[team],
            },
        )
        for team, groups in sorted(by_team.items(), key=lambda item: teams[item[0]].slug if item[0] else "")
    ]


def _difference(one: Difference) -> dict[str, Any]:
    """What the audit says of a day that was replaced."""
    changed = [name for name in Total._fields if getattr(one.old, name) != getattr(one.new, name)]
    return {
        "workload": one.source.key_alias,
        "model": one.source.wire_name,
        "day": one.day.isoformat(),
        "from": {name: _plain(getattr(one.old, name)) for name in changed},
        "to": {name: _plain(getattr(one.new, name)) for name in changed},
    }


def _plain(value: int | str | Decimal | None) -> int | str | None:
    return str(value) if isinstance(value, Decimal) else value
