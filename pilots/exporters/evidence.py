"""What the replays say of every pilot with a plan: its verdict, and each criterion with its limits and its table.

Public surface: ``EvidenceExporter``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from evaluations.enums import COMPARED, ArmRole, CriterionRole, Decision, JudgeMode, Preferred, Verdict
from evaluations.selectors.sentences import label_of
from pilots.exporters.base import Column, Cover, Document, ExportRequest, Formula, Kind, Sheet, SummaryLine
from pilots.exporters.vendor_copy import Copy, copy_for
from pilots.exporters.words import NOT_YET, digest_of, stem
from pilots.selectors.evidence import CriterionRow, criterion_rows
from pilots.selectors.evidence_report import PilotEvidence, evidence

DEFINITIONS: Mapping[str, str] = {
    "Verdict": "What all agreed criteria of the plan say together, as of the newest replay that ended.",
    "Better, non-inferior": "The candidate is shown to be better, or no more than the agreed loss worse.",
    "Worse, inconclusive": "Shown to be worse than agreed; or not decided by the samples so far.",
    "Harmful, beneficial flips": "Samples that the incumbent passed and the candidate failed, and the other way round.",
    "At production's mix": "The samples weighted to production's mix of segments; beside the verdict, never in it.",
    "Human preference": "What people said who compared both answers blind, of samples chosen at random.",
    "Model judge": "What a third model prefers in both orders; no word without people who read a part of the same.",
    "After the fact": "The plan was changed when evidence was known already.",
}
_CELLS = (
    ("both_pass", "Both pass"),
    ("candidate_only", "Only candidate"),
    ("incumbent_only", "Only incumbent"),
    ("neither", "Neither"),
)


class EvidenceExporter:
    key = "evidence"
    version = "1"
    label = "Evidence"
    vendor_copies = True

    def build(self, request: ExportRequest) -> Document:
        filters, copy = request.filters, copy_for(request)
        report = evidence(filters, copy.pilots)
        read = [pilot for pilot in report.pilots if pilot.run is not None]
        document = report.to_document()
        del document["known_at"]  # the same knowledge a minute later is the same data
        return Document(
            cover=Cover(
                title="Evidence of the replays",
                as_of=filters.as_of,
                who=copy.who,
                audience=request.audience,
                headline=_headline(read, len(report.pilots)),
                filters=copy.filters,
                left_out=copy.left_out,
                definitions=DEFINITIONS,
                digest=digest_of(document),
            ),
            sheets=[
                _pilots_sheet(report.pilots, copy),
                *(
                    [_own_sheet(read, copy)]
                    if copy.vendor
                    else [
                        _criteria_sheet(read),
                        _tables_sheet(read),
                        *_mix_sheets(read),
                        *_people_sheets(read),
                        *_judge_sheets(read),
                    ]
                ),
            ],
            file_stem=stem("evidence", filters.as_of, request.audience),
            summary=[*_decision_lines(report.pilots), *_criterion_lines(read, own=copy if copy.vendor else None)],
        )


def _headline(read: Sequence[PilotEvidence], pilots: int) -> str:
    met = sum(pilot.decision == Decision.SAFE_TO_SWITCH.value for pilot in read)
    return f"{met} of {len(read)} pilots with a verdict meet all agreed criteria; {pilots - len(read)} have none yet."


def _pilots_sheet(pilots: Sequence[PilotEvidence], copy: Copy) -> Sheet:
    columns = [
        Column("pilot", "Pilot"),
        Column("team", "Team"),
        Column("workload", "Workload"),
        Column("incumbent", "Incumbent"),
        Column("candidate", "Candidate"),
        Column("verdict", "Verdict", Kind.VERDICT, "Empty: no replay has ended with one", unknown=""),
        Column("why", "Why", description="Of a verdict that is not decided", unknown=""),
        Column("run", "Run", Kind.INTEGER, "The newest that ended with a verdict", unknown=""),
        Column("read", "Read", Kind.DATETIME, unknown=""),
        Column("plan", "Plan version", Kind.INTEGER, unknown=""),
        Column("digest", "Plan digest", description="Of the plan as it was frozen", width=20, unknown=""),
        Column("changed", "After the fact", description="The plan was changed when evidence was known"),
        Column("late", "After the look", description="The verdict stood already and this run did not change it"),
    ]
    rows = [
        (
            copy.pilot(row.pilot, row.team),
            copy.team(row.team),
            copy.workload(row.workload, row.team),
            copy.model(row.incumbent),
            copy.model(row.candidate),
            Decision(row.decision).label if row.decision else None,
            None if copy.vendor else row.decision_reason,
            row.run,
            row.read_at,
            row.plan_version,
            row.plan_digest,
            row.after_the_fact if row.run else NOT_YET,
            row.after_the_look if row.run else NOT_YET,
        )
        for row in pilots
    ]
    return Sheet("pilots", "Pilots", columns, rows, "What the replays of each pilot say", frozen_columns=1)


def _criteria_sheet(read: Sequence[PilotEvidence]) -> Sheet:
    columns = [
        Column("pilot", "Pilot"),
        Column("criterion", "Criterion"),
        Column("role", "Role"),
        Column("verdict", "Verdict", Kind.VERDICT),
        Column("incumbent", "Incumbent", Kind.DECIMAL, "Its own value, in the metric's unit", decimals=4),
        Column("candidate", "Candidate", Kind.DECIMAL, "Its own value, in the metric's unit", decimals=4),
        Column("scale", "Compared as", description="Candidate less incumbent, or candidate / incumbent"),
        Column("estimate", "Estimate", Kind.DECIMAL, decimals=4),
        Column("lower", "From", Kind.DECIMAL, "Lower limit of the interval", decimals=4),
        Column("upper", "To", Kind.DECIMAL, "Upper limit of the interval", decimals=4),
        Column("bound", "Agreed limit", Kind.DECIMAL, "On the scale of the estimate", decimals=4, unknown=""),
        Column("n", "Samples", Kind.INTEGER),
        Column("clusters", "Clusters", Kind.INTEGER, "Conversations or customers that samples belong to", unknown=""),
        Column("missing", "Missing pairs", Kind.INTEGER),
        Column("method", "Method"),
        Column("sentence", "In words", width=60, wrap=True),
    ]
    rows = [
        (
            pilot.pilot,
            row.label,
            row.role.label,
            row.verdict.label,
            row.incumbent,
            row.candidate,
            "ratio" if row.is_ratio else "difference",
            row.estimate,
            row.lower,
            row.upper,
            row.bound,
            row.n,
            row.n_clusters,
            row.missing,
            row.method,
            row.sentence,
        )
        for pilot in read
        for row in criterion_rows(pilot.comparisons)
    ]
    return Sheet("criteria", "Criteria", columns, rows, "Each criterion, as compared", frozen_columns=2)


def _tables_sheet(read: Sequence[PilotEvidence]) -> Sheet:
    """The criteria that a request passes or fails, request by request under both models."""
    columns = [
        Column("pilot", "Pilot"),
        Column("criterion", "Criterion"),
        *(Column(key, words, Kind.INTEGER) for key, words in _CELLS),
        Column("n", "Samples", Kind.INTEGER),
        Column("incumbent_passes", "Incumbent passes", Kind.INTEGER),
        Column("candidate_passes", "Candidate passes", Kind.INTEGER),
        Column("harmful", "Harmful flips", Kind.INTEGER, "Incumbent passed, candidate failed"),
        Column("beneficial", "Beneficial flips", Kind.INTEGER, "Candidate passed, incumbent failed"),
    ]
    rows = [
        [pilot.pilot, row.label, *_table(row.table)]
        for pilot in read
        for row in criterion_rows(pilot.comparisons)
        if row.table is not None
    ]
    title = "Pass or fail"
    return Sheet("tables", title, columns, rows, "Passed and failed, model against model", formulas=True)


def _table(table: Mapping[str, int]) -> Iterator[Any]:
    cells = [table[key] for key, _ in _CELLS]
    yield from cells
    yield Formula("+".join(f"{{{key}}}" for key, _ in _CELLS), sum(cells))
    yield Formula("{both_pass}+{incumbent_only}", table["both_pass"] + table["incumbent_only"])
    yield Formula("{both_pass}+{candidate_only}", table["both_pass"] + table["candidate_only"])
    yield Formula("{incumbent_only}", table["incumbent_only"])
    yield Formula("{candidate_only}", table["candidate_only"])


def _mix_sheets(read: Sequence[PilotEvidence]) -> Iterator[Sheet]:
    """What production's mix would say; no sheet where samples have no segments."""
    found = [(pilot.pilot, row) for pilot in read for row in pilot.weighted or ()]
    if not found:
        return
    columns = [
        Column("pilot", "Pilot"),
        Column("criterion", "Criterion"),
        Column("segment", "Segment"),
        Column("unweighted", "As sampled", Kind.DECIMAL, "Candidate less incumbent", decimals=4),
        Column("estimate", "At production's mix", Kind.DECIMAL, "Candidate less incumbent", decimals=4),
        Column("lower", "From", Kind.DECIMAL, "Lower limit, read once", decimals=4),
        Column("upper", "To", Kind.DECIMAL, "Upper limit, read once", decimals=4),
        Column("n", "Samples", Kind.INTEGER),
        Column("effective", "Effective samples", Kind.DECIMAL, "So many equal ones say as much", decimals=0),
        Column("largest", "Largest weight", Kind.DECIMAL, "Of one sample, 5 at the most", decimals=2),
        Column("capped", "Capped", description="A weight would have been larger"),
        Column("covered", "Covered", Kind.PERCENT, "Of production, by values that were sampled"),
        Column("disagrees", "Disagrees", description="On the side, or on the agreed limit"),
        Column("sentence", "In words", width=60, wrap=True),
    ]
    rows = [
        (
            pilot,
            label_of(row["metric"]),
            row["segment"],
            row["unweighted"],
            row["difference"],
            row["lower"],
            row["upper"],
            row["n"],
            row["effective_n"],
            row["largest_weight"],
            row["capped"],
            row["covered"],
            row["disagrees"],
            row["sentence"],
        )
        for pilot, row in found
    ]
    yield Sheet("mix", "Production mix", columns, rows, "What production's mix would say", frozen_columns=3)


def _people_sheets(read: Sequence[PilotEvidence]) -> Iterator[Sheet]:
    """What reviewers prefer; no sheet where no batch of reviews was closed."""
    found = [(pilot.pilot, pilot.human_preference) for pilot in read if pilot.human_preference is not None]
    if not found:
        return
    columns = [
        Column("pilot", "Pilot"),
        Column("verdict", "Verdict", Kind.VERDICT),
        Column("late", "After the fact", description="Not a criterion of the frozen plan"),
        *(Column(word.value, word.label.capitalize(), Kind.INTEGER) for word in Preferred),
        Column("disputed", "In dispute", Kind.INTEGER, "Each counts with the mean of both answers"),
        Column("n", "Samples", Kind.INTEGER, "That somebody answered"),
        Column("estimate", "Net preference", Kind.DECIMAL, "Candidate less incumbent", decimals=4),
        Column("lower", "From", Kind.DECIMAL, "Lower limit of the interval", decimals=4),
        Column("upper", "To", Kind.DECIMAL, "Upper limit of the interval", decimals=4),
        Column("twice", "Read by two", Kind.INTEGER),
        Column("kappa", "Kappa", Kind.DECIMAL, "Agreement of the two beyond chance", decimals=2),
        Column("sentence", "In words", width=60, wrap=True),
    ]
    rows = [
        (
            pilot,
            Verdict(said["verdict"]).label,
            said["after_the_fact"],
            *(said["words"][word.value] for word in Preferred),
            said["disputed"],
            said["n"],
            said["difference"],
            said["lower"],
            said["upper"],
            said["agreement"]["n"],
            said["agreement"]["kappa"],
            said["sentence"],
        )
        for pilot, said in found
    ]
    yield Sheet("people", "Human preference", columns, rows, "What people prefer, read blind", frozen_columns=1)


def _judge_sheets(read: Sequence[PilotEvidence]) -> Iterator[Sheet]:
    """What a model judge prefers; no sheet where none was asked."""
    found = [(pilot.pilot, pilot.judge) for pilot in read if pilot.judge is not None]
    if not found:
        return
    counts = (
        ("wins", "Candidate wins"),
        ("losses", "Incumbent wins"),
        ("ties", "Neither"),
        ("flips", "Changes of mind"),
    )
    columns = [
        Column("pilot", "Pilot"),
        Column("judge", "Judge"),
        Column("mode", "Asked"),
        Column("verdict", "Verdict", Kind.VERDICT),
        Column("late", "After the fact", description="Not a criterion of the frozen plan"),
        Column("pairs", "Pairs judged", Kind.INTEGER, "In both orders", unknown=""),
        *(Column(name, words, Kind.INTEGER, unknown="") for name, words in counts),
        Column("to_first", "Of these to the first shown", Kind.INTEGER, "Position bias", unknown=""),
        Column("n", "Samples", Kind.INTEGER, "With a vendor's failures, which lose without a judge"),
        Column("missing", "Missing", Kind.INTEGER, "Not judged, or the judge's answer said nothing"),
        Column("estimate", "Net preference", Kind.DECIMAL, "Candidate less incumbent", decimals=4),
        Column("lower", "From", Kind.DECIMAL, "Lower limit of the interval", decimals=4),
        Column("upper", "To", Kind.DECIMAL, "Upper limit of the interval", decimals=4),
        Column("people", "Also read by people", Kind.INTEGER),
        Column("kappa", "Kappa", Kind.DECIMAL, "Agreement with people beyond chance", decimals=2),
        Column("powered", "People on all", Kind.DECIMAL, "What people would say of all samples", decimals=4),
        Column("sentence", "In words", width=60, wrap=True),
    ]
    rows = [
        (
            pilot,
            said["judge"]["model"],
            JudgeMode(said["mode"]).label,
            Verdict(said["verdict"]).label,
            said["after_the_fact"],
            *((said["pairs"] or {}).get(name) for name in ("n", "wins", "losses", "ties", "flips", "flips_to_first")),
            said["n"],
            said["missing"],
            said["difference"],
            said["lower"],
            said["upper"],
            said["people"]["n"],
            said["people"]["kappa"],
            said["people"]["estimate"],
            said["sentence"],
        )
        for pilot, said in found
    ]
    yield Sheet("judge", "Model judge", columns, rows, "What a model judge prefers", frozen_columns=1)


def _own_sheet(read: Sequence[PilotEvidence], copy: Copy) -> Sheet:
    """What one vendor's models achieved. Differences and their limits would give the other model away."""
    columns = [
        Column("pilot", "Pilot"),
        Column("model", "Model"),
        Column("arm", "Arm"),
        Column("criterion", "Criterion"),
        Column("role", "Role"),
        Column("value", "Value", Kind.DECIMAL, "In the metric's unit", decimals=4),
        Column("verdict", "Verdict", Kind.VERDICT, "Of the candidate against the incumbent"),
        Column("n", "Samples", Kind.INTEGER),
    ]
    rows = [
        (
            copy.pilot(pilot.pilot, pilot.team),
            model,
            arm.label,
            row.label,
            row.role.label,
            value,
            row.verdict.label,
            row.n,
        )
        for pilot, row, arm, model, value in _own(read, copy)
    ]
    return Sheet("criteria", "Criteria", columns, rows, "What each own model achieved", frozen_columns=2)


def _own(
    read: Sequence[PilotEvidence], copy: Copy
) -> Iterator[tuple[PilotEvidence, CriterionRow, ArmRole, str, float | None]]:
    for pilot in read:
        for row in criterion_rows(pilot.comparisons):
            for arm in COMPARED:
                model = getattr(pilot, arm.value)
                if copy.owns(model):
                    yield pilot, row, arm, model, getattr(row, arm.value)


def _decision_lines(pilots: Sequence[PilotEvidence]) -> Iterator[SummaryLine]:
    section = "Pilots with a plan, by verdict"
    yield SummaryLine("pilots", "Pilots with a plan", "COUNTA({pilots.pilot})", len(pilots), section=section)
    for decision in Decision:
        n = sum(pilot.decision == decision.value for pilot in pilots)
        formula = f'COUNTIFS({{pilots.verdict}},"{decision.label}")'
        yield SummaryLine(f"pilots_{decision.value}", decision.label, formula, n, section=section)
    undecided = sum(pilot.run is None for pilot in pilots)
    formula = "{summary.pilots}-" + "-".join(f"{{summary.pilots_{decision.value}}}" for decision in Decision)
    yield SummaryLine("pilots_without", "No verdict yet", formula, undecided, section=section)


def _criterion_lines(read: Sequence[PilotEvidence], *, own: Copy | None) -> Iterator[SummaryLine]:
    if own is None:
        rows = [row for pilot in read for row in criterion_rows(pilot.comparisons)]
    else:
        rows = [row for _, row, _, _, _ in _own(read, own)]
    for role in CriterionRole:
        of = [row for row in rows if row.role is role]
        for verdict in Verdict:
            n = sum(row.verdict is verdict for row in of)
            formula = f'COUNTIFS({{criteria.role}},"{role.label}",{{criteria.verdict}},"{verdict.label}")'
            words = verdict.label[:1].upper() + verdict.label[1:]
            if of:
                section = f"{role.label.capitalize()} criteria"
                yield SummaryLine(f"{role.value}_{verdict.value}", words, formula, n, section=section)
    if own is None:
        section = "Flips, over all criteria that pass or fail"
        for key, words in (("harmful", "Harmful"), ("beneficial", "Beneficial")):
            n = sum(getattr(row, f"{key}_flips") or 0 for row in rows)
            yield SummaryLine(f"flips_{key}", words, f"SUM({{tables.{key}}})", n, section=section)
