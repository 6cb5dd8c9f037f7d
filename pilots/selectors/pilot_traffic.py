"""What observed traffic says of one pilot, for its page. Public surface: ``pilot_traffic``, ``PilotTraffic``,
``Contradiction``."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from urllib.parse import urlencode

from pilots.enums import ConflictKind, MeasuredState, PilotStatus
from pilots.facts import Timeline
from pilots.measured import Found, Measured, of_switch
from pilots.models import Pilot
from pilots.selectors.measured import Subject, days_of, measured, standing
from pilots.selectors.timelines import known_models, switch_of, timeline_of
from pilots.selectors.traffic import WINDOW_DAYS, ModelShare

SHOWN_DAYS = 90


@dataclass(frozen=True, slots=True)
class Contradiction:
    kind: ConflictKind
    words: str
    since_on: date
    record: str  # the kind of event that would settle it
    proposal: str  # that form's fields, as a query


@dataclass(frozen=True, slots=True)
class PilotTraffic:
    state: MeasuredState | None
    state_since: date | None
    first_on: date
    last_on: date
    observed_days: int  # ever
    covered_days: int  # of the window; the others are missing, not zero
    requests: int  # in the window
    shares: tuple[ModelShare, ...]  # in the window, largest first
    days: tuple[tuple[date, float, float], ...]  # of the last ``SHOWN_DAYS``: share on candidate and incumbent
    shown_from: date
    shown_to: date
    contradictions: tuple[Contradiction, ...]
    marks: tuple[tuple[date, str], ...]  # cutovers and the beginning of contradictions

    @property
    def coverage(self) -> float:
        return self.covered_days / WINDOW_DAYS


def pilot_traffic(pilot: Pilot, *, today: date) -> PilotTraffic | None:
    """None where nothing was observed. The window of shares ends with ``today``."""
    models = known_models()
    known, switch, timeline = (
        {model.slug: model for model in models.values()},
        switch_of(pilot, models),
        timeline_of(pilot),
    )
    subject = Subject(pilot.pk, pilot.version, pilot.workload_id, switch, timeline)
    reading = measured([subject], known, as_of=today)[pilot.pk]
    if reading.last_on is None or reading.first_on is None:
        return None
    shown_to = min(today, reading.last_on)
    shown_from = max(reading.first_on, shown_to - timedelta(days=SHOWN_DAYS - 1))
    window_from = today - timedelta(days=WINDOW_DAYS - 1)
    told = days_of([pilot.workload_id], since=min(shown_from, window_from), until=today).get(pilot.workload_id, [])
    volume: dict[str, int] = {}
    for day, by_model in told:
        if day >= window_from:
            for slug, n in by_model.items():
                volume[slug] = volume.get(slug, 0) + n
    total = sum(volume.values())
    seen = [of_switch(day, by_model, switch, known) for day, by_model in told if day >= shown_from]
    return PilotTraffic(
        state=reading.state,
        state_since=reading.state_since,
        first_on=reading.first_on,
        last_on=reading.last_on,
        observed_days=reading.observed_days,
        covered_days=sum(day >= window_from for day, _ in told),
        requests=total,
        shares=tuple(
            ModelShare(slug, n, n / total)
            for slug, n in sorted(volume.items(), key=lambda item: (-item[1], item[0]))
            if n
        ),
        days=tuple((day.day, day.candidate / day.total, day.incumbent / day.total) for day in seen if day),
        shown_from=shown_from,
        shown_to=shown_to,
        contradictions=_contradictions(reading, timeline, switch.incumbent.vendor),
        marks=(
            *((spell.started_on, "cutover") for spell in timeline.spells),
            *((found.since_on, "since") for found in standing(reading, timeline)),
        ),
    )


def _contradictions(reading: Measured, timeline: Timeline, incumbent_vendor: str) -> tuple[Contradiction, ...]:
    return tuple(_contradiction(found, timeline, incumbent_vendor) for found in standing(reading, timeline))


def _contradiction(found: Found, timeline: Timeline, incumbent_vendor: str) -> Contradiction:
    """With the event that would bring the record in line with the traffic."""
    words = conflict_words(found)
    percent = str(max(50, round(100 * found.share)))
    fields = {"occurred_at": f"{found.since_on}T00:00", "kind_0": "note", "reference_0": words}
    if found.kind is not ConflictKind.WENT_BACK:
        record, fields = "cutover", fields | {"share": percent}
    elif found.vendor == incumbent_vendor:
        record, fields = "rollback", fields | {"share_moved_back": percent, "to_model": found.model}
    else:
        record, fields = "superseded", fields | {"to_model": found.model}
    if timeline.status is PilotStatus.ENDED:
        record = ""  # nothing follows the end of a workload
    return Contradiction(found.kind, words, found.since_on, record, urlencode(fields))


def conflict_words(found: Found) -> str:
    """The sentence for people, without its full stop."""
    share, since = f"{100 * found.share:.0f} %", f"{found.since_on:%-d %b %Y}"
    if found.kind is ConflictKind.WENT_BACK:
        return f"traffic says {share} on {found.model} since {since}"
    recorded = "although it left on record" if found.kind is ConflictKind.STILL_ON_IT else "and no cutover is on record"
    return f"traffic says {share} on the candidate since {since}, {recorded}"
