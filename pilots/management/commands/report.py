"""``report NAME [filters]``: a report as text or JSON."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from evaluations.management.base import PilotsCommand
from evaluations.services.errors import Refused
from pilots.management.filters import add_filter_arguments
from pilots.management.report_text import TEXTS
from pilots.selectors.filters import ReportFilters
from pilots.selectors.reports import REPORTS


class Command(PilotsCommand):
    help = "Print a report."
    name = "report"

    def arguments(self, parser: CommandParser) -> None:
        parser.add_argument("report", metavar="NAME", help=", ".join(sorted(REPORTS)))
        add_filter_arguments(parser)

    def run(self, **options: Any) -> tuple[Any, bool]:
        self.report = options["report"]
        if self.report not in REPORTS:
            raise Refused(f"there is no report {self.report!r}; there are {', '.join(sorted(REPORTS))}")
        filters = ReportFilters.parse(options, now=self.now)
        return REPORTS[self.report](filters).to_document(), True

    def text(self, document: Any) -> str:
        write = TEXTS.get(self.report)
        return super().text(document) if write is None else "\n".join(write(document))
