"""One pilot's plan, criteria and arms as sheets.

Public surface: ``facts_sheet``, ``criteria_sheet``, ``rates_sheet``, ``arms_sheet``, ``outcomes_sheet``, ``priced``.

Counts and sums of the arms are formulas over the raw answers and calls.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from evaluations.enums import COMPARED, STOPS_ARM, ArmRole, Outcome
from evaluations.selectors.arms import ArmSummary
from evaluations.selectors.sentences import label_of
from pilots.exporters.base import UNKNOWN, Column, Formula, Kind, Sheet
from pilots.selectors.evidence import CriterionRow, Reading
from pilots.selectors.profile import PilotProfile

_UNITS = {"share": "share", "ms": "milliseconds", "score": "score"}
_TOKENS = {  # key of the run document: column of the answers, heading
    "input_uncached": ("input_uncached", "Input, uncached"),
    "cache_read": ("cache_read", "Cache read"),
    "cache_write": ("cache_write", "Cache write"),
    "output_total": ("output_total", "Output, total"),
    "output_visible": ("output_visible", "Output, visible"),
    "reasoning": ("reasoning", "Reasoning"),
}
_ANSWERS = "{answers.run},{run},{answers.arm},{arm}"
_CALLS = "{calls.run},{run},{calls.arm},{arm}"


def priced(column: str, where: str) -> str:
    """The sum of a column's known numbers, or the word 'unknown' where there is none."""
    return f'IF(COUNTIFS({where},{column},">=0")=0,"{UNKNOWN}",SUMIFS({column},{where}))'


def facts_sheet(profile: PilotProfile, *, content: bool) -> Sheet:
    """``content`` shows the words that an arm puts before every prompt."""
    columns = [
        Column("fact", "What", width=28),
        Column("value", "Value", width=110, wrap=True, unknown=""),
    ]
    return Sheet("facts", "Plan", columns, list(_facts(profile, content)), "What was agreed before the first call")


def _facts(profile: PilotProfile, content: bool) -> Iterator[tuple[str, str | None]]:
    plan = profile.plan
    if plan is None:
        yield "Plan", "not frozen yet" if profile.has_plan else "none"
    else:
        document = plan.document
        yield "Plan version", str(plan.number)
        yield "Plan digest", plan.digest
        yield "Frozen", plan.frozen_at.isoformat(timespec="seconds")
        yield "Frozen by", plan.frozen_by or UNKNOWN
        yield "Changed after the fact", "yes" if plan.after_the_fact else "no"
        yield "Hypothesis", document["hypothesis"]
        yield "Planned checks", plan.looks.label
        yield "Alpha", str(document["alpha"])
        yield "Minimum samples", str(document["minimum_samples"])
        for name, value in document["horizon"].items():
            yield f"Horizon: {name.replace('_', ' ')}", "none" if value is None else str(value)
        for role in COMPARED:
            yield f"{role.label.capitalize()} arm", _told(_arm_as_agreed(document["arms"][role.value], content))
        for scorer in document["scorers"]:
            yield f"Scorer {scorer['key']}", _told(scorer)
        for criterion in document["criteria"]:
            yield f"Criterion {label_of(criterion['metric'])}", _told(criterion)
    yield "Pilot", profile.slug
    yield "Team", profile.team
    yield "Workload", profile.workload
    yield "Monthly requests", UNKNOWN if profile.monthly_requests is None else f"{profile.monthly_requests:,}"
    yield "Incumbent", f"{profile.incumbent.slug} ({profile.incumbent.vendor})"
    yield "Candidate", f"{profile.candidate.slug} ({profile.candidate.vendor})"
    yield "Owner", profile.owner or "nobody"
    yield "Deputy", profile.deputy or "nobody"
    yield "Motive", profile.motive.label if profile.motive else "not declared"
    yield "Status", profile.status.label
    yield "Status since", profile.status_at.isoformat(timespec="seconds")


def _arm_as_agreed(arm: Mapping[str, Any], content: bool) -> Mapping[str, Any]:
    prefix = arm["request"].get("system_prefix")
    if content or not prefix:
        return arm
    return {**arm, "request": {**arm["request"], "system_prefix": f"[left out, {len(prefix):,} characters]"}}


def _told(values: Mapping[str, Any]) -> str:
    """What is set of a part of the plan's document, on one line."""
    given = ((name, value) for name, value in values.items() if value not in (None, "", {}, []))
    return "; ".join(f"{name.replace('_', ' ')}: {_line(value)}" for name, value in given)


def _line(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def criteria_sheet(reading: Reading | None) -> Sheet:
    columns = [
        Column("criterion", "Criterion"),
        Column("role", "Role"),
        Column("verdict", "Verdict", Kind.VERDICT),
        Column("unit", "Unit", description="Of the two models' values"),
        Column("incumbent", "Incumbent", Kind.DECIMAL, decimals=4),
        Column("candidate", "Candidate", Kind.DECIMAL, decimals=4),
        Column("scale", "Compared as", description="Candidate less incumbent, or candidate / incumbent"),
        Column("estimate", "Estimate", Kind.DECIMAL, decimals=4),
        Column("lower", "From", Kind.DECIMAL, "Lower limit of the interval", decimals=4),
        Column("upper", "To", Kind.DECIMAL, "Upper limit of the interval", decimals=4),
        Column("bound", "Agreed limit", Kind.DECIMAL, "On the scale of the estimate", decimals=4, unknown=""),
        Column("n", "Samples", Kind.INTEGER),
        Column("missing", "Missing pairs", Kind.INTEGER),
        Column("harmful", "Harmful flips", Kind.INTEGER, "Incumbent passed, candidate failed", unknown=""),
        Column("beneficial", "Beneficial flips", Kind.INTEGER, "Candidate passed, incumbent failed", unknown=""),
        Column("method", "Method"),
        Column("sentence", "In words", width=100),
    ]
    rows = [_criterion(row, reading.currency) for row in reading.criteria] if reading else []
    return Sheet("criteria", "Criteria", columns, rows, "Is the candidate at least as good, criterion by criterion")


def _criterion(row: CriterionRow, currency: str) -> tuple[Any, ...]:
    return (
        row.label,
        row.role.label,
        row.verdict.label,
        _UNITS.get(row.unit, currency),
        row.incumbent,
        row.candidate,
        "ratio" if row.is_ratio else "difference",
        row.estimate,
        row.lower,
        row.upper,
        row.bound,
        row.n,
        row.missing,
        row.harmful_flips,
        row.beneficial_flips,
        row.method,
        row.sentence,
    )


def rates_sheet(reading: Reading | None) -> Sheet:
    """The criteria that are shares of the requests, for the chart."""
    columns = [
        Column("criterion", "Criterion"),
        *(Column(role.value, role.label.capitalize(), Kind.PERCENT) for role in COMPARED),
    ]
    rows = [
        [row.label, *(Formula(f"{{criteria.{role}:{at}}}", getattr(row, role.value)) for role in COMPARED)]
        for at, row in enumerate(reading.criteria if reading else (), 1)
        if row.unit == "share"
    ]
    return Sheet("rates", "Rates", columns, rows, "Shares of the requests, model against model", formulas=True)


def arms_sheet(arms: Mapping[int, Mapping[str, ArmSummary]]) -> Sheet:
    columns = [
        Column("run", "Run", Kind.INTEGER),
        Column("arm", "Arm"),
        Column("model", "Model"),
        Column("source", "Answers"),
        Column("succeeded", "Answered", Kind.INTEGER),
        Column("failed", "Failed", Kind.INTEGER, "Everything else that was not answered"),
        Column("missing", "Missing", Kind.INTEGER, "No recorded answer"),
        Column("not_permitted", "Not permitted", Kind.INTEGER, "Refused by the team's data agreement"),
        Column("calls", "Calls", Kind.INTEGER, "Retries included"),
        Column("retries", "Retries", Kind.INTEGER),
        Column("cost", "Cost", Kind.MONEY, "Of calls whose cost is known", currency_from="currency", decimals=4),
        Column("currency", "Currency"),
        Column("unknown_calls", "Of unknown cost", Kind.INTEGER, "Calls, or recorded answers, that are not in the sum"),
        *(Column(key, f"{words} tokens", Kind.INTEGER) for key, (_, words) in _TOKENS.items()),
        Column("p50", "Latency p50 (ms)", Kind.DECIMAL, decimals=0),
        Column("p95", "Latency p95 (ms)", Kind.DECIMAL, decimals=0),
        Column("ttft", "First token p95 (ms)", Kind.DECIMAL, decimals=0),
    ]
    rows = [_arm(run, summary) for run, roles in arms.items() for summary in roles.values()]
    return Sheet("arms", "Arms", columns, rows, "What each side did and cost", formulas=True, frozen_columns=2)


def _arm(run: int, arm: ArmSummary) -> list[Any]:
    every, missing, not_permitted = (
        f"COUNTIFS({_ANSWERS})",
        _ended(Outcome.MISSING),
        _ended(Outcome.NOT_PERMITTED),
    )
    stops = "".join(f'+COUNTIFS({_CALLS},{{calls.outcome}},"{outcome.label}")' for outcome in sorted(STOPS_ARM))
    failed = f"{every}-{_ended(Outcome.OK)}-{missing}-{not_permitted}{stops}"
    cost, where = ("{answers.cost}", _ANSWERS) if arm.recorded else ("{calls.cost}", _CALLS)
    unknown = f'COUNTIFS({where},{cost},"{UNKNOWN}")' + (f"-{missing}" if arm.recorded else "")
    return [
        run,
        ArmRole(arm.role).label,
        arm.model,
        _source(arm),
        Formula(_ended(Outcome.OK), arm.succeeded),
        Formula(failed, sum(arm.failed.values())),
        Formula(missing, arm.missing),
        Formula(not_permitted, arm.not_permitted),
        Formula(f"COUNTIFS({_CALLS})", arm.calls),
        arm.retries,
        Formula(priced(cost, where), arm.cost),
        arm.currency,
        Formula(unknown, arm.unknown_calls),
        *(Formula(priced(f"{{answers.{column}}}", _ANSWERS), arm.tokens[key]) for key, (column, _) in _TOKENS.items()),
        arm.latency_ms.p50,
        arm.latency_ms.p95,
        arm.ttft_ms.p95 if arm.ttft_ms else None,
    ]


def _ended(outcome: Outcome) -> str:
    return f'COUNTIFS({_ANSWERS},{{answers.outcome}},"{outcome.label}")'


def _source(arm: ArmSummary) -> str:
    if not arm.recorded:
        return f"replayed on {arm.endpoint}"
    if arm.recorded_from is None or arm.recorded_to is None:
        return "recorded"
    return f"recorded {arm.recorded_from.date().isoformat()} to {arm.recorded_to.date().isoformat()}"


def outcomes_sheet(arms: Mapping[int, Mapping[str, ArmSummary]]) -> Sheet:
    """How the requests of each arm ended, over the runs that are listed."""
    counts: dict[Outcome, dict[str, int]] = {}
    for roles in arms.values():
        for role, arm in roles.items():
            apart = {Outcome.OK: arm.succeeded, Outcome.MISSING: arm.missing, Outcome.NOT_PERMITTED: arm.not_permitted}
            for outcome, n in (*apart.items(), *((Outcome(name), n) for name, n in arm.failed.items())):
                by_role = counts.setdefault(outcome, {})
                by_role[role] = by_role.get(role, 0) + n
    columns = [
        Column("outcome", "Outcome"),
        *(Column(role.value, role.label.capitalize(), Kind.INTEGER) for role in COMPARED),
    ]
    rows = [
        [outcome.label, *(Formula(_counted(outcome, role), counts[outcome].get(role, 0)) for role in COMPARED)]
        for outcome in Outcome
        if any(counts.get(outcome, {}).values())
    ]
    return Sheet("outcomes", "Outcomes", columns, rows, "How the requests ended", formulas=True)


def _counted(outcome: Outcome, role: ArmRole) -> str:
    """An arm that was stopped has calls that answer no sample: these are counted as calls."""
    sheets = ("answers", "calls") if outcome in STOPS_ARM else ("answers",)
    return "+".join(f'COUNTIFS({{{sheet}.arm}},"{role.label}",{{{sheet}.outcome}},{{outcome}})' for sheet in sheets)
