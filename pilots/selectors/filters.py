"""What a report is asked for. Public surface: ``ReportFilters``, ``GROUPINGS``.

Command line, query string and form all go through ``ReportFilters.parse``: one spelling, one set of refusals.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from typing import Any

from django.db.models import Q, QuerySet

from evaluations.services.errors import Refused
from pilots.conf import setting
from pilots.models import Pilot

# What ``--by`` may name. ``vendor`` groups by vendor pair, incumbent's first.
GROUPINGS = (
    "team",
    "vendor",
    "incumbent",
    "candidate",
    "task_type",
    "verdict",
    "forced",
    "workload",
    "motive",
)
_LISTS = {
    "team": "workload__team__slug",
    "workload": "workload__slug",
    "incumbent": "incumbent__slug",
    "candidate": "candidate__slug",
    "task_type": "workload__task_type",
    "pilot": "slug",
}
_LAST_INSTANT = time(23, 59, 59, 999999, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class ReportFilters:
    """Which pilots, seen when, read how. An empty tuple or None does not narrow anything."""

    as_of: date  # the state of the world at the end of that UTC day
    known_at: datetime  # using only what was recorded by then
    days: tuple[int, ...]  # days after the cutover at which retention is read, ascending
    min_at_risk: int  # fewer: the percentage is withheld
    team: tuple[str, ...] = ()  # slugs, here and below
    workload: tuple[str, ...] = ()
    vendor: tuple[str, ...] = ()  # of the incumbent or of the candidate
    incumbent: tuple[str, ...] = ()
    candidate: tuple[str, ...] = ()
    task_type: tuple[str, ...] = ()
    pilot: tuple[str, ...] = ()
    run: int | None = None  # a replay run of the pilot's plan
    set: int | None = None  # a sample set that was replayed for it
    by: str = ""  # one of GROUPINGS; '': no groups
    present: bool = True  # False: a past state was asked for
    known_before: bool = False  # an earlier state of the record was asked for

    @classmethod
    def parse(cls, given: Mapping[str, Any], *, now: datetime) -> ReportFilters:
        """From texts, lists of texts or comma-separated texts by name (``as-of`` or ``as_of``); empty ones are absent.

        Names that are not filters are left alone. Raises ``Refused`` naming the filter.
        """
        texts = {name.replace("-", "_"): _texts(value) for name, value in given.items()}
        one = {name: values[-1] for name, values in texts.items() if values}
        days = [_whole(text, "days", 0) for text in texts.get("days", [])]
        lists = {name: tuple(dict.fromkeys(texts.get(name, []))) for name in (*_LISTS, "vendor")}
        by = one.get("by", "").replace("-", "_")
        if by and by not in GROUPINGS:
            raise Refused(f"{by!r} is not one of {', '.join(GROUPINGS)}", field="by")
        return cls(
            as_of=_day(one["as_of"]) if "as_of" in one else now.astimezone(UTC).date(),
            known_at=_instant(one["known_at"]) if "known_at" in one else now,
            days=tuple(sorted(set(days))) or tuple(setting("RETENTION_DAYS")),
            min_at_risk=_whole(one["min_at_risk"], "min_at_risk", 1)
            if "min_at_risk" in one
            else setting("MIN_AT_RISK"),
            run=_whole(one["run"], "run", 1) if "run" in one else None,
            set=_whole(one["set"], "set", 1) if "set" in one else None,
            by=by,
            present=not {"as_of", "known_at"} & one.keys(),
            known_before="known_at" in one,
            **lists,
        )

    @property
    def until(self) -> datetime:
        """The last instant of ``as_of``."""
        return datetime.combine(self.as_of, _LAST_INSTANT)

    def apply(self, pilots: QuerySet[Pilot]) -> QuerySet[Pilot]:
        """Those of ``pilots`` that the report is about."""
        for name, lookup in _LISTS.items():
            if wanted := getattr(self, name):
                pilots = pilots.filter(**{f"{lookup}__in": wanted})
        if self.vendor:
            pilots = pilots.filter(
                Q(incumbent__vendor__slug__in=self.vendor) | Q(candidate__vendor__slug__in=self.vendor)
            )
        if self.run is not None:
            pilots = pilots.filter(plan__versions__runs=self.run)
        if self.set is not None:
            pilots = pilots.filter(plan__versions__runs__sample_set=self.set).distinct()
        return pilots

    def to_document(self) -> dict[str, Any]:
        """The filters that narrow or shape the report; the two instants stand beside it."""
        narrowing: dict[str, Any] = {name: list(getattr(self, name)) for name in (*_LISTS, "vendor")}
        narrowing |= {"run": self.run, "set": self.set, "by": self.by or None}
        given = {name: value for name, value in narrowing.items() if value}
        return {**given, "days": list(self.days), "min_at_risk": self.min_at_risk}


def _texts(value: Any) -> list[str]:
    items = value if isinstance(value, Sequence) and not isinstance(value, str) else [value]
    texts = [str(item) for item in items if item is not None]
    return [part.strip() for text in texts for part in text.split(",") if part.strip()]


def _whole(text: str, name: str, least: int) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 9 and int(text) >= least):
        raise Refused(f"{text!r} is not a whole number of at least {least}", field=name)
    return int(text)


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise Refused(f"{text!r} is not a date (YYYY-MM-DD)", field="as_of") from None


def _instant(text: str) -> datetime:
    """An instant, UTC where it names no zone; a bare date is the end of that day."""
    try:
        if len(text) == 10:
            return datetime.combine(date.fromisoformat(text), _LAST_INSTANT)
        # In a query string "+" arrives as a blank.
        moment = datetime.fromisoformat(text.replace(" ", "+") if text.count(" ") and "T" in text else text)
    except ValueError:
        raise Refused(f"{text!r} is not an instant (YYYY-MM-DDThh:mm:ssZ)", field="known_at") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
