"""``report NAME [filters]``: a report as text or JSON."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import CommandParser
from django.utils import timezone

from evaluations.management.base import PilotsCommand
from evaluations.services.errors import Refused
from pilots.management.filters import add_filter_arguments
from pilots.management.report_text import TEXTS
from pilots.selectors.costs import costs
from pilots.selectors.filters import ReportFilters
from pilots.selectors.reports import REPORTS
from pilots.services.customers import ask_for_comparison, compute_due_comparisons
from pilots.services.what_if import supposed_prices


class Command(PilotsCommand):
    help = "Print a report."
    name = "report"

    def arguments(self, parser: CommandParser) -> None:
        parser.add_argument("report", metavar="NAME", help=", ".join(sorted(REPORTS)))
        add_filter_arguments(parser)
        parser.add_argument(
            "--what-if",
            type=Path,
            metavar="FILE",
            help="costs: prices to suppose, as in a portfolio file; nothing is stored",
        )

    def run(self, **options: Any) -> tuple[Any, bool]:
        self.report = options["report"]
        if self.report not in REPORTS:
            raise Refused(f"there is no report {self.report!r}; there are {', '.join(sorted(REPORTS))}")
        filters = ReportFilters.parse(options, now=self.now)
        if options["what_if"] is None:
            found = REPORTS[self.report](filters)
            if ask_for_comparison(found, at=self.now):
                # Nobody waits for a worker here.
                compute_due_comparisons(clock=timezone.now)
                found = REPORTS[self.report](filters)
            return found.to_document(), True
        if self.report != "costs":
            raise Refused("is a question to the report costs", field="what-if")
        if not filters.present:
            raise Refused("is read from today's evidence: leave out --as-of and --known-at", field="what-if")
        return costs(filters, what_if=supposed_prices(options["what_if"])).to_document(), True

    def text(self, document: Any) -> str:
        write = TEXTS.get(self.report)
        lines = [super().text(document)] if write is None else list(write(document))
        if unread := document.get("traffic_unread"):
            lines.append(f"\nTraffic of {unread:,} workloads is still being read; figures may change")
        return "\n".join(lines)
