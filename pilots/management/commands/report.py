"""``report NAME [filters]``: a report as text or JSON."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from evaluations.management.base import PilotsCommand
from pilots.management.report_text import TEXTS
from pilots.selectors.filters import GROUPINGS, ReportFilters
from pilots.selectors.reports import REPORTS

_FILTERS = ("team", "workload", "vendor", "incumbent", "candidate", "task-type", "pilot")


class Command(PilotsCommand):
    help = "Print a report."
    name = "report"

    def arguments(self, parser: CommandParser) -> None:
        parser.add_argument("report", choices=sorted(REPORTS), metavar="NAME", help=", ".join(sorted(REPORTS)))
        for name in _FILTERS:
            parser.add_argument(f"--{name}", action="append", metavar="SLUG", help="one or more, separated by commas")
        parser.add_argument("--run", metavar="ID")
        parser.add_argument("--set", metavar="ID", help="a sample set")
        parser.add_argument("--as-of", metavar="DATE", help="the state of the world on that day")
        parser.add_argument("--known-at", metavar="INSTANT", help="using only what was recorded by then")
        parser.add_argument("--days", metavar="30,90,...")
        parser.add_argument("--min-at-risk", metavar="N", help="withhold percentages below")
        parser.add_argument("--by", metavar="FIELD", help=", ".join(GROUPINGS))

    def run(self, **options: Any) -> tuple[Any, bool]:
        self.report = options["report"]
        filters = ReportFilters.parse(options, now=self.now)
        return REPORTS[self.report](filters).to_document(), True

    def text(self, document: Any) -> str:
        write = TEXTS.get(self.report)
        return super().text(document) if write is None else "\n".join(write(document))
