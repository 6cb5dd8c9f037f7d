"""The demo's gateway: what its workloads were seen to run on. Public surface: ``COLUMNS``, ``traffic_rows``.

It agrees with the declared history but for one workload, which went back without a word; one name has no rule yet. Two
workloads that have no pilot are seen on the model that they run on.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import date, timedelta
from itertools import groupby, islice
from typing import Any

from pilots.demo.history import history_rows
from pilots.demo.portfolio import WITHOUT_A_PILOT

COLUMNS = ("workload", "day", "model", "requests", "input_tokens", "output_tokens", "errors")

_WORKLOADS, _DAYS, _AGREES_FOR_DAYS = 14, 90, 60
_SILENT_FOR_DAYS, _UNMAPPED = 19, "search-assistant-v2"


def traffic_rows(*, anchor: date) -> Iterator[dict[str, Any]]:
    """Daily requests by model of some workloads, over the ninety days before ``anchor``."""
    rng = random.Random(11)  # noqa: S311 - made data, repeatable
    lives = [list(rows) for _, rows in groupby(history_rows(anchor=anchor), key=lambda row: row["pilot"])]
    silent = next(life for life in lives if _stays(life, since=anchor - timedelta(days=_AGREES_FOR_DAYS)))
    others = (life for life in lives if life is not silent and _instant(life, "cutover") is not None)
    for life in [silent, *islice(others, _WORKLOADS - 1)]:
        volume, first = rng.randrange(900, 24_000), life[0]
        for day in (anchor - timedelta(days=back) for back in range(_DAYS, 0, -1)):
            share = _share(life, day)
            if life is silent and day >= anchor - timedelta(days=_SILENT_FOR_DAYS):
                share = 0.17
            total = int(volume * (0.55 if day.weekday() >= 5 else 1.0) * rng.uniform(0.93, 1.07))
            on_candidate = int(total * share)
            for model, requests in (
                (first["candidate"], on_candidate),
                (_other_model(life, day), total - on_candidate),
            ):
                if requests:
                    yield _row(first["workload"], day, model, requests, rng)
    for back in range(12, 0, -1):
        yield _row(_UNMAPPED, anchor - timedelta(days=back), "gpt-4o", rng.randrange(2_000, 3_000), rng)
    # The last of them has not been seen yet: what its answers would cost is not known.
    for workload, *_ in WITHOUT_A_PILOT[:-1]:
        for back in range(30, 0, -1):
            yield _row(workload, anchor - timedelta(days=back), "gpt-4o", rng.randrange(300, 900), rng)


def _row(workload: str, day: date, model: str, requests: int, rng: random.Random) -> dict[str, Any]:
    errors = int(requests * rng.uniform(0.0, 0.004))
    taken = {
        "input_tokens": int(requests * rng.uniform(780, 860)),
        "output_tokens": int(requests * rng.uniform(180, 210)),
    }
    names = {"workload": workload, "day": day.isoformat(), "model": model}
    return {**names, "requests": requests, **taken, "errors": errors}


def _stays(life: list[dict[str, Any]], *, since: date) -> bool:
    """Whether a workload was cut over before ``since`` and nothing says that it left."""
    cutover = _instant(life, "cutover")
    return cutover is not None and cutover < since and _left(life) is None


def _share(life: list[dict[str, Any]], day: date) -> float:
    """Of the day's requests on the candidate, as declared."""
    cutover, left = _instant(life, "cutover"), _left(life)
    return 0.97 if cutover is not None and cutover <= day and (left is None or day < left) else 0.0


def _other_model(life: list[dict[str, Any]], day: date) -> str:
    """What the rest runs on: the incumbent, or where the workload went when it left for another model."""
    left = _left(life)
    went = {row["to_model"] for row in life if row["to_model"]} if left is not None and day >= left else set()
    return str(min(went, default=life[0]["incumbent"]))


def _left(life: list[dict[str, Any]]) -> date | None:
    return next((day for event in ("rollback", "superseded", "ended") if (day := _instant(life, event))), None)


def _instant(life: list[dict[str, Any]], event: str) -> date | None:
    return next((date.fromisoformat(row["occurred_at"]) for row in life if row["event"] == event), None)
