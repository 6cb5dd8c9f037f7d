"""Who stayed, as sheets: periods, the three answers by day, the curve and the reasons.

Public surface: ``periods_sheet``, ``answers_sheet``, ``curve_sheet``, ``curve_chart``, ``reasons_sheet``,
``funnel_lines``, ``answer_lines``.

The curve recalculates from the numbers at risk and gone, the counts from the periods, the shares still on the
candidate from the curve. The two other answers are competing-risks estimates, which are given as values.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pilots.enums import KnownBy, SpellStatus
from pilots.exporters.base import UNKNOWN, Chart, Column, Formula, Kind, Series, Sheet, SummaryLine
from pilots.exporters.words import PERIOD_TONES, label, verdict_word
from pilots.selectors.observation import Stage
from pilots.selectors.registers import Names
from pilots.selectors.retention import Answer
from pilots.selectors.staying import Point

WITHHELD = "withheld"
STILL_ON = "Still on the candidate"
QUESTIONS: Sequence[tuple[str, str]] = (
    ("not_rolled_back", "Not back on the incumbent model"),
    ("not_returned_to_vendor", "Not back with the incumbent's vendor"),
    ("at", STILL_ON),
)
_AT_RISK = 'COUNTIFS({periods.forced},"no",{periods.days},">="&{day},{periods.entry_day},"<"&MAX({day},1))'

FUNNEL: Mapping[str, tuple[str, str]] = {  # summary key: label and note
    "declined": ("Declined", "Decided against, without a ramp"),
    "abandoned": ("Abandoned", "Given up before any traffic moved"),
    "in_progress": ("In progress", "Draft to ramping"),
    "alongside": ("Running alongside", "Agreed to keep both models"),
    "failed_switch": ("Ramp without a cutover", "Traffic moved, the candidate never became primary"),
    "switched": ("Switched", "Every cutover is one period"),
}
MARKS: Mapping[str, tuple[str, str]] = {
    "forced": ("Forced by the incumbent's retirement", 'COUNTIFS({periods.forced},"yes")'),
    "returned_to_vendor": ("Back with the incumbent's vendor", 'COUNTIFS({periods.returned_to_vendor},"yes")'),
    "upgraded": ("Upgraded within the candidate's family", 'COUNTIFS({periods.upgraded},"yes")'),
    "measured": ("Known by measured traffic", f'COUNTIFS({{periods.known_by}},"{KnownBy.MEASURED.label}")'),
    "declared": ("Known by declaration", f'COUNTIFS({{periods.known_by}},"{KnownBy.DECLARED.label}")'),
    "against_verdict": ("Switched against the verdict", 'COUNTIFS({periods.against_verdict},"yes")'),
}


def periods_sheet(answer: Answer, names: Names) -> Sheet:
    columns = [
        Column("pilot", "Pilot"),
        Column("team", "Team", description="The business unit or customer that owns the workload"),
        Column("workload", "Workload"),
        Column("incumbent", "Incumbent"),
        Column("candidate", "Candidate"),
        Column("start", "Cutover", Kind.DATE),
        Column(
            "end",
            "Ended",
            Kind.DATE,
            description="Day on which it left the candidate; empty: not as far as is known",
            unknown="",
        ),
        Column(
            "status", "Status", Kind.VERDICT, "Where the period stands on the day of the report", tones=PERIOD_TONES
        ),
        Column("days", "Days", Kind.INTEGER, "From the cutover to the end, else to the last confirmation"),
        Column(
            "entry_day", "Observed from day", Kind.INTEGER, "Known about only from this day on; 0: from the cutover"
        ),
        Column("forced", "Forced", description="By the incumbent's retirement: not part of the curve"),
        Column("known_by", "Known by"),
        Column("last_confirmed", "Last confirmed", Kind.DATE),
        Column(
            "verdict", "Verdict at cutover", Kind.VERDICT, "Of the agreed criteria; empty: none was read", unknown=""
        ),
        Column("upgraded", "Upgraded", description="Moved on to a successor in the candidate's family"),
        Column("returned_to_vendor", "Back with vendor", description="Left for a model of the incumbent's vendor"),
        Column("against_verdict", "Against verdict", description="Cut over although the verdict advised otherwise"),
        Column("reason", "Reason", description="Why it was rolled back", unknown=""),
        Column("to_model", "Moved to", description="The model that it left for", unknown=""),
    ]
    rows = [
        (
            spell.pilot,
            names.teams[spell.team],
            names.workloads[spell.workload],
            spell.incumbent,
            spell.candidate,
            spell.start,
            spell.end,
            spell.status.label,
            spell.days,
            spell.entry_day,
            spell.forced,
            spell.known_by.label,
            spell.last_confirmed,
            verdict_word(spell.verdict_at_cutover),
            spell.upgraded,
            spell.returned_to_vendor,
            spell.against_verdict,
            None if spell.reason is None else label(spell.reason),
            spell.to_model,
        )
        for spell in answer.spells
    ]
    return Sheet("periods", "Periods", columns, rows, "Every period on a candidate, one a row", frozen_columns=1)


def answers_sheet(answer: Answer, min_at_risk: int) -> Sheet:
    """Each of the three questions on each day that was asked for."""
    columns = [
        Column("question", "Question"),
        Column("day", "Days after the cutover", Kind.INTEGER),
        _share("share", "Share", "Of chosen switches, not gone after that many days"),
        _share("lower", "95 % from"),
        _share("upper", "95 % to"),
        Column("at_risk", "At risk", Kind.INTEGER, "Periods under observation just before that day"),
        Column("customers", "Teams at risk", Kind.INTEGER),
        _share("worst", "Worst case", "Had all that were lost to follow-up gone back the day after"),
        _share("best", "Best case", "Had all that were lost to follow-up stayed"),
    ]
    rows = [
        _answer_row(name, title, point, max(min_at_risk, 1))
        for name, title in QUESTIONS
        for point in getattr(answer, name)
    ]
    return Sheet("answers", "Retention", columns, rows, "Who stayed, read three ways", formulas=True, frozen_columns=2)


def _share(key: str, header: str, description: str = "") -> Column:
    return Column(key, header, Kind.PERCENT, description, unknown=WITHHELD)


def _answer_row(name: str, title: str, point: Point, needed: int) -> list[Any]:
    shares: list[Any] = [point.still_switched, point.lower, point.upper]
    if not point.withheld:
        shares = [UNKNOWN if share is None else share for share in shares]
    at_risk: Any = point.at_risk
    if name != "not_rolled_back":  # its follow-up ends with the incumbent's shutdown, which the periods do not show
        at_risk = Formula(_AT_RISK, point.at_risk)
    if title == STILL_ON:
        curve = "IFERROR(LOOKUP({day},{curve.day},{curve.survival}),1)"
        shares[0] = Formula(f'IF({{at_risk}}<{needed},"{WITHHELD}",{curve})', shares[0])
    return [title, point.day, *shares, at_risk, point.customers, point.worst, point.best]


def curve_sheet(answer: Answer) -> Sheet:
    columns = [
        Column("day", "Day", Kind.INTEGER, "After the cutover"),
        Column("at_risk", "At risk", Kind.INTEGER, "Chosen switches under observation just before that day"),
        Column("events", "Left", Kind.INTEGER, "Left the candidate on that day, wherever to"),
        Column("censored", "Followed no further", Kind.INTEGER, "Last confirmed on that day, still on the candidate"),
        Column("survival", STILL_ON, Kind.PERCENT, "The line above, times 1 - left / at risk (Kaplan-Meier)"),
        Column("lower", "95 % from", Kind.PERCENT),
        Column("upper", "95 % to", Kind.PERCENT),
    ]
    return Sheet(
        "curve", "Retention curve", columns, list(_steps(answer)), "How the share falls, day by day", formulas=True
    )


def _steps(answer: Answer) -> Iterator[list[Any]]:
    before = ""
    if answer.curve and answer.curve[0].day > 0:
        everybody = sum(not spell.forced and spell.entry_day == 0 for spell in answer.spells)
        yield [0, everybody, 0, 0, Formula("1", 1.0), 1.0, 1.0]
        before = "{survival:-1}*"
    for step in answer.curve:
        formula = Formula(f"{before}(1-{{events}}/{{at_risk}})", step.survival)
        yield [step.day, step.at_risk, step.events, step.censored, formula, step.lower, step.upper]
        before = "{survival:-1}*"


def curve_chart(answer: Answer) -> Chart | None:
    if not answer.curve:
        return None
    return Chart(
        "Still on the candidate, of those who chose to switch",
        "step",
        "curve",
        "day",
        [Series("survival", "candidate")],
        category_title="Days after the cutover",
        percent=True,
    )


def reasons_sheet(answer: Answer) -> Sheet:
    columns = [
        Column("reason", "Reason"),
        Column("count", "Periods rolled back", Kind.INTEGER),
        Column("pilots", "Pilots", width=100),
    ]
    gone = SpellStatus.ROLLED_BACK.label
    rows = [
        [
            label(reason.code),
            Formula(f'COUNTIFS({{periods.status}},"{gone}",{{periods.reason}},{{reason}})', reason.count),
            ", ".join(reason.pilots),
        ]
        for reason in answer.reasons
    ]
    return Sheet("reasons", "Reasons", columns, rows, "Why workloads went back, most frequent first", formulas=True)


def funnel_lines(answer: Answer) -> Iterator[SummaryLine]:
    """Every attempt counted once, then what became of those that switched."""
    funnel = answer.funnel
    parts = "+".join(f"{{summary.{key}}}" for key in FUNNEL)
    yield SummaryLine("opened", "Attempts", parts, funnel.opened, section="Funnel", note="The sum of the lines below")
    for key, (words, note) in FUNNEL.items():
        formula = "COUNTA({periods.pilot})" if key == "switched" else f'COUNTIFS({{pilots.stage}},"{Stage(key).label}")'
        yield SummaryLine(key, words, formula, getattr(funnel, key), section="Funnel", note=note)
    section = "What became of the switched"
    for status in SpellStatus:
        formula = f'COUNTIFS({{periods.status}},"{status.label}")'
        value = getattr(funnel, status.value)
        yield SummaryLine(f"status_{status.value}", _capital(status.label), formula, value, section=section)
    for key, (words, formula) in MARKS.items():
        section = "Marks on the switched (one may carry several)"
        yield SummaryLine(f"mark_{key}", words, formula, getattr(funnel.of_which, key), section=section)


def answer_lines(answer: Answer) -> Iterator[SummaryLine]:
    row = 0
    for name, title in QUESTIONS:
        for point in getattr(answer, name):
            row += 1
            value = WITHHELD if point.withheld else point.still_switched
            yield SummaryLine(
                f"{name}_{point.day}",
                f"After {point.day} days",
                f"{{answers.share:{row}}}",
                value,
                Kind.PERCENT,
                section=f"{title} (chosen switches)",
                note=_basis(point),
            )


def _basis(point: Point) -> str:
    at_risk = f"{point.at_risk} at risk, {point.customers} team{'' if point.customers == 1 else 's'}"
    if point.withheld:
        return f"{at_risk}: too few for a percentage"
    limits = ("unknown" if limit is None else f"{100 * limit:.1f}" for limit in (point.lower, point.upper))
    return f"95 % interval {' to '.join(limits)} %, {at_risk}"


def _capital(words: str) -> str:
    return words[:1].upper() + words[1:]
