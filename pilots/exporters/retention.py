"""Who stayed: the three answers with their limits, the curve, every period, why others went back.

Public surface: ``RetentionExporter``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from pilots.exporters.base import Column, Cover, Document, ExportRequest, Kind, Sheet
from pilots.exporters.retention_sheets import (
    QUESTIONS,
    WITHHELD,
    answer_lines,
    answers_sheet,
    curve_chart,
    curve_sheet,
    funnel_lines,
    periods_sheet,
    reasons_sheet,
)
from pilots.exporters.vendor_copy import Copy, copy_for
from pilots.exporters.words import DEFINITIONS, digest_of, stem
from pilots.selectors.customers import ComparisonState, CustomerTest
from pilots.selectors.observation import Attempt, observe
from pilots.selectors.registers import Names, names_in
from pilots.selectors.retention import RetentionReport, retention


class RetentionExporter:
    key = "retention"
    version = "1"
    label = "Retention"
    vendor_copies = True

    def build(self, request: ExportRequest) -> Document:
        filters, copy = request.filters, copy_for(request)
        report = retention(filters, copy.pilots)
        answer, names = copy.answer(report.answer), copy.names(names_in(copy.pilots, filters))
        document = report.to_document()
        # The same knowledge a minute later is the same data.
        del document["known_at"], document["logrank_by_customer"], document["traffic_unread"]
        return Document(
            cover=Cover(
                title="Who stayed",
                as_of=filters.as_of,
                who=copy.who,
                audience=request.audience,
                headline=answer.headline,
                filters=copy.filters,
                left_out=copy.left_out,
                definitions={**DEFINITIONS, **_between_groups(report)},
                digest=digest_of(document),
            ),
            sheets=[
                periods_sheet(answer, names),
                answers_sheet(answer, filters.min_at_risk),
                curve_sheet(answer),
                reasons_sheet(answer),
                _attempts_sheet(observe(copy.pilots, filters), copy, names),
                *_groups(report, copy),
            ],
            file_stem=stem("retention", filters.as_of, request.audience),
            summary=[*answer_lines(answer), *funnel_lines(answer)],
            chart=curve_chart(answer),
        )


def _between_groups(report: RetentionReport) -> dict[str, str]:
    test = report.logrank
    if test is None:
        return {}
    return {
        "Between the groups": f"Log-rank test: chi-square {test.chi2:.4g} with {test.df} degrees of freedom, p = "
        f"{test.p:.4g}. How likely groups that stay equally long would differ as much by chance."
        f"{_by_customer(report.logrank_by_customer)}"
    }


def _by_customer(test: CustomerTest | None) -> str:
    if test is None or test.state is not ComparisonState.COMPUTED:
        return ""
    if test.p is None:
        return f" With {test.customers} customers exchanged as wholes there is nothing to compare."
    return f" With the {test.customers} customers exchanged as wholes, p = {test.p:.4g}."


def _attempts_sheet(attempts: Sequence[Attempt], copy: Copy, names: Names) -> Sheet:
    """The funnel's own rows: a pilot without a period stands in one stage before the switch."""
    columns = [
        Column("pilot", "Pilot"),
        Column("team", "Team"),
        Column("workload", "Workload"),
        Column("incumbent", "Incumbent"),
        Column("candidate", "Candidate"),
        Column("stage", "Stage in the funnel", description="Switched once for each of its periods"),
    ]
    rows = [
        (
            copy.pilot(attempt.pilot, attempt.team),
            names.teams[copy.team(attempt.team)],
            names.workloads[copy.workload(attempt.workload, attempt.team)],
            copy.model(attempt.incumbent.slug),
            copy.model(attempt.candidate.slug),
            attempt.stage.label,
        )
        for attempt in attempts
    ]
    # The key under which the funnel's formulas look for stages.
    return Sheet("pilots", "Attempts", columns, rows, "Every attempt to switch, counted once", frozen_columns=1)


def _groups(report: RetentionReport, copy: Copy) -> Iterator[Sheet]:
    if not report.groups:
        return
    by = report.filters.by.replace("_", " ")
    columns = [
        Column("group", by.capitalize()),
        Column("question", "Question"),
        Column("day", "Days after the cutover", Kind.INTEGER),
        *(
            Column(key, words, Kind.PERCENT, unknown=WITHHELD)
            for key, words in (("share", "Share"), ("lower", "95 % from"), ("upper", "95 % to"))
        ),
        Column("at_risk", "At risk", Kind.INTEGER),
        Column("switched", "Switched", Kind.INTEGER, "Periods of the group, forced ones included"),
        Column("rolled_back", "Rolled back", Kind.INTEGER),
    ]
    rows: list[list[Any]] = []
    for key, answer in report.groups:
        for name, title in QUESTIONS:
            for point in getattr(answer, name):
                shares = [point.still_switched, point.lower, point.upper]
                counts = [point.at_risk, answer.funnel.switched, answer.funnel.rolled_back]
                rows.append([copy.group(report.filters.by, key), title, point.day, *shares, *counts])
    yield Sheet("groups", f"By {by}", columns, rows, f"The same answers by {by}", frozen_columns=1)
