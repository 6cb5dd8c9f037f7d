"""The portfolio's lists as sheets. Public surface: ``pilots_sheet``, ``runs_sheet``, ``events_sheet``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
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
    listed: Portfolio,
    stages: Mapping[str, Stage],
    names: Names,
    readings: Mapping[str, RegisteredReading],
    plans: Mapping[str, int],
    runs: Sequence[RegisteredRun],
) -> Sheet:
    columns = [
        Column("pilot", "Pilot"),
        Column("team", "Team", description="The business unit or customer that owns the workload"),
        Column("workload", "Workload", description="One production use of a model"),
        Column("task_type", "Task type", unknown=""),
        Column("incumbent", "Incumbent", description="The model in production when the pilot was opened"),
        Column("incumbent_vendor", "Incumbent's vendor"),
        Column("candidate", "Candidate", description="The model under trial"),
        Column("candidate_vendor", "Candidate's vendor"),
        Column("status", "Status", Kind.VERDICT, tones=STATUS_TONES),
        Column("since", "Since", Kind.DATE, "Day on which the status began"),
        Column("age", "Days in status", Kind.INTEGER),
        Column("stage", "Stage in the funnel", description="A pilot that has ever cut over counts as switched"),
        Column("owner", "Owner", unknown="nobody"),
        Column("motive", "Motive", description="Declared reason for the pilot", unknown="not declared"),
        Column("opened", "Opened", Kind.DATE),
        Column(
            "share", "Traffic on candidate", Kind.PERCENT, "As last declared; empty: never said", decimals=0, unknown=""
        ),
        Column("periods", "Periods", Kind.INTEGER, "Times on the candidate"),
        Column("switched", "Last cutover", Kind.DATE, unknown=""),
        Column("confirmed", "Known to", Kind.DATE, "Last confirmation of the newest period", unknown=""),
        Column("period", "Newest period", Kind.VERDICT, tones=PERIOD_TONES, unknown=""),
        Column("decided", "Verdict when decided", Kind.VERDICT, "Stored with the decision", unknown=""),
        Column("plan", "Plan version", Kind.INTEGER, "Newest frozen plan; empty: none is frozen", unknown=""),
        Column("run", "Newest verdict's run", Kind.INTEGER, unknown=""),
        Column("verdict", "Newest verdict", Kind.VERDICT, "Of the newest run that ended", unknown=""),
        Column("criterion", "Primary criterion", description="The first primary criterion of the plan", unknown=""),
        Column("criterion_verdict", "Its verdict", Kind.VERDICT, unknown=""),
        Column(
            "difference", "Difference", Kind.PERCENT, "Candidate less incumbent, in points; for a ratio: its change"
        ),
        Column("lower", "95 % from", Kind.PERCENT),
        Column("upper", "95 % to", Kind.PERCENT),
        Column("samples", "Samples", Kind.INTEGER),
        Column(
            "cost", "Change of cost", Kind.PERCENT, "Candidate against incumbent, where the plan has it as a criterion"
        ),
        Column("latency", "Change of p95 latency", Kind.PERCENT, "As for the cost"),
        Column(
            "spent", "Spent on replays", Kind.MONEY, "Sum over the replay runs", currency_from="currency", unknown=""
        ),
        Column("currency", "Currency", unknown=""),
    ]
    spent: dict[tuple[str, str], Any] = {}
    currencies: dict[str, str] = {}
    for run in runs:
        spent[run.pilot, run.currency] = spent.get((run.pilot, run.currency), 0) + run.spent
        currencies[run.pilot] = run.currency
    rows = [
        [
            *_facts(row, stages[row.pilot], names),
            plans.get(row.pilot),
            *_reading(readings.get(row.pilot)),
            Formula(_SPENT, spent[row.pilot, currencies[row.pilot]]) if row.pilot in currencies else None,
            currencies.get(row.pilot),
        ]
        for row in listed.pilots
    ]
    return Sheet("pilots", "Pilots", columns, rows, "Where every pilot stands", formulas=True, frozen_columns=1)


def _facts(row: PilotRow, stage: Stage, names: Names) -> list[Any]:
    return [
        row.pilot,
        names.teams[row.team],
        names.workloads[row.workload],
        row.task_type or None,
        row.incumbent,
        names.vendors[row.incumbent_vendor],
        row.candidate,
        names.vendors[row.candidate_vendor],
        row.status.label,
        row.status_at.date(),
        row.age_days,
        stage.label,
        row.owner or None,
        Motive(row.motive).label if row.motive else None,
        row.opened_on,
        row.traffic_share,
        row.spells,
        row.switched_on,
        row.last_confirmed,
        row.spell_status.label if row.spell_status else None,
        verdict_word(row.verdict),
    ]


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
        Column("note", "Note", unknown="", width=50, wrap=True),
        Column("attachments", "Attachments", unknown="", width=40, wrap=True),
        Column("corrects", "Corrects", Kind.INTEGER, "Number of the event that this one corrects", unknown=""),
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
            event.note or None,
            "; ".join(event.attachments) or None,
            event.corrects,
        )
        for event in events
    )
    return Sheet(
        "events", "Events", columns, rows, "Everything that was recorded, as it was recorded", frozen_columns=2
    )
