"""``demo``: the whole story once, on the embedded default, with simulated vendors."""

from __future__ import annotations

import csv
import json
import os
import secrets
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import Any

from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.core.management.base import CommandParser
from django.utils import timezone

from evaluations.conf import data_dir
from evaluations.enums import Decision, RunStatus
from evaluations.management.base import PilotsCommand
from evaluations.models import ReplayRun, Workload
from evaluations.selectors.progress import run_document, run_progress
from evaluations.services.errors import Refused
from evaluations.services.plans import freeze_plan
from evaluations.services.samples import import_samples
from evaluations.simulator.answers import AnswerKey
from evaluations.simulator.config import SimulatorConfig, behaviour_from
from evaluations.simulator.server import SimulatedVendors
from pilots.demo import history, traffic
from pilots.demo.portfolio import MAIN_PILOT, RECORDED_PILOT, portfolio
from pilots.demo.samples import answer_key, claims_samples, triage_samples
from pilots.management.processes import Processes, free_port, manage, web_server
from pilots.models import Pilot
from pilots.services import lifecycle
from pilots.services.exports import write_export
from pilots.services.history_import import import_history
from pilots.services.portfolio_file import apply_portfolio
from pilots.services.replays import start_replay
from pilots.services.traffic import import_traffic

REPLAY_SECONDS = 300
BEHAVIOURS: dict[str, dict[str, Any]] = {
    "gpt-4o": {"behaviour": "steady", "latency_ms": 60, "accuracy": 0.955},
    "mai-thinking-1": {"behaviour": "steady", "latency_ms": 70, "accuracy": 0.965},
    "claude-sonnet-4.5": {"behaviour": "steady", "latency_ms": 65, "accuracy": 0.97},
    "gemini-2.5-pro": {"behaviour": "steady", "latency_ms": 50, "judge": "honest"},
}


@dataclass
class State:
    """What a second run must find as it was."""

    anchor: str  # ISO day of the first run: every date of the story counts from it
    vendor_port: int
    web_port: int
    password: str

    @classmethod
    def load(cls, path: Path) -> State:
        if path.exists():
            return cls(**json.loads(path.read_text()))
        state = cls(
            anchor=timezone.now().date().isoformat(),
            vendor_port=free_port(9100),
            web_port=free_port(8000),
            password=secrets.token_urlsafe(9),
        )
        path.touch(mode=0o600)
        path.write_text(json.dumps(asdict(state)))
        return state


class Command(PilotsCommand):
    help = "Fill a believable portfolio, run one full replay against simulated vendors, write the workbook, serve it."
    name = "demo"

    def arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--no-server", action="store_true", help="exit after the replay and the workbook")

    def run(self, **options: Any) -> tuple[Any, bool]:
        folder = data_dir() / "demo"
        folder.mkdir(parents=True, exist_ok=True)
        state = State.load(folder / "state.json")
        anchor = date.fromisoformat(state.anchor)
        call_command("migrate", verbosity=0)
        self._login(state)
        samples = {
            "ticket-triage": list(triage_samples(anchor=anchor)),
            "claims-intake": list(claims_samples(anchor=anchor)),
        }
        key = [*answer_key(iter(samples["ticket-triage"])), *answer_key(iter(samples["claims-intake"]))]
        vendors = SimulatorConfig(
            models={name: behaviour_from(values, name) for name, values in BEHAVIOURS.items()},
            answers=AnswerKey.load(_json_lines(folder / "answers.jsonl", key)),
        )
        with SimulatedVendors(vendors, port=free_port(state.vendor_port)) as simulated:
            door = simulated.url.removeprefix("http://")
            environment = {"PILOTS_EGRESS_ALLOW": door, "DEMO_VENDOR_KEY": "simulated"}
            os.environ.update(environment)
            self._portfolio(folder, anchor=anchor, vendor_url=simulated.url)
            for workload, rows in samples.items():
                self._samples(folder, workload, rows)
            self._history(folder, anchor)
            self._traffic(folder, anchor)
            with Processes(folder / "logs", environment) as processes:
                processes.start("worker", manage("worker"))
                run = self._replay(processes)
                self._decide(run)
                workbook = self._workbook()
                document = {"run": run_document(run), "workbook": str(workbook), "login": "demo"}
                well = run.status is RunStatus.FINISHED and workbook.exists()
                if not options["no_server"]:
                    self._serve(processes, state, workbook)
        return document, well

    def text(self, document: Any) -> str:
        run = document["run"]
        sentences = "\n".join(f"  {comparison['sentence']}" for comparison in run["comparisons"])
        words = Decision(run["decision"]).label if run["decision"] else run["status"]
        return f"{run['pilot']}: {words}\n{sentences}\nworkbook: {document['workbook']}"

    def _login(self, state: State) -> None:
        User = get_user_model()
        user, created = User.objects.get_or_create(username="demo", defaults={"is_superuser": True, "is_staff": True})
        if created:
            user.set_password(state.password)
            user.save()

    def _portfolio(self, folder: Path, *, anchor: date, vendor_url: str) -> None:
        path = folder / "portfolio.json"
        path.write_text(json.dumps(portfolio(anchor=anchor, vendor_url=vendor_url), indent=1, default=str))
        report = apply_portfolio(path=path, by=self.actor, at=self.now)
        self.progress(f"portfolio: {report.created} created, {report.updated} updated, {report.unchanged} unchanged")
        for slug in (MAIN_PILOT, RECORDED_PILOT):
            pilot = Pilot.objects.select_related("plan").get(slug=slug)
            if pilot.plan is not None and not pilot.plan.versions.exists():
                version = freeze_plan(plan=pilot.plan, by=self.actor, at=self.now)
                lifecycle.mark_planned(
                    pilot=pilot, by=self.actor, at=self.now, plan_version=version.number, digest=version.digest
                )

    def _samples(self, folder: Path, slug: str, rows: Iterable[Mapping[str, Any]]) -> None:
        path = _json_lines(folder / f"{slug}.jsonl", rows)
        report = import_samples(
            workload=Workload.objects.get(slug=slug), path=path, by=self.actor, at=self.now, name=f"{slug}, last month"
        )
        self.progress(f"samples of {slug}: {report.stored} of {report.read} in the set")

    def _history(self, folder: Path, anchor: date) -> None:
        path = _table(folder / "history.csv", history.COLUMNS, history.history_rows(anchor=anchor))
        report = import_history(path=path, by=self.actor, at=self.now)
        self.progress(f"history: {report.events} events of {report.pilots} pilots")

    def _traffic(self, folder: Path, anchor: date) -> None:
        path = _table(folder / "traffic.csv", traffic.COLUMNS, traffic.traffic_rows(anchor=anchor))
        report = import_traffic(paths=[path], by=self.actor, at=self.now)
        self.progress(f"traffic: {report.days} days of {report.workloads} workloads, {report.unmapped} wait for a rule")

    def _replay(self, processes: Processes) -> ReplayRun:
        """The finished replay of an earlier run, or a new one, worked on by the worker process."""
        pilot = Pilot.objects.select_related("plan__workload").get(slug=MAIN_PILOT)
        runs = ReplayRun.objects.filter(plan_version__plan=pilot.plan, judges=None)
        finished = runs.filter(status=RunStatus.FINISHED).order_by("id").first()
        if finished is not None:
            self.progress(f"run {finished.pk} is finished already: no call is made")
            return finished
        run = runs.filter(status__in=[RunStatus.PENDING, RunStatus.RUNNING]).first() or start_replay(
            pilot=pilot, by=self.actor, at=self.now
        )
        deadline = time.monotonic() + REPLAY_SECONDS
        while not run.decision:
            if (name := processes.ended()) is not None:
                raise Refused(f"{name} has ended: see {processes.log_of(name)}")
            if time.monotonic() > deadline:
                raise Refused(f"run {run.pk} did not end within {REPLAY_SECONDS} s")
            time.sleep(0.5)
            run.refresh_from_db()
            progress = run_progress(run, now=self.now)
            self.progress(
                f"run {run.pk}: {progress.done:,} of {progress.total:,},"
                f" {progress.spent:.4f} of {progress.budget:f} {progress.currency}"
            )
        return run

    def _decide(self, run: ReplayRun) -> None:
        """Go, ramp and cut over, if the criteria were met and nobody has decided yet."""
        pilot = Pilot.objects.get(slug=MAIN_PILOT)
        if run.decision is not Decision.SAFE_TO_SWITCH or pilot.status != "evaluating":
            return
        document = run_document(run)
        verdict = {"decision": document["decision"], "run": run.pk, "comparisons": document["comparisons"]}
        lifecycle.decide(
            pilot=pilot, by=self.actor, at=self.now, go=True, rationale="All agreed criteria met.", verdict=verdict
        )
        lifecycle.record_cutover(pilot=pilot, by=self.actor, at=self.now)

    def _workbook(self) -> Path:
        export = write_export(key="portfolio", filters={}, by=self.actor, at=self.now)
        self.progress(f"workbook: {export.path}")
        return Path(export.path)

    def _serve(self, processes: Processes, state: State, workbook: Path) -> None:
        port = free_port(state.web_port)
        processes.start("web", web_server(f"127.0.0.1:{port}"))
        self.stdout.write(f"\nhttp://127.0.0.1:{port}/   login: demo / {state.password}\nworkbook: {workbook}")
        self.stdout.write("Ctrl-C stops everything.")
        try:
            while (name := processes.ended()) is None:
                time.sleep(1)
            self.progress(f"{name} has ended: see {processes.log_of(name)}")
        except KeyboardInterrupt:
            self.progress("stopping")


def _table(path: Path, columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> Path:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(rows)
    return path


def _json_lines(path: Path, rows: Iterable[Mapping[str, Any]]) -> Path:
    with path.open("w") as file:
        for row in rows:
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
    return path
