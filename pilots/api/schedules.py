"""When a pilot is replayed by itself."""

from __future__ import annotations

from django.http import Http404
from rest_framework.request import Request

from pilots.api.base import operation
from pilots.api.catalogue import given
from pilots.api.pilots import OfAPilot
from pilots.models import Pilot
from pilots.selectors.schedules import ScheduleFacts, schedule_of
from pilots.services.portfolio_document import ScheduleEntry
from pilots.services.schedules import end_schedule, save_schedule


def _facts(pilot: Pilot) -> ScheduleFacts:
    """Raises ``Http404`` where there never was one."""
    found = schedule_of(pilot)
    if found is None:
        raise Http404
    return found


class PilotSchedule(OfAPilot):
    @operation("read_schedule", "Read a pilot's schedule with what came due", answers=ScheduleFacts)
    def get(self, request: Request, slug: str) -> ScheduleFacts:
        return _facts(self.pilot(slug))

    @operation("set_schedule", "Replay a pilot by a cron line", answers=ScheduleFacts, body=ScheduleEntry)
    def put(self, request: Request, slug: str, body: ScheduleEntry) -> ScheduleFacts:
        pilot = self.pilot(slug, managed=True)
        save_schedule(pilot=pilot, **given(body), by=self.actor, at=self.now)
        return _facts(pilot)

    @operation("end_schedule", "End a pilot's schedule: what came due so far stays", answers=None, status=204)
    def delete(self, request: Request, slug: str) -> None:
        end_schedule(pilot=self.pilot(slug, managed=True), by=self.actor, at=self.now)
