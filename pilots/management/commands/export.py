"""``export KEY [filters]``: write a workbook or CSV."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import CommandParser

from evaluations.management.base import PilotsCommand
from pilots.exporters.registry import EXPORTERS
from pilots.management.filters import add_filter_arguments
from pilots.services.exports import write_export


class Command(PilotsCommand):
    help = "Write a workbook, or the first sheet of one as CSV or Parquet, here and now."
    name = "export"

    def arguments(self, parser: CommandParser) -> None:
        parser.add_argument("export", metavar="KEY", help=", ".join(sorted(EXPORTERS.keys())))
        parser.add_argument(
            "--output",
            type=Path,
            metavar="F",
            help="ends in .xlsx, .csv or .parquet; default: below exports in the data directory",
        )
        parser.add_argument("--audience", default="full", metavar="WHOM", help="full, no-content or vendor:SLUG")
        add_filter_arguments(parser)

    def run(self, **options: Any) -> tuple[Any, bool]:
        export = write_export(
            key=options["export"],
            filters=options,
            by=self.actor,
            at=self.now,
            audience=options["audience"],
            output=options["output"],
        )
        return {"file": export.path, "sheets": export.sheets, "sha256": export.sha256}, True

    def text(self, document: Any) -> str:
        sheets = ", ".join(f"{name} {rows:,}" for name, rows in document["sheets"].items())
        return f"{document['file']}\n{sheets}\nsha256 {document['sha256']}"
