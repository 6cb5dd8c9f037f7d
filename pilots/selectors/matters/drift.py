"""Models that moved under their replays, and traffic shares that leave the recorded one. Public surface: ``alarms``."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC

from pilots.enums import MatterKind
from pilots.selectors.alarms import AlarmKind, waiting_alarms
from pilots.selectors.matters.base import Action, Matter, Scope, days

_ACTIONS = {AlarmKind.MODEL: "Say which version is served", AlarmKind.SHARE: "Record the share or say what it is"}


def alarms(scope: Scope) -> Iterator[Matter]:
    """Something drifts, and nobody has said what it is."""
    for alarm in waiting_alarms(scope.pilots):
        raised_on = alarm.raised_at.astimezone(UTC).date()
        waited = (scope.today - raised_on).days
        model = alarm.kind is AlarmKind.MODEL
        yield Matter(
            kind=MatterKind.DRIFT,
            key=f"drift:{alarm.kind}:{alarm.pk}",
            tone="caution",
            subject=alarm.pilot,
            words=alarm.words,
            team=alarm.team,
            pilot=alarm.pilot,
            run=alarm.run,
            urgency=waited,
            stake=f"the verdict has waited {days(waited)}" if model else f"{days(waited)} off the recorded share",
            days=waited,
            amount=None,
            currency="",
            due_on=raised_on,
            since=alarm.raised_at,
            size=1,
            action=Action(_ACTIONS[alarm.kind], "alarm", f"{alarm.pilot}/{alarm.kind}/{alarm.pk}"),
        )
