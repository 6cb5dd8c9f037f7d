"""``export KEY [filters]``: write a workbook or CSV."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import CommandParser

from evaluations.management.base import PilotsCommand
from evaluations.services.errors import Refused
from pilots.enums import Audience
from pilots.exporters.registry import EXPORTERS
from pilots.management.filters import add_filter_arguments
from pilots.services.exports import write_export


class Command(PilotsCommand):
    help = "Write a workbook (.xlsx), or the first sheet of one (.csv)."
    name = "export"

    def arguments(self, parser: CommandParser) -> None:
        parser.add_argument("export", metavar="KEY", help=", ".join(sorted(EXPORTERS.keys())))
        parser.add_argument("--output", type=Path, metavar="F", help="default: below exports in the data directory")
        parser.add_argument("--audience", default=Audience.FULL.value, help=", ".join(Audience))
        add_filter_arguments(parser)

    def run(self, **options: Any) -> tuple[Any, bool]:
        if options["audience"] not in Audience._value2member_map_:
            raise Refused(f"{options['audience']!r} is not one of {', '.join(Audience)}", field="--audience")
        export = write_export(
            key=options["export"],
            filters=options,
            by=self.actor,
            at=self.now,
            audience=Audience(options["audience"]),
            output=options["output"],
        )
        return {"file": export.path, "sheets": export.sheets, "sha256": export.sha256}, True

    def text(self, document: Any) -> str:
        sheets = ", ".join(f"{name} {rows:,}" for name, rows in document["sheets"].items())
        return f"{document['file']}\n{sheets}\nsha256 {document['sha256']}"
