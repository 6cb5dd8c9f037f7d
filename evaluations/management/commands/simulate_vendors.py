"""``simulate_vendors``: vendors over real HTTP on loopback."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import CommandParser

from evaluations.management.base import PilotsCommand
from evaluations.services.errors import Refused
from evaluations.simulator.config import SimulatorConfigError, load_config
from evaluations.simulator.server import run


class Command(PilotsCommand):
    help = "Serve simulated vendors in four dialects on loopback until Ctrl-C."
    name = "simulate_vendors"

    def arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--port", type=int, default=9100)
        parser.add_argument("--behaviours", type=Path, metavar="FILE", help="YAML or JSON: how each model behaves")
        parser.add_argument(
            "--recording", type=Path, nargs="+", action="extend", default=[], metavar="FILE", help="recorded answers"
        )
        parser.add_argument("--answers", type=Path, metavar="FILE", help="right answers, for models with an accuracy")

    def run(self, **options: Any) -> tuple[Any, bool]:
        port = options["port"]
        try:
            config = load_config(
                behaviours=options["behaviours"], recordings=options["recording"], answers=options["answers"]
            )
            self.progress(f"simulated vendors: http://127.0.0.1:{port}")
            run(config, port=port)
        except SimulatorConfigError as error:
            raise Refused(str(error)) from None
        except (OSError, OverflowError) as error:
            raise Refused(f"port {port} cannot be served ({error})", field="--port") from None
        return None, True
