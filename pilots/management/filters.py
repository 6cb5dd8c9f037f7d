"""The report filters on the command line. Public surface: ``add_filter_arguments``.

What was given is read by ``ReportFilters.parse``, as everywhere.
"""

from __future__ import annotations

from django.core.management.base import CommandParser

from pilots.selectors.filters import GROUPINGS

_LISTS = ("team", "workload", "vendor", "incumbent", "candidate", "task-type", "pilot")


def add_filter_arguments(parser: CommandParser) -> None:
    for name in _LISTS:
        parser.add_argument(f"--{name}", action="append", metavar="SLUG", help="one or more, separated by commas")
    parser.add_argument("--run", metavar="ID")
    parser.add_argument("--set", metavar="ID", help="a sample set")
    parser.add_argument("--as-of", metavar="DATE", help="the state of the world on that day")
    parser.add_argument("--known-at", metavar="INSTANT", help="using only what was recorded by then")
    parser.add_argument("--days", metavar="30,90,...")
    parser.add_argument("--min-at-risk", metavar="N", help="withhold percentages below")
    parser.add_argument("--by", metavar="FIELD", help=", ".join(GROUPINGS))
