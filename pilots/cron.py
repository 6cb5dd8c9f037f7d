"""When a cron line comes due on a wall clock. No Django here. Public surface: ``CronLine``.

Debian cron's rules where clocks are set (``cronsim``): a line for a given hour and minute comes due once a local day -
what falls into the hour that is left out comes due at its end, what falls into the hour that is repeated comes due in
its first pass. A line with ``*`` in minute or hour counts real time instead.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from zoneinfo import ZoneInfo, available_timezones

from cronsim import CronSim, CronSimError


@dataclass(frozen=True, slots=True)
class CronLine:
    """Five fields - minute, hour, day, month, weekday - and the zone of the clock that they are read on."""

    fields: str
    timezone: str

    def problem(self, *, at: datetime) -> tuple[str, str] | None:
        """The attribute at fault and what is wrong with it; None: this line comes due some day after ``at``."""
        if self.timezone not in available_timezones():
            return "timezone", f"{self.timezone!r} is not a time zone like Europe/Berlin"
        if len(self.fields.split()) != 5:
            reason = "five fields are needed: minute, hour, day, month, weekday"
            return "fields", f"{self.fields!r} is not a cron line ({reason})"
        try:
            never = next(self.after(at), None) is None
        except CronSimError as error:
            return "fields", f"{self.fields!r} is not a cron line ({error})"
        return ("fields", f"{self.fields!r} never comes due") if never else None

    def after(self, instant: datetime) -> Iterator[datetime]:
        """Every time it comes due after ``instant``, in UTC, each once and in order. Raises ``CronSimError``."""
        for local in CronSim(self.fields, instant.astimezone(ZoneInfo(self.timezone))):
            due = local.astimezone(UTC)
            # From inside a repeated hour, cronsim starts again with what came due in its first pass.
            if due > instant:
                instant = due
                yield due
