"""``freeze_plan PILOT``: lock the plan before the first call."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from pilots.management.base import PilotCommand
from pilots.services.planning import freeze_pilot_plan


class Command(PilotCommand):
    help = "Lock a pilot's plan before the first call; a changed plan becomes its next version."
    name = "freeze_plan"

    def arguments(self, parser: CommandParser) -> None:
        parser.add_argument("pilot")

    def run(self, **options: Any) -> tuple[Any, bool]:
        pilot = self.pilot(options["pilot"])
        version = freeze_pilot_plan(pilot=pilot, by=self.actor, at=self.now)
        return {"pilot": pilot.slug, "version": version.number, "digest": version.digest}, True

    def text(self, document: Any) -> str:
        return f"{document['pilot']}: version {document['version']}, {document['digest']}"
