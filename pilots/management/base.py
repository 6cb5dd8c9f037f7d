"""What commands about pilots share. Public surface: ``PilotCommand``."""

from __future__ import annotations

from evaluations.management.base import PilotsCommand
from evaluations.services.errors import Refused
from pilots.models import Pilot


class PilotCommand(PilotsCommand):
    def pilot(self, slug: str) -> Pilot:
        """The pilot called ``slug``; raises ``Refused``."""
        pilot = Pilot.objects.select_related("plan", "workload__team").filter(slug=slug).first()
        if pilot is None:
            raise Refused(f"no pilot {slug!r}", field="pilot")
        return pilot
