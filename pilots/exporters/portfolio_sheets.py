"""The portfolio's lists as sheets. Public surface: ``pilots_sheet``, ``evidence_sheet``, ``runs_sheet``,
``events_sheet``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any

from evaluations.enums import CriterionRole, RunStatus
from pilots.enums import Motive
from pilots.exporters.base import Column, Formula, Kind, Sheet, Tone
from pilots.exporters.words import NOT_YET, PERIOD_TONES, STATUS_TONES, verdict_word
from pilots.selectors.evidence import CriterionRow
from pilots.selectors.observation import Stage
from pilots.selectors.pilots import PilotRow, Portfolio
from pilots.selectors.registers import Names, RegisteredEvent, RegisteredReading, RegisteredRun

RUN_TONES: Mapping[str, Tone] = {
    RunStatus.FINISHED.label: Tone.GOOD,
    RunStatus.STOPPED_BY_BUDGET.label: Tone.CAUTION,
    RunStatus.CANCELLED.label: Tone.CAUTION,
    RunStatus.FAILED.label: Tone.BAD,
}
# EXACT: a criterion in SUMIFS would take "007" for "7" and an asterisk for anything.
_SPENT = "SUMPRODUCT(EXACT({runs.pilot},{pilot})*EXACT({runs.currency},{currency})*{runs.spent})"


def pilots_sheet(
    listed: Portfolio, stages: Mapping[str, Stage], names: Names, readings: Mapping[str, RegisteredReading]
) -> Sheet:
    columns = [
        Column("pilot", "Pilot"),
        Column("team", "Team", description="The business unit or customer that owns the workload"),
        Column("workload", "Workload", description="One production use of a model"),
        Column("incumbent", "Incumbent", description="The model in production when the pilot was opened"),
        Column("candidate", "Candidate", description="The model under trial"),
        Column("status", "Status", Kind.VERDICT, tones=STATUS_TONES),
        Column("since", "Since", Kind.DATE, "Day on which the status began"),
        Column("age", "Days in status", Kind.INTEGER),
        Column("verdict", "Newest verdict", Kind.VERDICT, "Of the newest run that ended; empty: none has", unknown=""),
        Column("decided", "Verdict when decided", Kind.VERDICT, "Stored with the decision", unknown=""),
        Column("switched", "Last cutover", Kind.DATE, unknown=""),
        Column("period", "Newest period", Kind.VERDICT, "Where it stands", tones=PERIOD_TONES, unknown=""),
        Column("confirmed", "Known to", Kind.DATE, "Last confirmation of the newest period", unknown=""),
        Column("share", "Traffic on candidate", Kind.PERCENT, "As last declared", decimals=0, unknown=""),
        Column("stage", "Stage in the funnel", description="A pilot that has ever cut over counts as switched"),
        Column("owner", "Owner", unknown="nobody"),
        Column("motive", "Motive", description="Declared reason for the pilot", unknown="not declared"),
    ]
    rows = [_pilot(row, stages[row.pilot], names, readings.get(row.pilot)) for row in listed.pilots]
    return Sheet("pilots", "Pilots", columns, rows, "Where every pilot stands", frozen_columns=1)


def _pilot(row: PilotRow, stage: Stage, names: Names, reading: RegisteredReading | None) -> list[Any]:
    return [
        row.pilot,
        names.teams[row.team],
        names.workloads[row.workload],
        row.incumbent,
        row.candidate,
        row.status.label,
        row.status_at.date(),
        row.age_days,
        reading.decision.label if reading else None,
        verdict_word(row.verdict),
        row.switched_on,
        row.spell_status.label if row.spell_status else None,
        row.last_confirmed,
        row.traffic_share,
        stage.label,
        row.owner or None,
        Motive(row.motive).label if row.motive else None,
    ]


def evidence_sheet(
    readings: Mapping[str, RegisteredReading], plans: Mapping[str, int], runs: Sequence[RegisteredRun]
) -> Sheet:
    """Every pilot with a frozen plan."""
    columns = [
        Column("pilot", "Pilot"),
        Column("plan", "Plan version", Kind.INTEGER, "The newest that is frozen"),
        Column("run", "Run", Kind.INTEGER, "The newest that ended with a verdict", unknown=""),
        Column("verdict", "Verdict", Kind.VERDICT, "What all agreed criteria say together", unknown=""),
        Column("criterion", "Primary criterion", description="The first primary criterion of the plan", unknown=""),
        Column("criterion_verdict", "Its verdict", Kind.VERDICT, unknown=""),
        Column("difference", "Difference", Kind.PERCENT, "Candidate less incumbent, in points; of a ratio: its change"),
        Column("lower", "95 % from", Kind.PERCENT),
        Column("upper", "95 % to", Kind.PERCENT),
        Column("samples", "Samples", Kind.INTEGER),
        Column("cost", "Change of cost", Kind.PERCENT, "Against the incumbent; empty: not a criterion of the plan"),
        Column("latency", "Change of p95 latency", Kind.PERCENT, "As for the cost"),
        Column("spent", "Spent on replays", Kind.MONEY, "Sum over the runs", currency_from="currency", unknown=""),
        Column("currency", "Currency", unknown=""),
    ]
    spent: dict[tuple[str, str], Decimal] = {}
    currencies: dict[str, str] = {}
    for run in runs:
        spent[run.pilot, run.currency] = spent.get((run.pilot, run.currency), Decimal(0)) + run.spent
        currencies[run.pilot] = run.currency
    rows = [
        [
            pilot,
            plan,
            *_reading(readings.get(pilot)),
            Formula(_SPENT, spent[pilot, currencies[pilot]]) if pilot in currencies else None,
            currencies.get(pilot),
        ]
        for pilot, plan in sorted(plans.items())
    ]
    return Sheet("evidence", "Evidence", columns, rows, "What the replays say", formulas=True, frozen_columns=1)


def _reading(reading: RegisteredReading | None) -> list[Any]:
    if reading is None:
        return [None] * 4 + [NOT_YET] * 6
    primary = next((row for row in reading.criteria if row.role is CriterionRole.PRIMARY), None)
    return [
        reading.run,
        reading.decision.label,
        *_primary(primary),
        _change(reading.criteria, "cost_per_request", "cost_per_success"),
        _change(reading.criteria, "latency_p95_ms"),
    ]


def _primary(row: CriterionRow | None) -> list[Any]:
    if row is None:
        return [None, None] + [NOT_YET] * 4
    limits = [row.estimate, row.lower, row.upper]
    if row.is_ratio:
        limits = [None if limit is None else limit - 1 for limit in limits]
    return [row.label, row.verdict.label, *limits, row.n]


def _change(criteria: Sequence[CriterionRow], *metrics: str) -> Any:
    """Change against the incumbent; None where it is a criterion but not computable."""
    row = next((row for row in criteria if row.metric in metrics and row.is_ratio), None)
    if row is None:
        return NOT_YET
    return None if row.estimate is None else row.estimate - 1


def runs_sheet(runs: Sequence[RegisteredRun]) -> Sheet:
    columns = [
        Column("pilot", "Pilot"),
        Column("run", "Run", Kind.INTEGER),
        Column("status", "Status", Kind.VERDICT, tones=RUN_TONES),
        Column("reason", "Reason", description="Why it ended as it did", unknown=""),
        Column("trigger", "Started"),
        Column("created", "Created", Kind.DATETIME),
        Column("finished", "Ended", Kind.DATETIME, unknown=""),
        Column("plan", "Plan version", Kind.INTEGER),
        Column("set", "Sample set", unknown=""),
        Column("total", "Answers to get", Kind.INTEGER, "Samples x arms x repeats"),
        Column("done", "Answers", Kind.INTEGER),
        Column("calls", "Calls", Kind.INTEGER, "Retries included"),
        Column("spent", "Spent", Kind.MONEY, "Settled calls of known cost", currency_from="currency", decimals=4),
        Column("budget", "Cap", Kind.MONEY, "Hard limit of the run", currency_from="currency"),
        Column("currency", "Currency"),
        Column("decision", "Verdict", Kind.VERDICT, "Of the plan version at the run's end", unknown=""),
        Column("late", "After the look", description="The verdict stood already and this run did not change it"),
    ]
    rows = [
        (
            run.pilot,
            run.run,
            run.status.label,
            run.status_reason.replace("_", " ") or None,
            run.trigger.label,
            run.created_at,
            run.finished_at,
            run.plan_version,
            run.sample_set or None,
            run.total,
            run.done,
            run.calls,
            run.spent,
            run.budget,
            run.currency,
            run.decision.label if run.decision else None,
            run.after_the_look,
        )
        for run in runs
    ]
    return Sheet("runs", "Replay runs", columns, rows, "Every replay, with what it cost", frozen_columns=2)


def events_sheet(events: Iterable[RegisteredEvent]) -> Sheet:
    columns = [
        Column("pilot", "Pilot"),
        Column("seq", "Number", Kind.INTEGER, "In the order of recording, within the pilot"),
        Column("kind", "Event"),
        Column("occurred", "Happened", Kind.DATETIME),
        Column("recorded", "Recorded", Kind.DATETIME),
        Column("actor", "By"),
        Column("source", "Through"),
        Column("share", "Traffic on candidate", Kind.PERCENT, decimals=0, unknown=""),
        Column("reason", "Reason", unknown=""),
        Column("to_model", "To model", unknown=""),
        Column("corrects", "Corrects", Kind.INTEGER, "Number of the event that this one corrects", unknown=""),
        Column("attachments", "Attachments", unknown="", width=40),
        Column("note", "Note", unknown="", width=60),
    ]
    rows = (
        (
            event.pilot,
            event.seq,
            event.kind.label,
            event.occurred_at,
            event.recorded_at,
            event.actor,
            event.source.label,
            event.traffic_share,
            event.reason.label if event.reason else None,
            event.to_model or None,
            event.corrects,
            "; ".join(event.attachments) or None,
            event.note or None,
        )
        for event in events
    )
    return Sheet(
        "events", "Events", columns, rows, "Everything that was recorded, as it was recorded", frozen_columns=2
    )
