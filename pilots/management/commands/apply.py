"""``apply FILE``: create or update everything in a portfolio file."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from django.core.management.base import CommandParser

from evaluations.management.base import PilotsCommand
from pilots.services.portfolio_file import apply_portfolio


class Command(PilotsCommand):
    help = "Create or update everything in a portfolio file (YAML or JSON), all of it or nothing."
    name = "apply"

    def arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path)
        parser.add_argument("--dry-run", action="store_true", help="count what would change, store nothing")

    def run(self, **options: Any) -> tuple[Any, bool]:
        report = apply_portfolio(path=options["file"], by=self.actor, at=self.now, dry_run=options["dry_run"])
        return asdict(report), True

    def text(self, document: Any) -> str:
        return ", ".join(f"{count} {word}" for word, count in document.items())
