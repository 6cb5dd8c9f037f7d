"""How often the verdicts are wrong, and how often right, measured on the project's own code: `make bench-statistics`.

Every setting is simulated with a generator of its own seed, in chunks over the machine's cores, and its figure is
compared with what is allowed: the table says setting, repetitions, figure with its standard error, and the limit. Ends
with 1 when a figure lies past its limit by more than two standard errors. ``--scale 0.1`` does a tenth.
"""

from __future__ import annotations

import argparse
import math
import os
import sys
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

SEED = 20260101


@dataclass(frozen=True)
class Setting:
    """One line of the table; ``simulation`` names a function of ``benchmarks.simulations``."""

    label: str
    simulation: str
    given: dict[str, Any]
    reps: int
    least: float = 0.0  # percent, what is allowed
    most: float = 100.0
    source: str = "STATISTICS 4"
    chunk: int = 0  # repetitions a process takes at once; 0: all

    @property
    def allowed(self) -> str:
        if self.least and self.most < 100:
            return f"{self.least:g} to {self.most:g} %"
        return f"at least {self.least:g} %" if self.least else f"at most {self.most:g} %"


@dataclass(frozen=True)
class Figure:
    setting: Setting
    hits: int
    reps: int
    samples: float  # of the pilots that said yes, together

    @property
    def percent(self) -> float:
        return 100 * self.hits / self.reps

    @property
    def standard_error(self) -> float:
        """Percentage points, with the share that Wilson's interval is centred on: never 0."""
        share = (self.hits + 2) / (self.reps + 4)
        return 100 * math.sqrt(share * (1 - share) / self.reps)

    @property
    def holds(self) -> bool:
        slack = 2 * self.standard_error
        return self.setting.least - slack <= self.percent <= self.setting.most + slack


def settings() -> list[Setting]:
    """All that is measured at full size, in the order of the table."""
    return [*_peeking(), *_units(), *_coverage()]


def _peeking() -> Iterator[Setting]:
    for margin in (0.03, 0.02, 0.05):
        for wins in (0.04, 0.005, 0.0, 0.02, 0.1):
            truth = {"looks": "every_night", "margin": margin, "wins": wins, "losses": wins + margin}
            label = f"safe, truth at the margin of {100 * margin:g} points, p+ {100 * wins:g} %"
            yield Setting(label, "ever", truth, 10_000, most=5)
    equal = {"looks": "every_night", "margin": 0.03, "wins": 0.04, "losses": 0.04}
    yield Setting("safe, equal models, margin 3, p+ 4 %", "ever", equal, 10_000, least=82)
    for wins in (0.04, 0.005):
        truth = {"looks": "planned_horizon", "margin": 0.03, "wins": wins, "losses": wins + 0.03}
        label = f"safe by 60 planned checks, truth at the margin of 3, p+ {100 * wins:g} %"
        yield Setting(label, "ever", truth, 10_000, most=5)
    planned = {**equal, "looks": "planned_horizon"}
    yield Setting("safe by 60 planned checks, equal models, margin 3, p+ 4 %", "ever", planned, 10_000, least=95)
    yield Setting("ever better, the same model twice, p+ 4 %", "ever", {**equal, "question": "better"}, 10_000, most=5)


def _units() -> Iterator[Setting]:
    turns = {"margin": 0.03, "wins": 0.04, "turns": 5, "icc": 0.5}
    yield Setting(
        "safe at the margin, conversations of 5 turns, ICC 0.5", "conversations", turns, 1000, most=5, chunk=50
    )
    golden = {"margin": 0.03, "prompts": 1000}
    yield Setting("safe at the margin, 1,000 golden prompts every night", "golden_set", golden, 500, most=5, chunk=25)
    errors = {"n": 2000, "margin": 0.02}
    label = "safe, vendor errors on 4 % (truth -3.7, margin 2)"
    yield Setting(label, "vendor_errors", errors, 2000, most=0.1, chunk=200, source="STATISTICS 5")
    at_limit = {"max_ratio": 0.9, "sigma": 1.2, "rho": 0.8}
    label = "safe, cost ratio at its limit, read every night"
    yield Setting(label, "cost_at_the_limit", at_limit, 1000, most=5, chunk=50, source="rule 4")


def _coverage() -> Iterator[Setting]:
    lines = (
        ("normal", 0.2, (94.0, 98.0)),
        ("normal", 0.02, (94.0, 98.0)),
        ("normal", 0.5, (94.0, 98.0)),
        ("pass/fail", 0.1, (94.0, 100.0)),
        ("tied", 0.2, (92.5, 98.0)),
    )
    for kind, icc, (least, most) in lines:
        for groups in (5, 10, 20, 40):
            given = {"groups": groups, "icc": icc, "kind": kind}
            named = {"tied": "effect tied to size"}.get(kind, kind)
            label = f"covered, {groups} clusters, {named}, ICC {icc:g}"
            yield Setting(label, "clusters", given, 6000, least, most, source="STATISTICS 6", chunk=1000)
    # Of ten with a true 95 % the limits miss when two leave while all are followed, about 8 % of the time.
    units = ((20, 0.5, 93), (20, 0.8, 93), (20, 0.95, 93), (10, 0.8, 93), (10, 0.95, 91), (40, 0.95, 93))
    for n, staying, least in units:
        label = f"covered, staying at day 90, n {n}, true {100 * staying:g} %"
        given = {"n": n, "staying": staying}
        yield Setting(label, "retention", given, 6000, least, 97.5, source="STATISTICS 6", chunk=1000)
    for n in (20, 50, 200, 1000):
        given = {"n": n, "sigma": 1.2, "rho": 0.8}
        label = f"covered, cost ratio, n {n}"
        yield Setting(label, "cost_ratio", given, 6000, 94.5, 98.5, source="STATISTICS 6", chunk=1000)


def measure(wanted: Sequence[Setting], *, scale: float = 1.0, processes: int = 1) -> Iterator[Figure]:
    """The figures in order, each as soon as it and those before it are known."""
    chunks = [_chunks(setting, scale) for setting in wanted]
    with ProcessPoolExecutor(processes, initializer=_set_up) as pool:
        waiting = [
            [pool.submit(simulate, setting, *chunk) for chunk in of_one]
            for setting, of_one in zip(wanted, chunks, strict=True)
        ]
        for setting, running in zip(wanted, waiting, strict=True):
            hits, of, samples = (sum(column) for column in zip(*(one.result() for one in running), strict=True))
            yield Figure(setting, int(hits), int(of), samples)


def _chunks(setting: Setting, scale: float) -> list[tuple[int, tuple[int, ...]]]:
    """Repetitions and seed of each: the same whatever else is measured, and by how many processes."""
    reps = max(1, round(scale * setting.reps))
    size, named = setting.chunk or reps, zlib.crc32(setting.label.encode())
    return [(min(size, reps - start), (SEED, named, start)) for start in range(0, reps, size)]


def simulate(setting: Setting, reps: int, seed: tuple[int, ...]) -> tuple[int, int, float]:
    """One chunk; Django must be set up."""
    from benchmarks import simulations

    run: Callable[..., simulations.Tally] = getattr(simulations, setting.simulation)
    found = run(reps, np.random.default_rng(seed), **setting.given)
    return found.hits, found.of, found.samples  # plain: whoever collects it has no Django


def _set_up() -> None:
    import django

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    django.setup()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scale", type=float, default=1.0, help="of the repetitions (default 1)")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--only", default="", help="settings whose label holds these words")
    options = parser.parse_args()
    started = time.monotonic()
    print(f"{'setting':<62} {'reps':>6} {'figure':>8} {'+- se':>6}  {'allowed':<14} {'mean n':>6}  source")
    held = True
    wanted = [setting for setting in settings() if options.only in setting.label]
    for figure in measure(wanted, scale=options.scale, processes=options.processes):
        setting = figure.setting
        mean = f"{figure.samples / figure.hits:6.0f}" if figure.samples else ""
        print(
            f"{setting.label:<62} {figure.reps:>6} {figure.percent:>6.2f} % {figure.standard_error:>6.2f}"
            f"  {setting.allowed:<14} {mean:>6}  {setting.source}{'' if figure.holds else '  <- NOT HELD'}",
            flush=True,
        )
        held = held and figure.holds
    print(f"{time.monotonic() - started:.0f} s", file=sys.stderr)
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main())
