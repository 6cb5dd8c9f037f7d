"""When somebody is due to confirm what a workload runs on. Public surface: ``sync_follow_ups``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import date, timedelta

from pilots.conf import setting
from pilots.facts import Spell, Timeline
from pilots.models import FollowUp, Pilot

Due = tuple[date, str | None]  # due day, digest of the event that answers it


def sync_follow_ups(pilots: Sequence[tuple[Pilot, Timeline, Mapping[str, int]]]) -> None:
    """Bring the due rows in line with the timelines: one per spell and day of ``FOLLOW_UP_DAYS`` that the spell was
    under observation; answered by the first event on or after its day that shows what the workload runs on.

    The mapping gives each event digest its primary key. Rows that stay are changed in place, so that what refers to
    them keeps doing so.
    """
    stored = {
        (row.pilot_id, row.spell_number, row.day): row
        for row in FollowUp.objects.filter(pilot__in=[pilot for pilot, _, _ in pilots])
    }
    fresh: list[FollowUp] = []
    changed: list[FollowUp] = []
    for pilot, timeline, event_ids in pilots:
        for spell in timeline.spells:
            for day, (due_on, digest) in _due(spell):
                answered_by = event_ids[digest] if digest else None
                row = stored.pop((pilot.pk, spell.number, day), None)
                if row is None:
                    fresh.append(
                        FollowUp(
                            pilot=pilot, spell_number=spell.number, day=day, due_on=due_on, answered_by_id=answered_by
                        )
                    )
                elif (row.due_on, row.answered_by_id) != (due_on, answered_by):
                    row.due_on, row.answered_by_id = due_on, answered_by
                    changed.append(row)
    if stored:
        FollowUp.objects.filter(pk__in=[row.pk for row in stored.values()]).delete()
    FollowUp.objects.bulk_create(fresh)
    FollowUp.objects.bulk_update(changed, ["due_on", "answered_by"], batch_size=500)


def _due(spell: Spell) -> Iterator[tuple[int, Due]]:
    for day in setting("FOLLOW_UP_DAYS"):
        due_on = spell.started_on + timedelta(days=day)
        if due_on < spell.observed_from_on or (spell.ended_on is not None and due_on > spell.ended_on):
            continue
        yield day, (due_on, next((digest for on, digest in spell.confirmations if on >= due_on), None))
