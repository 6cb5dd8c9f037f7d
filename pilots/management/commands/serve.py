"""``serve``: web, worker and scheduler in the foreground."""

from __future__ import annotations

import time
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from evaluations.conf import data_dir
from pilots.management.processes import Processes, manage, web_server


class Command(BaseCommand):
    help = "Run the web server, a worker and the scheduler until Ctrl-C."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--bind", default="127.0.0.1:8000", metavar="HOST:PORT")

    def handle(self, *args: Any, **options: Any) -> None:
        with Processes(data_dir() / "logs", {}) as processes:
            processes.start("web", web_server(options["bind"]))
            processes.start("worker", manage("worker"))
            self.stdout.write(f"http://{options['bind']}/  (Ctrl-C stops)")
            try:
                while (name := processes.ended()) is None:
                    time.sleep(1)
            except KeyboardInterrupt:
                return
            raise CommandError(f"{name} has ended: see {processes.log_of(name)}")
