"""``import_traffic FILE...``: observed daily usage by model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import CommandParser

from evaluations.management.base import PilotsCommand
from pilots.services.traffic import import_traffic


class Command(PilotsCommand):
    help = (
        "Import observed daily usage by model: CSV, XLSX or JSON lines, LiteLLM spend logs, OTLP GenAI spans, "
        "Azure diagnostic logs."
    )
    name = "import_traffic"

    def arguments(self, parser: CommandParser) -> None:
        parser.add_argument("files", type=Path, nargs="+", metavar="FILE", help="the parts of one log together")
        parser.add_argument("--dry-run", action="store_true", help="check everything, keep nothing")

    def run(self, **options: Any) -> tuple[Any, bool]:
        report = import_traffic(paths=options["files"], by=self.actor, at=self.now, dry_run=options["dry_run"])
        for problem in report.problems:
            self.progress(str(problem))
        return report.to_document(), not report.problems

    def text(self, document: Any) -> str:
        waiting = f", {document['unmapped']} wait for a mapping rule" if document["unmapped"] else ""
        changes = f"{document['added']} new, {document['replaced']} replaced, {document['unchanged']} unchanged"
        return f"{document['days']} traffic days of {document['workloads']} workloads{waiting} ({changes})"
