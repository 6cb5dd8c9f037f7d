"""What more worker processes bring against a vendor with one limit for all of them: `make bench-scaling`.

The same replay (two arms, about 300 prompt and 100 answer tokens) by 1, 2 and 4 replaying processes on PostgreSQL and
Redis, and by 1 and 2 on SQLite with the embedded broker, in three settings: the vendor's places are the limit, its
requests a minute are, or neither is within reach and the machine is. In flight and refused are the vendor's own count.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from dataclasses import asdict, dataclass
from typing import Any

from benchmarks.replay import (
    ROOT,
    VENDOR,
    _cpu_of_group,
    _until,
    body,
    postgres_environment,
    vendor,
)

BROKER = "redis://127.0.0.1:6379/7"  # not that of ``make bench``: each would take the other's messages


@dataclass(frozen=True)
class Setting:
    """One way in which the vendor is limited; both arms together."""

    name: str
    latency_ms: float
    places: int
    per_second: float | None = None

    @property
    def limit(self) -> float:
        """Calls a second."""
        by_places = self.places / self.latency_ms * 1000
        return min(by_places, self.per_second or by_places)


SETTINGS = (
    Setting("64 places, 200 ms", latency_ms=200, places=64),
    Setting("200 requests a second", latency_ms=200, places=128, per_second=200),
    Setting("out of reach: 512 places, 100 ms", latency_ms=100, places=512),
)


@dataclass(frozen=True)
class Measured:
    """One replay by so many processes."""

    setting: str
    database: str
    processes: int
    per_second: float
    percent_of_limit: float
    cpu_ms_per_call: float
    peak_in_flight: int
    places: int
    refused: int
    sent_twice: int


def stats(url: str, path: str = "__stats") -> dict[str, Any]:
    with urllib.request.urlopen(f"{url}/{path}") as answer:
        found: dict[str, Any] = json.loads(answer.read())
    return found


def replays(database: str, processes: int, environment: dict[str, str]) -> list[Measured]:
    """In a process and a data directory of their own: one replay in each setting, by the same workers."""
    with tempfile.TemporaryDirectory(prefix="pilots-scaling-") as folder:
        command = [sys.executable, "-m", "benchmarks.scaling", "--inside", database, "--processes", str(processes)]
        done = subprocess.run(
            [*command, "--calls", str(OPTIONS.calls)],
            cwd=ROOT,
            env={
                **os.environ,
                **environment,
                "PILOTS_DATA_DIR": folder,
                "PILOTS_EGRESS_ALLOW": "127.0.0.0/8",
                "DJANGO_SETTINGS_MODULE": "config.settings",
            },
            stdout=subprocess.PIPE,
            check=True,
        )
    rows = [Measured(**row) for row in json.loads(done.stdout.splitlines()[-1])]
    print(report(rows), file=sys.stderr, flush=True)
    return rows


def inside(database: str, processes: int) -> list[Measured]:
    import django

    django.setup()
    from django.core.management import call_command

    call_command("migrate", verbosity=0)
    from evaluations.models import Endpoint, ReplayRun
    from evaluations.tasks import hint
    from tests.replays import ready_plan, start

    plan = ready_plan("http://127.0.0.1:1", n=OPTIONS.calls // 2, budget="1000", bodies=body)
    worker = subprocess.Popen(
        [sys.executable, "-m", "django", "worker", "--loglevel=WARNING", f"--concurrency={processes}"],
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    measured = []
    try:
        for setting in SETTINGS:
            with vendor(setting.latency_ms) as url:
                Endpoint.objects.update(
                    base_url=f"{url}/v1",
                    max_concurrency=setting.places // 2,
                    requests_per_minute=None if setting.per_second is None else round(setting.per_second * 30),
                )
                warm = start(plan, take=20 * processes)
                hint(warm.pk, chunks=8)
                _until(lambda pk=warm.pk: bool(ReplayRun.objects.get(pk=pk).decision))
                time.sleep(2)
                stats(url, "__reset")
                before = _cpu_of_group(worker.pid)
                run = start(plan)
                began = time.perf_counter()
                hint(run.pk, chunks=8)
                _until(lambda pk=run.pk: ReplayRun.objects.values_list("done", flat=True).get(pk=pk) == OPTIONS.calls)
                seconds = time.perf_counter() - began
                cpu, bill = _cpu_of_group(worker.pid) - before, stats(url)
                _until(lambda pk=run.pk: bool(ReplayRun.objects.get(pk=pk).decision))
            measured.append(
                Measured(
                    setting=setting.name,
                    database=database,
                    processes=processes,
                    per_second=OPTIONS.calls / seconds,
                    percent_of_limit=100 * OPTIONS.calls / seconds / setting.limit,
                    cpu_ms_per_call=1000 * cpu / OPTIONS.calls,
                    peak_in_flight=bill["inflight_peak"],
                    places=setting.places,
                    refused=bill["n429"],
                    sent_twice=bill["requests"] - bill["distinct"],
                )
            )
    finally:
        os.killpg(worker.pid, signal.SIGTERM)
        worker.wait()
    return measured


def report(rows: list[Measured]) -> str:
    lines = []
    for setting in SETTINGS:
        lines.append(f"{setting.name}: {setting.limit:,.0f} calls a second at the most")
        lines.append(
            f"  {'':22}{'processes':>10}{'calls/s':>9}{'% limit':>9}{'x first':>9}{'CPU ms/call':>13}"
            f"{'peak in flight':>16}{'429':>5}{'twice':>7}"
        )
        for row in (row for row in rows if row.setting == setting.name):
            first = next(r for r in rows if r.setting == setting.name and r.database == row.database)
            lines.append(
                f"  {row.database:22}{row.processes:10}{row.per_second:9.1f}{row.percent_of_limit:9.1f}"
                f"{row.per_second / first.per_second:9.2f}{row.cpu_ms_per_call:13.3f}"
                f"{row.peak_in_flight:9} of {row.places:3}{row.refused:5}{row.sent_twice:7}"
            )
    return "\n".join(lines)


def main() -> None:
    if OPTIONS.inside:
        print(json.dumps([asdict(row) for row in inside(OPTIONS.inside, OPTIONS.processes)]))
        return
    if not VENDOR.exists():
        raise SystemExit("the loopback vendor ../shared/bench/vendor.py is not on this machine")
    rows: list[Measured] = []
    for processes in OPTIONS.sqlite:
        rows += replays("SQLite, embedded", processes, {})
    for processes in OPTIONS.postgres:
        environment = postgres_environment()
        if environment is None:
            print("PostgreSQL and Redis do not answer on this machine: left out", file=sys.stderr)
            break
        environment["CELERY_BROKER_URL"] = BROKER
        try:
            rows += replays("PostgreSQL, Redis", processes, environment)
        finally:
            name = environment["BENCH_DATABASE"]
            subprocess.run(["dropdb", "-h", "127.0.0.1", "-U", "postgres", "--force", name], check=True)
    print(report(rows))


parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--calls", type=int, default=4000, help="of each replay, both arms together")
parser.add_argument("--sqlite", type=int, nargs="*", default=[1, 2], help="numbers of replaying processes on SQLite")
parser.add_argument("--postgres", type=int, nargs="*", default=[1, 2, 4], help="and on PostgreSQL and Redis")
parser.add_argument("--inside", default="", help=argparse.SUPPRESS)
parser.add_argument("--processes", type=int, default=1, help=argparse.SUPPRESS)
OPTIONS = parser.parse_args() if __name__ == "__main__" else parser.parse_args([])

if __name__ == "__main__":
    main()
