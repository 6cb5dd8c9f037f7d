"""``worker``: the workers and their scheduler in the foreground."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from celery import current_app
from celery.signals import worker_process_init
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import connection, connections

from evaluations.conf import QUEUES, data_dir, setting
from evaluations.management.together import end_with_parent, run_together
from evaluations.tasks import preload

# The fifth writer waits longer for SQLite's one lock than it works.
SQLITE_PROCESSES = 4
# Of one process, in KiB: after the verdict on a large run its memory goes back.
PROCESS_MEMORY = 1024 * 1024


class Command(BaseCommand):
    help = "Run the workers and the scheduler until SIGTERM or Ctrl-C; calls in flight are awaited."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--concurrency", type=int, default=2, metavar="N", help="processes that replay (default 2)")
        parser.add_argument(
            "--queues",
            default=",".join(QUEUES),
            metavar="NAMES",
            help="comma separated, of: %(default)s (the default). The scheduler comes with the queue 'default'",
        )
        parser.add_argument("--no-scheduler", action="store_true", help="another process schedules")
        parser.add_argument("--loglevel", default="INFO")

    def handle(self, *args: Any, **options: Any) -> None:
        queues = options["queues"].split(",")
        if unknown := set(queues) - set(QUEUES):
            raise CommandError(f"no queue {', '.join(sorted(unknown))}: there are {', '.join(QUEUES)}")
        if options["concurrency"] < 1:
            raise CommandError("--concurrency must be at least 1")
        if connection.vendor == "sqlite" and "replay" in queues and options["concurrency"] > SQLITE_PROCESSES:
            raise CommandError(
                f"SQLite is good for {SQLITE_PROCESSES} replaying processes at the most: use PostgreSQL for more"
            )
        data_dir().mkdir(parents=True, exist_ok=True)
        preload()
        connections.close_all()  # none is shared with the processes
        ended = run_together(dict(self._jobs(queues, options)), patience_seconds=setting("DRAIN_SECONDS") + 10)
        if ended is not None:
            raise CommandError(f"the process for {ended}: the others were stopped. Start the worker again")

    def _jobs(self, queues: list[str], options: dict[str, Any]) -> Iterator[tuple[str, Callable[[], None]]]:
        """A pool for each queue: what is short never waits behind what is long."""
        for queue in queues:
            processes = options["concurrency"] if queue == "replay" else 1
            yield f"queue {queue}", partial(_serve, queue, processes=processes, loglevel=options["loglevel"])
        if "default" in queues and not options["no_scheduler"]:
            yield "the schedule", partial(_schedule, loglevel=options["loglevel"])


def _serve(queue: str, *, processes: int, loglevel: str) -> None:
    # The sweep and its like take milliseconds: they need no second process.
    pool = "solo" if queue == "default" else "prefork"
    if pool == "prefork":
        worker_process_init.connect(partial(_end_with, os.getpid()), weak=False)
    current_app.worker_main(
        [
            "worker",
            f"--queues={queue}",
            f"--hostname={queue}@%h",
            f"--pool={pool}",
            f"--concurrency={processes}",
            f"--max-memory-per-child={PROCESS_MEMORY}",
            "--prefetch-multiplier=1",
            f"--loglevel={loglevel}",
            "--without-gossip",
            "--without-mingle",
        ]
    )


def _end_with(parent: int, **kwargs: object) -> None:
    # They ignore SIGTERM: see ``evaluations.tasks``.
    end_with_parent(parent, signal.SIGKILL)


def _schedule(*, loglevel: str) -> None:
    current_app.Beat(schedule=str(data_dir() / "scheduler"), loglevel=loglevel, quiet=True).run()
