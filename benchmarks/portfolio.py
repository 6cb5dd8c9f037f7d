"""How pages, reports, workbooks and a month's import fare with ten thousand pilots: `make bench-portfolio`.

On a PostgreSQL database of its own (DATABASE_URL), which it fills where it is empty: 10,000 pilots in 300 teams, three
years of daily traffic, some 11.8 million traffic days. Filling takes about ten minutes, most of it reading the traffic
for the first time. Times are those of the server (Django's test client, no network): cold is the first request of the
process, then ten more.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import tempfile
import time
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

PAGES = (
    ("home", "/"),
    ("pilots", "/pilots/"),
    ("pilots, filtered and sorted", "/pilots/?vendor=openai&stage=switched&sort=-confirmed&page=3"),
    ("retention", "/reports/retention/"),
    ("retention by vendor", "/reports/retention/?by=vendor"),
    ("retention over REST", "/api/v1/reports/retention"),
    ("portfolio over REST", "/api/v1/reports/portfolio"),
    ("rollback reasons", "/reports/rollback-reasons/"),
    ("predictiveness", "/reports/predictiveness/"),
    ("costs", "/reports/costs/"),
    ("traffic", "/traffic/"),
    ("a pilot with three years of traffic", "/pilots/p00001/"),
)
TIMES = 10
YEARS_OF_DAYS, MONTH = 1095, 30


def fill(pilots: int, anchor: date, folder: Path) -> None:
    """Everything up to a month before ``anchor``."""
    from django.db import transaction
    from django.utils import timezone

    from benchmarks import portfolio_data
    from pilots.services.traffic_readings import read_due_traffic

    portfolio_data.make_portfolio(pilots, anchor=anchor, folder=folder)
    last = anchor - timedelta(days=MONTH + 1)
    with transaction.atomic():
        rows = portfolio_data.copy_traffic(pilots, anchor=anchor, first=last - timedelta(days=YEARS_OF_DAYS), last=last)
    print(f"{rows:,} traffic days")
    read_due_traffic(now=timezone.now())


def measure_pages() -> None:
    from django.contrib.auth import get_user_model
    from django.db import connection
    from django.test import Client
    from django.test.utils import CaptureQueriesContext

    from pilots.selectors.remembered import forget

    client = Client()
    client.force_login(get_user_model().objects.get(username="bench"))
    print("| page | cold ms | median ms | worst ms | statements | peak MB |\n|---|---|---|---|---|---|")
    for name, path in PAGES:
        forget()
        took = []
        for _ in range(TIMES + 1):
            start = time.perf_counter()
            answer = client.get(path)
            took.append(1000 * (time.perf_counter() - start))
            assert answer.status_code == 200, (path, answer.status_code)
        with CaptureQueriesContext(connection) as asked:
            client.get(path)
        cold, *warm = took
        print(
            f"| {name} | {cold:,.0f} | {statistics.median(warm):,.0f} | {max(warm):,.0f} | {len(asked)} | {_peak()} |"
        )


def measure_import(pilots: int, anchor: date, folder: Path) -> None:
    """A month of two models a workload, and then away with it."""
    from django.utils import timezone

    from benchmarks import portfolio_data
    from evaluations.services.audit import Actor
    from pilots.models import TrafficDay
    from pilots.services.traffic import import_traffic

    path, first = folder / "month.csv", anchor - timedelta(days=MONTH)
    portfolio_data.write_month(path, pilots, anchor=anchor, first=first, days=MONTH)
    start = time.perf_counter()
    report = import_traffic(paths=[path], by=Actor.command("bench"), at=timezone.now())
    print(f"import of {report.added:,} traffic days: {time.perf_counter() - start:.1f} s, peak {_peak()} MB")
    TrafficDay.objects.filter(day__gte=first).delete()


def measure_exports(folder: Path) -> None:
    from django.core.management import call_command

    for key in ("portfolio", "retention"):
        start = time.perf_counter()
        call_command("export", key, "--output", str(folder / f"{key}.xlsx"), verbosity=0)
        print(f"export {key}: {time.perf_counter() - start:.1f} s, peak {_peak()} MB")


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pilots", type=int, default=10_000)
    parser.add_argument("--only", choices=("pages", "import", "exports"), help="one part (default: all)")
    given = parser.parse_args()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

    import django

    django.setup()

    from django.conf import settings
    from django.core.management import call_command
    from django.db import connection

    from pilots.models import Pilot

    if connection.vendor != "postgresql":
        raise SystemExit("DATABASE_URL has to name a PostgreSQL database that may be filled")
    settings.ALLOWED_HOSTS = ["testserver"]
    call_command("migrate", verbosity=0)
    anchor = datetime.now(UTC).date()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if not Pilot.objects.exists():
            fill(given.pilots, anchor, folder)
        parts: dict[str, Any] = {
            "pages": measure_pages,
            "exports": lambda: measure_exports(folder),
            "import": lambda: measure_import(given.pilots, anchor, folder),
        }
        for part, measure in parts.items():
            if given.only in (None, part):
                measure()


if __name__ == "__main__":
    main()
