"""The stakeholder's workbook: every pilot, who stayed, why others went back, what was replayed.

Public surface: ``PortfolioExporter``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from pilots.enums import PilotStatus
from pilots.exporters.base import Cover, Document, ExportRequest, Kind, SummaryLine
from pilots.exporters.portfolio_sheets import events_sheet, evidence_sheet, pilots_sheet, runs_sheet
from pilots.exporters.retention_sheets import (
    answer_lines,
    answers_sheet,
    curve_chart,
    curve_sheet,
    funnel_lines,
    periods_sheet,
    reasons_sheet,
)
from pilots.exporters.savings_sheets import savings_lines, savings_sheet
from pilots.exporters.words import DEFINITIONS, digest_of, filter_words, stem
from pilots.selectors.documents import plain
from pilots.selectors.observation import observe
from pilots.selectors.pilots import Portfolio, portfolio
from pilots.selectors.registers import RegisteredRun, events_in, names_in, plans_in, readings_in, runs_in
from pilots.selectors.retention import retention
from pilots.selectors.savings import savings


class PortfolioExporter:
    key = "portfolio"
    version = "1"
    label = "Portfolio"

    def build(self, request: ExportRequest) -> Document:
        filters, pilots = request.filters, request.pilots
        listed, report = portfolio(filters, pilots), retention(filters, pilots)
        answer, saved = report.answer, savings(filters, pilots)
        names = names_in(pilots, filters)
        runs, readings = runs_in(pilots, filters), readings_in(pilots, filters)
        stages = {attempt.pilot: attempt.stage for attempt in observe(pilots, filters)}
        events = (event for event in events_in(pilots, filters) if event.pilot in stages)
        documents: list[Any] = [listed.to_document(), report.to_document()]
        for document in documents:
            del document["known_at"], document["traffic_unread"]  # the same knowledge a minute later is the same data
        documents.append(plain(saved))
        return Document(
            cover=Cover(
                title="Model switch portfolio",
                as_of=filters.as_of,
                who=request.who,
                audience=request.audience,
                headline=answer.headline,
                filters=filter_words(filters),
                definitions=DEFINITIONS,
                digest=digest_of(documents),
            ),
            sheets=[
                pilots_sheet(listed, stages, names, readings),
                periods_sheet(answer, names),
                answers_sheet(answer, filters.min_at_risk),
                curve_sheet(answer),
                reasons_sheet(answer),
                savings_sheet(saved),
                evidence_sheet(readings, plans_in(pilots, filters), runs),
                runs_sheet(runs),
                events_sheet(events),
            ],
            file_stem=stem("portfolio", filters.as_of, request.audience),
            summary=[
                *answer_lines(answer),
                *funnel_lines(answer),
                *_portfolio_lines(listed),
                *savings_lines(saved),
                *_replay_lines(runs),
            ],
            chart=curve_chart(answer),
        )


def _portfolio_lines(listed: Portfolio) -> Iterator[SummaryLine]:
    section = "Pilots by status"
    yield SummaryLine("pilots", "Pilots", "COUNTA({pilots.pilot})", len(listed.pilots), section=section)
    for value, count in listed.counts.items():
        words = PilotStatus(value).label
        formula = f'COUNTIFS({{pilots.status}},"{words}")'
        yield SummaryLine(f"pilots_{value}", words[:1].upper() + words[1:], formula, count, section=section)


def _replay_lines(runs: Sequence[RegisteredRun]) -> Iterator[SummaryLine]:
    section = "Replays"
    yield SummaryLine("runs", "Replay runs", "COUNT({runs.run})", len(runs), section=section)
    yield SummaryLine("calls", "Calls sent", "SUM({runs.calls})", sum(run.calls for run in runs), section=section)
    for currency in sorted({run.currency for run in runs}):
        yield SummaryLine(
            f"spent_{currency.lower()}",
            f"Spent on replays ({currency})",
            f'SUMIFS({{runs.spent}},{{runs.currency}},"{currency}")',
            sum(run.spent for run in runs if run.currency == currency),
            Kind.MONEY,
            section=section,
            currency=currency,
            note="Calls of known cost",
        )
