"""Alarms of traffic shares that drift from the recorded one. Public surface: ``keep_share_alarms``,
``acknowledge_share_alarm``.

The rule is ``pilots.measured.ShareDrift``. An alarm is raised and told once; it is settled when the share no longer
lies off the recorded one, when another share was recorded, and when the traffic has become a contradiction.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from django.db import transaction

from evaluations.services.audit import Actor, Link, record_all, register_actions
from evaluations.services.drift import checked_note
from evaluations.services.errors import Conflict
from pilots.enums import NoticeKind
from pilots.measured import ShareDrift
from pilots.models import Pilot, ShareAlarm
from pilots.services.notices import tell_of_finding

register_actions(
    {
        "share_alarm.raised": "found that the traffic share drifts of",
        "share_alarm.acknowledged": "acknowledged the drifting traffic share of",
    }
)


def keep_share_alarms(read_now: Iterable[tuple[Pilot, ShareDrift | None]], *, at: datetime) -> None:
    """Raise, keep or settle the alarm of each pilot, inside the transaction that has locked them."""
    drifts = {pilot.pk: (pilot, drift) for pilot, drift in read_now}
    standing = {row.pilot_id: row for row in ShareAlarm.objects.filter(pilot__in=drifts, settled_at=None)}
    over, fresh = [], []
    for pk, (pilot, drift) in drifts.items():
        known = standing.get(pk)
        if known is not None and not _is_the_same(known, drift):
            over.append(known.pk)
            known = None
        if drift is not None and known is None:
            fresh.append((pilot, drift))
    ShareAlarm.objects.filter(pk__in=over).update(settled_at=at)
    rows = ShareAlarm.objects.bulk_create(
        ShareAlarm(
            pilot=pilot,
            since_on=drift.since_on,
            share=drift.share,
            recorded_share=drift.recorded,
            raised_at=at,
            words=_words(drift),
        )
        for pilot, drift in fresh
    )
    links = [_link("share_alarm.raised", pilot, _said(drift)) for pilot, drift in fresh]
    record_all(links, by=Actor.task("traffic"), at=at)
    for row, (pilot, drift) in zip(rows, fresh, strict=True):
        tell_of_finding(
            NoticeKind.DRIFT_ALARMED,
            pilot=pilot,
            at=at,
            key=f"share:{row.pk}",
            words=f"{pilot.slug}: {row.words}",
            data=_said(drift),
        )


def _is_the_same(known: ShareAlarm, drift: ShareDrift | None) -> bool:
    """The same recorded share, and off it to the same side."""
    if drift is None or drift.recorded != known.recorded_share:
        return False
    return (drift.share < drift.recorded) == (known.share < known.recorded_share)


def _words(drift: ShareDrift) -> str:
    measured, recorded = f"{100 * drift.share:.0f} %", f"{100 * drift.recorded:.0f} %"
    return f"traffic says {measured} on the candidate since {drift.since_on:%-d %b %Y}, {recorded} is on record"


def _said(drift: ShareDrift) -> dict[str, Any]:
    return {
        "since": drift.since_on.isoformat(),
        "share": round(drift.share, 4),
        "recorded_share": str(drift.recorded),
        "recorded_on": drift.recorded_on.isoformat(),
    }


def _link(action: str, pilot: Pilot, data: dict[str, Any]) -> Link:
    return Link(action, "pilot", pilot.pk, pilot.slug, pilot.workload.team, data)


@transaction.atomic
def acknowledge_share_alarm(*, alarm: ShareAlarm, by: Actor, at: datetime, note: str) -> ShareAlarm:
    """Somebody has looked and says what it is; nothing is told again while the share stays where it is.

    Raises ``Refused`` without a note, ``Conflict`` where somebody was faster.
    """
    note = checked_note(note)
    if not ShareAlarm.objects.filter(pk=alarm.pk, acknowledged_at=None).update(
        acknowledged_at=at, acknowledged_by=by.name[:200], note=note
    ):
        raise Conflict("the alarm was acknowledged already")
    alarm.refresh_from_db()
    record_all([_link("share_alarm.acknowledged", alarm.pilot, {"note": note})], by=by, at=at)
    return alarm
