"""``check_export FILE``: whether a file was given out by this site, is unchanged, and still true."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import CommandParser

from evaluations.management.base import PilotsCommand
from pilots.services.export_check import check_file


class Command(PilotsCommand):
    help = "Say whether a file was given out by this site, is unchanged since, and still what the site says."
    name = "check_export"

    def arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path, metavar="FILE")

    def run(self, **options: Any) -> tuple[Any, bool]:
        self.checked = check_file(path=options["file"], now=self.now)
        return self.checked.to_document(), True

    def text(self, document: Any) -> str:
        return self.checked.sentence
