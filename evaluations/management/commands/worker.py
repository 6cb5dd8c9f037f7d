"""``worker``: the worker and its scheduler in the foreground."""

from __future__ import annotations

from typing import Any

from celery import current_app
from django.core.management.base import BaseCommand, CommandParser

from evaluations.conf import QUEUES, data_dir


class Command(BaseCommand):
    help = "Run the worker and the scheduler until SIGTERM or Ctrl-C; calls in flight are awaited."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--concurrency", type=int, default=2, help="worker processes")
        parser.add_argument("--no-scheduler", action="store_true", help="only the worker: another process schedules")
        parser.add_argument("--loglevel", default="INFO")

    def handle(self, *args: Any, **options: Any) -> None:
        folder = data_dir()
        folder.mkdir(parents=True, exist_ok=True)
        arguments = [
            "worker",
            f"--concurrency={options['concurrency']}",
            f"--queues={','.join(QUEUES)}",
            "--prefetch-multiplier=1",
            f"--loglevel={options['loglevel']}",
            "--without-gossip",
            "--without-mingle",
        ]
        if not options["no_scheduler"]:
            arguments += ["--beat", f"--schedule={folder / 'scheduler'}"]
        current_app.worker_main(arguments)
