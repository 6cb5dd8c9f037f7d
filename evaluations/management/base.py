"""What every command shares. Public surface: ``PilotsCommand``, ``amount``.

Machine output is JSON on stdout with ``--json``; progress and logs go to stderr. Exit code 0: done; 1: the operation
ended badly; 2: bad input, said in one line, nothing stored.
"""

from __future__ import annotations

import json
import sys
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any, ClassVar

from django.core.management.base import BaseCommand, CommandParser
from django.utils import timezone

from evaluations.services.audit import Actor
from evaluations.services.errors import Refused

BAD_INPUT = 2
ENDED_BADLY = 1


def amount(text: str | None, *, field: str) -> Decimal | None:
    """Money from the command line; None stays None. Raises ``Refused`` for what is not an amount above 0."""
    if text is None:
        return None
    try:
        value = Decimal(text)
    except InvalidOperation:
        raise Refused(f"{text!r} is not an amount", field=field) from None
    if not value.is_finite() or value <= 0:
        raise Refused("must be above 0", field=field)
    return value


class PilotsCommand(BaseCommand):
    """Subclasses write ``arguments`` and ``run``; ``run`` returns the document and whether all went well."""

    name: ClassVar[str] = ""  # as typed, for the audit
    requires_migrations_checks = False

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        """Bad arguments are bad input: said in one line, without the usage that ``--help`` shows."""
        parser = super().create_parser(prog_name, subcommand, **kwargs)
        parser.print_usage = lambda file=None: None  # type: ignore[method-assign]
        return parser

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="print the result as JSON on stdout")
        self.arguments(parser)

    def arguments(self, parser: CommandParser) -> None:
        """Add the command's own arguments."""

    def run(self, **options: Any) -> tuple[Any, bool]:
        """Do it; returns what ``--json`` prints, and False if the operation ended badly. May raise ``Refused``."""
        raise AssertionError(f"{type(self).__name__} does nothing")

    def text(self, document: Any) -> str:
        """The document for a person."""
        return json.dumps(document, indent=2, ensure_ascii=False, default=str)

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            document, well = self.run(**options)
        except Refused as error:
            where = f"{error.field}: " if error.field else ""
            self.stderr.write(f"{where}{error.message}")
            sys.exit(BAD_INPUT)
        if document is not None:
            shown = json.dumps(document, ensure_ascii=False, default=str) if options["json"] else self.text(document)
            self.stdout.write(shown)
        if not well:
            sys.exit(ENDED_BADLY)

    def progress(self, message: str) -> None:
        """Say on stderr how far the work is."""
        self.stderr.write(message, style_func=lambda text: text)

    @property
    def actor(self) -> Actor:
        return Actor.command(self.name)

    @property
    def now(self) -> datetime:
        return timezone.now()
