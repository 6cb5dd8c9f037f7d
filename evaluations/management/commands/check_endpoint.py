"""``check_endpoint SLUG``: one small call."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from evaluations.management.base import PilotsCommand
from evaluations.models import Endpoint
from evaluations.services.errors import Refused
from evaluations.services.probes import check_endpoint


class Command(PilotsCommand):
    help = "Send one small call: served model, usage, limits, changed parameters, price found."
    name = "check_endpoint"

    def arguments(self, parser: CommandParser) -> None:
        parser.add_argument("endpoint", metavar="SLUG")

    def run(self, **options: Any) -> tuple[Any, bool]:
        endpoint = Endpoint.objects.select_related("model").filter(slug=options["endpoint"]).first()
        if endpoint is None:
            raise Refused(f"no endpoint {options['endpoint']!r}", field="endpoint")
        check = check_endpoint(endpoint=endpoint, by=self.actor, at=self.now)
        return check.to_document(), check.ok
