"""How close a replay comes to what the vendor allows: `make bench`.

4,000 calls of about 300 prompt and 100 answer tokens against a loopback vendor with a fixed latency. The ideal is
calls x latency / concurrency. Measured in one run, for each load: a bare aiohttp loop that stores nothing; this engine
on SQLite with the embedded broker; this engine on PostgreSQL and Redis; and cold, the whole command `run --wait` on
SQLite from its start to its exit, verdict included. For the warm ones the clock runs from the first hint to the last
answer's commit, with every durability rule on; scoring and verdict are timed apart. Memory is the processes'
proportional share (PSS): pages that they share count once.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import resource
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
VENDOR = ROOT.parent / "shared" / "bench" / "vendor.py"
PROMPT = (
    "Summarise the following claim for the adjuster, in two sentences. " + "The insured reports water damage. " * 32
)


@dataclass(frozen=True)
class Measured:
    """One way of making the same calls."""

    name: str
    seconds: float
    percent_of_ideal: float
    cpu_ms_per_call: float
    peak_mb: float
    conclude_seconds: float | None = None


@contextmanager
def vendor(latency_ms: float) -> Iterator[str]:
    """The loopback vendor in a process of its own; yields its address."""
    process = subprocess.Popen(
        [sys.executable, str(VENDOR), f"--latency-ms={latency_ms}", "--duration=900"], stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    port = json.loads(process.stdout.readline())["port"]
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


def body(number: int) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": f"[{number}] {PROMPT}"}], "max_completion_tokens": 200}


def raw_loop(url: str, *, calls: int, concurrency: int) -> Measured:
    """The baseline: the same HTTP calls and nothing else."""
    import aiohttp

    async def main() -> float:
        numbers = iter(range(calls))
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(connector=connector) as session:

            async def caller() -> None:
                for number in numbers:
                    async with session.post(
                        f"{url}/v1/chat/completions", json={"model": "m", **body(number)}
                    ) as answer:
                        await answer.json()

            started = time.perf_counter()
            await asyncio.gather(*(caller() for _ in range(concurrency)))
            return time.perf_counter() - started

    before = time.process_time()
    seconds = asyncio.run(main())
    cpu = time.process_time() - before
    return _measured("raw aiohttp loop, stores nothing", seconds, cpu, calls, resource.RUSAGE_SELF)


def _measured(name: str, seconds: float, cpu: float, calls: int, who: int, conclude: float | None = None) -> Measured:
    ideal = calls * OPTIONS.latency_ms / 1000 / OPTIONS.concurrency
    return Measured(
        name=name,
        seconds=round(seconds, 3),
        percent_of_ideal=round(100 * ideal / seconds, 1),
        cpu_ms_per_call=round(1000 * cpu / calls, 3),
        peak_mb=round(resource.getrusage(who).ru_maxrss / 1024, 1),
        conclude_seconds=None if conclude is None else round(conclude, 3),
    )


def engine(name: str, url: str, environment: dict[str, str], *, cold: bool = False) -> Measured:
    """One replay in a data directory of its own: by a warm worker, or by a command of its own."""
    with tempfile.TemporaryDirectory(prefix="pilots-bench-") as folder:
        result = subprocess.run(
            [sys.executable, "-m", "benchmarks.replay", "--inside", name, "--url", url, *(["--cold"] if cold else [])]
            + [f"--{key.replace('_', '-')}={getattr(OPTIONS, key)}" for key in ("calls", "concurrency", "latency_ms")],
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
    return Measured(**json.loads(result.stdout.splitlines()[-1]))


def inside(name: str, url: str) -> Measured:
    """In the child: make the plan, start a worker, wait until it is warm, replay, read its clocks."""
    import django

    django.setup()
    from django.core.management import call_command

    call_command("migrate", verbosity=0)
    from evaluations.models import Completion, ReplayRun
    from evaluations.tasks import hint
    from tests.replays import ready_plan, start

    per_arm = OPTIONS.calls // 2
    plan = ready_plan(url, n=per_arm, concurrency=OPTIONS.concurrency // 2, budget="1000", bodies=body)
    if OPTIONS.cold:
        return _cold(name, start(plan).pk)
    worker = subprocess.Popen(
        [sys.executable, "-m", "django", "worker", "--loglevel=WARNING"],
        start_new_session=True,
        stdout=sys.stderr,
    )
    try:
        warm = start(plan, take=20)
        hint(warm.pk, chunks=2)
        _until(lambda: bool(ReplayRun.objects.get(pk=warm.pk).decision))
        time.sleep(1)
        before = _cpu_of_group(worker.pid)
        run = start(plan)
        started = time.perf_counter()
        hint(run.pk, chunks=2)
        with _peak_memory(worker.pid) as peak:
            _until(lambda: ReplayRun.objects.values_list("done", flat=True).get(pk=run.pk) == OPTIONS.calls)
        seconds = time.perf_counter() - started
        cpu = _cpu_of_group(worker.pid) - before
        _until(lambda: bool(ReplayRun.objects.get(pk=run.pk).decision))
        concluded = time.perf_counter() - started - seconds
        assert Completion.objects.filter(arm__run=run).count() == OPTIONS.calls
    finally:
        os.killpg(worker.pid, signal.SIGTERM)
        worker.wait()
    return replace(_measured(name, seconds, cpu, OPTIONS.calls, resource.RUSAGE_SELF, concluded), peak_mb=max(peak))


def _cold(name: str, run_id: int) -> Measured:
    """The command as a person types it: imports, replay, scores and verdict."""
    started = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "manage.py", "run", str(run_id), "--wait", "--json"],
        start_new_session=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    with _peak_memory(process.pid) as peak:
        written, _ = process.communicate()
    seconds = time.perf_counter() - started
    document = json.loads(written)
    assert (document["status"], document["done"]) == ("finished", OPTIONS.calls), document["status"]
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = usage.ru_utime + usage.ru_stime
    return replace(_measured(name, seconds, cpu, OPTIONS.calls, resource.RUSAGE_CHILDREN), peak_mb=max(peak))


def _until(condition: Any) -> None:
    deadline = time.monotonic() + 300
    while not condition():
        if time.monotonic() > deadline:
            raise SystemExit("the replay did not end")
        time.sleep(0.03)  # each look is a query, and the machine is being measured


def _group(leader: int) -> list[int]:
    pids = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[2]) == leader:
                pids.append(int(entry.name))
    return pids


def _cpu_of_group(leader: int) -> float:
    ticks = 0
    for pid in _group(leader):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


@contextmanager
def _peak_memory(leader: int) -> Iterator[list[float]]:
    """MB of the group's processes together, looked at a few times a second; at the end the list holds what was seen."""
    seen, stop = [0.0], threading.Event()

    def watch() -> None:
        while not stop.wait(0.2):
            seen.append(sum(_share_kb(pid) for pid in _group(leader)) / 1024)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield seen
    finally:
        stop.set()
        watcher.join()


def _share_kb(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("Pss:")), 0)


def postgres_environment() -> dict[str, str] | None:
    """A database of our own on the local PostgreSQL, and Redis; None where they do not answer."""
    for port in (5432, 6379):
        with socket.socket() as probe:
            probe.settimeout(0.5)
            if probe.connect_ex(("127.0.0.1", port)):
                return None
    name = f"pilots_bench_{os.getpid()}"
    subprocess.run(["createdb", "-h", "127.0.0.1", "-U", "postgres", name], check=True)
    return {
        "DATABASE_URL": f"postgres://postgres@127.0.0.1:5432/{name}",
        "CELERY_BROKER_URL": "redis://127.0.0.1:6379/11",
        "BENCH_DATABASE": name,
    }


def report(rows: list[Measured]) -> str:
    ideal = OPTIONS.calls * OPTIONS.latency_ms / 1000 / OPTIONS.concurrency
    lines = [
        f"{OPTIONS.calls:,} calls, {OPTIONS.latency_ms:g} ms, {OPTIONS.concurrency} in flight: ideal {ideal:.3f} s",
        f"{'':36}{'s':>8}{'% ideal':>9}{'CPU ms/call':>13}{'peak MB':>9}{'verdict s':>11}",
    ]
    for row in rows:
        verdict = "" if row.conclude_seconds is None else f"{row.conclude_seconds:.2f}"
        lines.append(
            f"{row.name:36}{row.seconds:8.2f}{row.percent_of_ideal:9.1f}{row.cpu_ms_per_call:13.3f}"
            f"{row.peak_mb:9.0f}{verdict:>11}"
        )
    return "\n".join(lines)


def main() -> None:
    if OPTIONS.inside:
        print(json.dumps(asdict(inside(OPTIONS.inside, OPTIONS.url))))
        return
    if not VENDOR.exists():
        raise SystemExit("the loopback vendor ../shared/bench/vendor.py is not on this machine")
    asked = OPTIONS.concurrency is not None or OPTIONS.latency_ms is not None
    loads = [(OPTIONS.concurrency or 64, OPTIONS.latency_ms or 50.0)] if asked else [(64, 50.0), (256, 200.0)]
    for OPTIONS.concurrency, OPTIONS.latency_ms in loads:
        rows: list[Measured] = []
        for _ in range(OPTIONS.repeat):
            rows += once()
        print(report(_medians(rows)), flush=True)


def once() -> Iterator[Measured]:
    """Every way of making the calls, one after the other."""
    with vendor(OPTIONS.latency_ms) as url:
        yield raw_loop(url, calls=OPTIONS.calls, concurrency=OPTIONS.concurrency)
        yield engine("engine, SQLite + embedded broker", url, {})
        environment = postgres_environment()
        if environment is not None:
            try:
                yield engine("engine, PostgreSQL + Redis", url, environment)
            finally:
                subprocess.run(
                    ["dropdb", "-h", "127.0.0.1", "-U", "postgres", "--force", environment["BENCH_DATABASE"]],
                    check=True,
                )
        yield engine("engine, cold: the whole command", url, {}, cold=True)


def _medians(rows: list[Measured]) -> list[Measured]:
    names = list(dict.fromkeys(row.name for row in rows))
    chosen = []
    for name in names:
        of_name = sorted((row for row in rows if row.name == name), key=lambda row: row.seconds)
        chosen.append(of_name[len(of_name) // 2])
    return chosen


parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--calls", type=int, default=4000)
parser.add_argument("--concurrency", type=int, help="default: first 64 calls in flight at 50 ms, then 256 at 200 ms")
parser.add_argument("--latency-ms", type=float)
parser.add_argument("--repeat", type=int, default=3)
parser.add_argument("--inside", default="", help=argparse.SUPPRESS)
parser.add_argument("--cold", action="store_true", help=argparse.SUPPRESS)
parser.add_argument("--url", default="", help=argparse.SUPPRESS)
OPTIONS = parser.parse_args() if __name__ == "__main__" else parser.parse_args([])

if __name__ == "__main__":
    main()
