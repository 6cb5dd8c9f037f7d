"""Observed production usage from files and programs. Public surface: ``import_traffic``, ``record_traffic``,
``TrafficReport``, ``Problem``.

Both go the same way: rows are gathered by source (the names as written) and UTC day, the names are read by the mapping
rules, and what is new or different is stored in a few statements however much it is.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from django.db import IntegrityError, connection, transaction

from evaluations.capture.base import BadLine, CaptureError
from evaluations.capture.usage import UsageRow, open_usage
from evaluations.models import Team, Workload
from evaluations.models.fields import trillionths
from evaluations.services.audit import Actor, Link, record_all, register_actions
from evaluations.services.bulk import insert_rows, table, update_rows
from evaluations.services.errors import Conflict, Refused
from pilots.models import TrafficDay, TrafficSource
from pilots.services.traffic_names import GatewayNames, Source, on, source_digest
from pilots.services.traffic_names import Mapping as Mapped
from pilots.services.traffic_readings import mark_due

register_actions({"traffic.imported": "imported observed traffic from"})

MOST_PROBLEMS = 50
_AT_ONCE = 50_000  # rows in one statement: what it holds in memory does not grow with the file
_FEW = 5000  # keys in one question
_REPLACED_SHOWN = 20
_VALUES = ("requests", "input_tokens", "output_tokens", "errors", "cost_amount", "currency")
_COLUMNS = ("source", "workload", "day", "model", *_VALUES, "recorded_at", "replaced_at")


class Total(NamedTuple):
    """Usage of one source on one day; None: not said, or not of every answered call."""

    requests: int
    input_tokens: int | None
    output_tokens: int | None
    errors: int | None
    cost: Decimal | None
    currency: str


@dataclass(frozen=True, slots=True)
class Problem:
    """A row that breaks a rule."""

    file: str
    line: int
    field: str  # '': the row as a whole
    reason: str

    def __str__(self) -> str:
        return f"{self.file}: line {self.line}: {self.field}{': ' if self.field else ''}{self.reason}"


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
    gathered = _Gathered(at.date(), MOST_PROBLEMS if dry_run else 1)
    for path in paths:
        try:
            file = open_usage(path)
            gathered.take(path.name, file.rows, calls=file.calls)
        except CaptureError as error:
            raise Refused(str(error)) from None
        except OSError as error:
            raise Refused(f"{path}: {error.strerror or error}") from None
    label = ", ".join(path.name for path in paths)
    return _store(gathered, label, by, at, workloads, dry_run)


def record_traffic(
    *, rows: Sequence[UsageRow], by: Actor, at: datetime, workloads: Collection[int] | None = None
) -> TrafficReport:
    """The same for rows at hand: totals of days, numbered by their ``line``."""
    gathered = _Gathered(at.date(), 1)
    gathered.take("rows", rows, calls=False)
    return _store(gathered, "rows", by, at, workloads, dry_run=False)


class _Stored(NamedTuple):
    """A row in force."""

    pk: int
    mapped: Mapped
    total: Total


@dataclass(slots=True)
class _Tally:
    """What an import means for one workload."""

    added: int = 0
    replaced: int = 0
    unchanged: int = 0
    differences: list[dict[str, Any]] = field(default_factory=list)


class _Gathered:
    """What files say, by source and day, each day as its (first) row."""

    def __init__(self, today: date, most_problems: int) -> None:
        self.days: dict[Source, dict[date, UsageRow]] = {}
        self.problems: list[Problem] = []
        self._today, self._most = today, most_problems
        self._calls: set[int] = set()  # that were counted
        self._files: dict[int, str] = {}  # of a row's id, where it is not the first file
        self._file = ""

    def take(self, file: str, rows: Iterable[UsageRow | BadLine], *, calls: bool) -> None:
        self._file = self._file or file
        days, today = self.days, self._today
        for row in rows:
            if isinstance(row, BadLine):
                self.problem(file, row.line, row.field, row.reason)
            elif row.day > today:
                self.problem(file, row.line, "day", f"{row.day} lies in the future")
            else:
                # A slice is a plain tuple, which finds the named one that is equal to it.
                of_source = days.get(row[1:4])  # type: ignore[call-overload]
                if of_source is None:
                    of_source = days[Source(*row[1:4])] = {}
                if calls:
                    self._add(of_source, row)
                elif (first := of_source.setdefault(row.day, row)) is not row and first[5:11] != row[5:11]:
                    where = f"line {first.line}" if self.file_of(first) == file else f"{self.file_of(first)}"
                    self.problem(file, row.line, "", f"says otherwise than {where} of the same workload, day and model")
                if file != self._file and of_source[row.day] is row:
                    self._files[id(row)] = file
            if len(self.problems) >= self._most:
                return

    def file_of(self, row: UsageRow) -> str:
        return self._files.get(id(row), self._file)

    def problem(self, file: str, line: int, field: str, reason: str) -> None:
        self.problems.append(Problem(file, line, field, reason))

    def _add(self, of_source: dict[date, UsageRow], row: UsageRow) -> None:
        if row.call:
            call = hash(row.call)
            if call in self._calls:
                return
            self._calls.add(call)
        if row.errors:
            # A failed call that says nothing of tokens or money has used none, as far as any log can tell.
            row = row._replace(
                input_tokens=row.input_tokens or 0, output_tokens=row.output_tokens or 0, cost=row.cost or Decimal(0)
            )
        old = of_source.get(row.day)
        of_source[row.day] = row if old is None else _sum(old, row)


def _sum(old: UsageRow, new: UsageRow) -> UsageRow:
    """What no answered call left unsaid stays said."""
    return old._replace(
        requests=old.requests + new.requests,
        input_tokens=_plus(old.input_tokens, new.input_tokens),
        output_tokens=_plus(old.output_tokens, new.output_tokens),
        errors=_plus(old.errors, new.errors),
        cost=None if old.cost is None or new.cost is None else old.cost + new.cost,
        currency=old.currency or new.currency,
    )


def _plus(a: int | None, b: int | None) -> int | None:
    return None if a is None or b is None else a + b


def _store(
    gathered: _Gathered, label: str, by: Actor, at: datetime, allowed: Collection[int] | None, dry_run: bool
) -> TrafficReport:
    if gathered.problems and not dry_run:
        raise Refused(str(gathered.problems[0]))
    try:
        with transaction.atomic():
            report = _Import(gathered, label, at, allowed).run(by)
            if dry_run or report.problems:
                transaction.set_rollback(True)
    except IntegrityError:
        raise Conflict("somebody imports the same days at this moment: try again, nothing was stored") from None
    if report.problems and not dry_run:
        raise Refused(str(report.problems[0]))
    return report


class _Import:
    """One import, inside its transaction."""

    def __init__(self, gathered: _Gathered, label: str, at: datetime, allowed: Collection[int] | None) -> None:
        self.gathered, self.label, self.at = gathered, label, at
        self.allowed = None if allowed is None else frozenset(allowed)
        self.names = GatewayNames()
        self.fresh: list[tuple[Any, ...]] = []
        self.outdated: list[int] = []  # rows that are replaced
        self.tallies: dict[int | None, _Tally] = defaultdict(_Tally)  # by workload
        self.waiting: dict[Source, tuple[int, int]] = {}  # days and requests

    def run(self, by: Actor) -> TrafficReport:
        self._compare()
        if not self.gathered.problems:
            for outdated in _slices(self.outdated, _AT_ONCE):
                update_rows(TrafficDay, ("replaced_at",), ("id",), [(self.at, pk) for pk in outdated])
            for fresh in _slices(self.fresh, _AT_ONCE):
                _insert(fresh)
            record_all(self._links(), by=by, at=self.at)
            mark_due(pk for pk, tally in self.tallies.items() if pk is not None and (tally.added or tally.replaced))
        return self._report()

    def _compare(self) -> None:
        """Sort what was told into new, different and known."""
        gathered, fresh, at = self.gathered, self.fresh, self.at
        keys, stored = self._known(list(gathered.days))
        nothing: dict[date, _Stored] = {}
        for source, days in gathered.days.items():
            key, periods = keys[source], self.names.periods(source)
            before = stored.get(key, nothing)
            for day, row in days.items():
                # A day of failed calls alone has a sum of no money in no currency.
                total = row[5:11] if row.currency or row.cost is None else (*row[5:9], None, "")
                mapped = on(periods, day)
                known = before.get(day)
                if known is not None:
                    # A name that no rule explains any more means what it meant.
                    mapped = Mapped(mapped.workload or known.mapped.workload, mapped.model or known.mapped.model)
                workload, model = mapped
                if self.allowed is not None and workload is not None and workload not in self.allowed:
                    reason = f"{source.key_alias!r} is not one that you may import for"
                    gathered.problem(gathered.file_of(row), row.line, "workload", reason)
                    return
                tally = self.tallies[workload]
                if workload is None or model is None:
                    waiting, requests = self.waiting.get(source, (0, 0))
                    self.waiting[source] = (waiting + 1, requests + row.requests)
                if known is None:
                    tally.added += 1
                elif known.total == total and known.mapped == mapped:
                    tally.unchanged += 1
                    continue
                else:
                    self.outdated.append(known.pk)
                    tally.replaced += 1
                    if len(tally.differences) < _REPLACED_SHOWN:
                        tally.differences.append(_difference(source, day, known.total, Total(*total)))
                fresh.append((key, workload, day, model, *total, at, None))

    def _known(self, sources: Sequence[Source]) -> tuple[dict[Source, int], dict[int, dict[date, _Stored]]]:
        """The key of each source, made where it is new, and the rows in force of the others."""
        digests = {source: source_digest(source) for source in sources}
        known: dict[str, int] = {}
        for part in _slices(list(digests.values()), _FEW):
            known |= dict(TrafficSource.objects.filter(digest__in=part).values_list("digest", "pk"))
        new = [
            TrafficSource(**source._asdict(), digest=digest)
            for source, digest in digests.items()
            if digest not in known
        ]
        made = TrafficSource.objects.bulk_create(new, batch_size=5000)
        keys = known | {row.digest: row.pk for row in made}
        return {source: keys[digest] for source, digest in digests.items()}, self._in_force(sorted(known.values()))

    def _in_force(self, sources: Sequence[int]) -> dict[int, dict[date, _Stored]]:
        days = self._days()
        found: dict[int, dict[date, _Stored]] = defaultdict(dict)
        for part in _slices(sources, _FEW):
            rows = TrafficDay.objects.filter(
                source__in=part, day__gte=min(days), day__lte=max(days), replaced_at__isnull=True
            )
            columns = ("source_id", "day", "pk", "workload_id", "model_id", *_VALUES)
            for source, day, pk, workload, model, *values in rows.values_list(*columns).iterator(chunk_size=5000):
                found[source][day] = _Stored(pk, Mapped(workload, model), Total(*values))
        return found

    def _days(self) -> set[date]:
        return {day for days in self.gathered.days.values() for day in days}

    def _links(self) -> list[Link]:
        """One audit event for each team whose record changed, and one for what waits."""
        changed = {pk: tally for pk, tally in self.tallies.items() if tally.added or tally.replaced}
        teams: dict[int | None, Team | None] = {
            workload.pk: workload.team for workload in Workload.objects.select_related("team") if workload.pk in changed
        }
        by_team: dict[Team | None, list[_Tally]] = defaultdict(list)
        for pk, tally in changed.items():
            by_team[teams.get(pk)].append(tally)
        return [
            Link(
                action="traffic.imported",
                object_type="traffic",
                object_id=self.label[:80],
                object_label=self.label,
                team=team,
                data={
                    "workloads": len(tallies) if team else 0,
                    "added": sum(tally.added for tally in tallies),
                    "replaced": sum(tally.replaced for tally in tallies),
                    "differences": [item for tally in tallies for item in tally.differences][:_REPLACED_SHOWN],
                },
            )
            for team, tallies in sorted(by_team.items(), key=lambda item: item[0].slug if item[0] else "")
        ]

    def _report(self) -> TrafficReport:
        days = self._days()
        unmapped = sum(n for n, _ in self.waiting.values())
        waiting = [Waiting(source, *volume) for source, volume in self.waiting.items()]
        return TrafficReport(
            days=sum(map(len, self.gathered.days.values())) - unmapped,
            workloads=len(self.tallies.keys() - {None}),
            unmapped=unmapped,
            added=sum(tally.added for tally in self.tallies.values()),
            replaced=sum(tally.replaced for tally in self.tallies.values()),
            unchanged=sum(tally.unchanged for tally in self.tallies.values()),
            first_on=min(days, default=None),
            last_on=max(days, default=None),
            waiting=tuple(sorted(waiting, key=lambda item: (-item.requests, item.source))),
            problems=tuple(self.gathered.problems),
        )


def _insert(rows: Sequence[tuple[Any, ...]]) -> None:
    """PostgreSQL takes a copy twice as fast as the statement that serves every other table."""
    if connection.vendor != "postgresql":
        insert_rows(TrafficDay, _COLUMNS, rows)
        return
    fields: list[Any] = [TrafficDay._meta.get_field(name) for name in _COLUMNS]
    columns = ", ".join(connection.ops.quote_name(field.column) for field in fields)
    # Numbers, dates and a code of three letters: nothing in here needs an escape.
    lines = [
        "\t".join(["\\N" if value is None else str(value) for value in (*row[:8], _money(row[8]), *row[9:])])
        for row in rows
    ]
    with connection.cursor() as cursor, cursor.copy(f"COPY {table(TrafficDay)} ({columns}) FROM STDIN") as copy:
        copy.write("\n".join(lines) + "\n")


def _money(amount: Decimal | None) -> int | None:
    return None if amount is None else trillionths(amount)


def _difference(source: Source, day: date, old: Total, new: Total) -> dict[str, Any]:
    """What the audit says of a day that was replaced."""
    changed = [name for name in Total._fields if getattr(old, name) != getattr(new, name)]
    return {
        "workload": source.key_alias,
        "model": source.wire_name,
        "day": day.isoformat(),
        "from": {name: _plain(getattr(old, name)) for name in changed},
        "to": {name: _plain(getattr(new, name)) for name in changed},
    }


def _plain(value: int | str | Decimal | None) -> int | str | None:
    return str(value) if isinstance(value, Decimal) else value


T = TypeVar("T")


def _slices(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]
