"""``import_history FILE``: past switches from a spreadsheet; ``import_history --undo ID`` takes an import back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import CommandParser

from evaluations.management.base import PilotsCommand
from evaluations.services.errors import Refused
from pilots.services.history_import import import_history
from pilots.services.history_undo import undo_import


class Command(PilotsCommand):
    help = "Bring your spreadsheet: past switches as CSV or XLSX; unknown teams, workloads and models are created."
    name = "import_history"

    def arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path, nargs="?")
        parser.add_argument("--dry-run", action="store_true", help="check everything, keep nothing")
        parser.add_argument("--undo", type=int, metavar="ID", help="take the import of that number back")

    def run(self, **options: Any) -> tuple[Any, bool]:
        path, key = options["file"], options["undo"]
        if (path is None) == (key is None):
            raise Refused("name a file to import, or with --undo an import to take back")
        if key is not None:
            if options["dry_run"]:
                raise Refused("--dry-run is for a file: an import that cannot be undone says so and nothing changes")
            return undo_import(key=key, by=self.actor, at=self.now).to_document(), True
        return import_history(path=path, by=self.actor, at=self.now, dry_run=options["dry_run"]).to_document(), True

    def text(self, document: Any) -> str:
        told = f"{document['events']} events of {document['pilots']} pilots"
        if "skipped" not in document:
            return f"import {document['import']} is undone: {told} no longer count"
        lines = [f"line {row['line']} {row['reason']}: skipped" for row in document["skipped"]]
        number = "" if "import" not in document else f" (import {document['import']}: --undo takes it back)"
        return "\n".join([*lines, f"{told}{number}"])
