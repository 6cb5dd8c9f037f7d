"""``import_history FILE``: past switches from a spreadsheet."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import CommandParser

from evaluations.management.base import PilotsCommand
from pilots.services.history_import import import_history


class Command(PilotsCommand):
    help = "Bring your spreadsheet: past switches as CSV or XLSX; unknown teams, workloads and models are created."
    name = "import_history"

    def arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path)
        parser.add_argument("--dry-run", action="store_true", help="check everything, keep nothing")

    def run(self, **options: Any) -> tuple[Any, bool]:
        report = import_history(path=options["file"], by=self.actor, at=self.now, dry_run=options["dry_run"])
        return report.to_document(), True

    def text(self, document: Any) -> str:
        lines = [f"line {row['line']} {row['reason']}: skipped" for row in document["skipped"]]
        return "\n".join([*lines, f"{document['events']} events of {document['pilots']} pilots"])
