"""The demo's past: a spreadsheet of switches, some of which did not last. Public surface: ``history_rows``."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any

from pilots.demo.portfolio import TEAMS

COLUMNS = (
    "team",
    "workload",
    "pilot",
    "incumbent",
    "candidate",
    "event",
    "occurred_at",
    "traffic_share",
    "reason",
    "to_model",
    "attachment",
    "note",
    "observed_from",
)

_TASKS = (
    "invoice-reading",
    "contract-summary",
    "mail-drafting",
    "chat-routing",
    "faq-answers",
    "report-writing",
    "entity-extraction",
    "call-notes",
    "translation",
    "risk-screening",
)
_PAIRS = (
    ("gpt-4o", "mai-thinking-1", 22, 150),
    ("gpt-4o", "claude-sonnet-4.5", 16, 380),
    ("gpt-4", "gemini-2.5-pro", 8, 420),
)
_REASONS = (
    ("quality", "incident:QA-{n}", "Answers to long tickets left out the second question."),
    ("quality", "note:Weekly sample of {n} answers read by the team", "Tone drifted from the house style."),
    ("latency", "incident:OPS-{n}", "95th percentile above the service level in the evening peak."),
    ("refusals", "incident:SUP-{n}", "Harmless medical wording was refused."),
    ("cost", "invoice:2026-{n}", "Reasoning tokens made it dearer than planned."),
    ("reliability", "incident:OPS-{n}", "Two regional outages within a week."),
    ("integration", "url:https://example.com/tickets/{n}", "Tool calls came back with other argument names."),
)
_FOLLOW_UPS = (30, 60, 90, 180, 365)


def history_rows(*, anchor: date) -> Iterator[dict[str, Any]]:
    """Rows of the history import: about 46 pilots over the fourteen months before ``anchor``."""
    rng = random.Random(7)  # noqa: S311 - made data, repeatable
    number = 0
    for incumbent, candidate, pilots, oldest in _PAIRS:
        for _ in range(pilots):
            team, task = TEAMS[number % len(TEAMS)][0], _TASKS[number % len(_TASKS)]
            cutover = anchor - timedelta(days=rng.randrange(12, oldest))
            base = {
                "team": team,
                "workload": f"{team}-{task}",
                "pilot": f"{team}-{task}-{number:02}",
                "incumbent": incumbent,
                "candidate": candidate,
            }
            number += 1
            for row in _life(rng, cutover=cutover, anchor=anchor, number=number, incumbent=incumbent):
                yield {column: {**base, **row}.get(column, "") for column in COLUMNS}


def _life(rng: random.Random, *, cutover: date, anchor: date, number: int, incumbent: str) -> Iterator[dict[str, str]]:
    yield _row("opened", cutover - timedelta(days=rng.randrange(25, 60)))
    before = rng.random()
    if before < 0.06:
        yield _row("declined", cutover, note="The replay showed more harmful answers than agreed.")
        return
    if before < 0.10:
        yield _row("abandoned", cutover, note="The team was reorganised.")
        return
    yield _row("decided", cutover - timedelta(days=9), note="All agreed criteria met.")
    yield _row("ramp", cutover - timedelta(days=6), traffic_share="0.2")
    if before < 0.16:
        yield _row("alongside", cutover, traffic_share="0.4", note="Kept for languages the incumbent handles badly.")
        return
    yield _row("cutover", cutover, traffic_share="1")
    end = _end(rng, cutover=cutover, anchor=anchor, number=number, incumbent=incumbent)
    last = date.fromisoformat(end["occurred_at"]) if end else anchor
    answered = rng.random() < 0.93
    for day in _FOLLOW_UPS:
        due = cutover + timedelta(days=day + rng.randrange(-2, 4))
        if due >= last or (not answered and day > 30):
            break
        yield _row("follow_up", due)
    if end:
        yield end


def _end(rng: random.Random, *, cutover: date, anchor: date, number: int, incumbent: str) -> dict[str, str] | None:
    fate, day = rng.random(), cutover + timedelta(days=int(rng.weibullvariate(80, 1.1)) + 4)
    if day >= anchor:
        return None
    if fate < 0.24:
        reason, attachment, note = rng.choice(_REASONS)
        to_model = "gpt-4o" if incumbent == "gpt-4" and day >= date(2026, 10, 23) else ""
        return _row(
            "rollback",
            day,
            traffic_share="1",
            reason=reason,
            attachment=attachment.format(n=400 + number),
            note=note,
            to_model=to_model,
        )
    if fate < 0.29:
        return _row("superseded", day, to_model="gemini-2.5-pro" if incumbent == "gpt-4o" else "claude-sonnet-4.5")
    if fate < 0.31:
        return _row("ended", day, note="The product line was sold.")
    return None


def _row(event: str, day: date, **values: str) -> dict[str, str]:
    return {"event": event, "occurred_at": day.isoformat(), **values}
