"""Raw rows: every answer of the replays that have ended, for whoever calculates with them (CSV and Parquet as well).

Public surface: ``CompletionsExporter``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from evaluations.enums import COMPARED, ArmRole, Outcome
from evaluations.models import ReplayRun
from evaluations.selectors.raw_rows import RawAnswer, Tally, tally_of
from evaluations.services.errors import Refused
from pilots.exporters.base import (
    FULL,
    NO_CONTENT,
    Column,
    Cover,
    Document,
    ExportRequest,
    Formula,
    Kind,
    Sheet,
    SummaryLine,
)
from pilots.exporters.pilot_sheets import priced
from pilots.exporters.portfolio_sheets import RUN_TONES
from pilots.exporters.raw_sheets import Before, answers_sheet
from pilots.exporters.vendor_copy import Copy, copy_for
from pilots.exporters.words import DEFINITIONS, NO_CONTENT_LEFT_OUT, digest_of, stem
from pilots.selectors.registers import RegisteredRun, runs_in

_TERMS = ("Incumbent, candidate", "Withheld, unknown")


class CompletionsExporter:
    key = "completions"
    version = "1"
    label = "Raw completions"
    vendor_copies = True

    def build(self, request: ExportRequest) -> Document:
        filters, copy = request.filters, copy_for(request)
        runs = [run for run in runs_in(copy.pilots, filters) if run.finished_at is not None]
        if filters.run is not None and not runs:
            raise Refused(f"run {filters.run} has not ended, or none of these pilots has it", field="run")
        covered = filters.apply(copy.pilots).select_related("workload__team")
        teams = {pilot.slug: pilot.workload.team.slug for pilot in covered}
        content = request.audience == FULL and all(request.may_read_content(pilot) for pilot in covered)
        audience = (copy.vendor and request.audience) or (FULL if content else NO_CONTENT)
        stored = ReplayRun.objects.filter(pk__in=[run.run for run in runs])
        scorers = _scorers(stored)
        currencies = sorted({run.currency for run in runs})
        tallies = tally_of([run.run for run in runs], vendor=copy.vendor)
        called = {run.run: copy.pilot(run.pilot, teams[run.pilot]) for run in runs}
        n = sum(tally.n for tally in tallies)
        return Document(
            cover=Cover(
                title="Raw completions",
                as_of=filters.as_of,
                who=copy.who,
                audience=audience,
                headline=f"{n:,} answers and failures of {len(runs):,} replay run{'' if len(runs) == 1 else 's'}.",
                filters=copy.filters,
                left_out=copy.left_out or (() if content else (NO_CONTENT_LEFT_OUT,)),
                definitions={term: DEFINITIONS[term] for term in _TERMS},
                digest=digest_of([[run.run, str(run.status), run.done] for run in runs] + _documents(tallies)),
            ),
            sheets=[
                answers_sheet(
                    [run.run for run in runs],
                    scorers,
                    currencies,
                    content=content,
                    vendor=copy.vendor,
                    before=_before(
                        called, _models(stored), runs, several=len(currencies) > 1, nameless=bool(copy.vendor)
                    ),
                ),
                _outcomes_sheet(tallies),
                _runs_sheet(runs, called, tallies, copy),
            ],
            file_stem=stem("completions", filters.as_of, audience),
            summary=list(_lines(tallies, currencies)),
        )


def _scorers(stored: Any) -> list[str]:
    documents = stored.order_by("pk").values_list("plan_version__document", flat=True)
    return list(dict.fromkeys(entry["key"] for document in documents for entry in document["scorers"]))


def _models(stored: Any) -> dict[tuple[int, str], tuple[str, str]]:
    """By run and role: the model and where its answers come from."""
    rows = stored.values_list("pk", "arms__role", "arms__model__slug", "arms__endpoint__slug").order_by("pk")
    return {(run, role): (model, endpoint or "recorded") for run, role, model, endpoint in rows}


def _before(
    called: dict[int, str],
    models: dict[tuple[int, str], tuple[str, str]],
    runs: Sequence[RegisteredRun],
    *,
    several: bool,
    nameless: bool,
) -> Before:
    currency = {run.run: run.currency for run in runs}

    def arm(at: int) -> Any:
        return lambda row: models[row.run, row.role][at]

    def pilot(row: RawAnswer) -> str:
        return called[row.run]

    columns: list[Any] = [
        (Column("pilot", "Pilot"), pilot),
        (Column("model", "Model", description="As pinned in the plan"), arm(0)),
    ]
    if not nameless:
        where = Column("endpoint", "Endpoint", description="Where it was asked; recorded: as logged in production")
        columns.append((where, arm(1)))
    if several:
        columns.append((Column("currency", "Currency", description="Of the cost"), lambda row: currency[row.run]))
    return columns


def _outcomes_sheet(tallies: Sequence[Tally]) -> Sheet:
    counts: dict[Outcome, dict[ArmRole, int]] = {}
    for tally in tallies:
        of = counts.setdefault(tally.outcome, {})
        of[tally.role] = of.get(tally.role, 0) + tally.n
    columns = [
        Column("outcome", "Outcome"),
        *(Column(role.value, role.label.capitalize(), Kind.INTEGER) for role in COMPARED),
    ]
    counted = 'COUNTIFS({{answers.arm}},"{role}",{{answers.outcome}},{{outcome}})'
    rows = [
        [outcome.label, *(Formula(counted.format(role=role.label), counts[outcome].get(role, 0)) for role in COMPARED)]
        for outcome in Outcome
        if outcome in counts
    ]
    return Sheet("outcomes", "Outcomes", columns, rows, "How the requests ended", formulas=True)


def _runs_sheet(runs: Sequence[RegisteredRun], called: dict[int, str], tallies: Sequence[Tally], copy: Copy) -> Sheet:
    """What the raw rows belong to. Money and budget are of both arms, so that a vendor's copy has neither."""
    columns = [
        Column("run", "Run", Kind.INTEGER),
        Column("pilot", "Pilot"),
        Column("status", "Status", Kind.VERDICT, tones=RUN_TONES),
        Column("finished", "Ended", Kind.DATETIME),
        Column("plan", "Plan version", Kind.INTEGER),
        Column("rows", "Rows here", Kind.INTEGER),
    ]
    if not copy.vendor:
        columns += [
            Column("total", "Answers to get", Kind.INTEGER, "Samples x arms x repeats"),
            Column("done", "Answers", Kind.INTEGER),
            Column("currency", "Currency"),
            Column("set", "Sample set", unknown=""),
        ]
    listed: Counter[int] = Counter()
    for tally in tallies:
        listed[tally.run] += tally.n
    rows = [
        [
            run.run,
            called[run.run],
            run.status.label,
            run.finished_at,
            run.plan_version,
            Formula("COUNTIFS({answers.run},{run})", listed[run.run]),
            *(() if copy.vendor else (run.total, run.done, run.currency, run.sample_set or None)),
        ]
        for run in runs
    ]
    return Sheet("runs", "Replay runs", columns, rows, "The replays that the rows are of", formulas=True)


def _lines(tallies: Sequence[Tally], currencies: Sequence[str]) -> Iterator[SummaryLine]:
    total = sum(tally.n for tally in tallies)
    yield SummaryLine("rows", "Answers and failures", "COUNT({answers.run})", total, section="All rows")
    for role in COMPARED:
        of = [tally for tally in tallies if tally.role is role]
        if not of:
            continue
        section, where = role.label.capitalize(), f'{{answers.arm}},"{role.label}"'
        n, ok = sum(tally.n for tally in of), sum(tally.n for tally in of if tally.outcome is Outcome.OK)
        yield SummaryLine(f"{role}_rows", "Requests", f"COUNTIFS({where})", n, section=section)
        answered = f'COUNTIFS({where},{{answers.outcome}},"{Outcome.OK.label}")'
        yield SummaryLine(f"{role}_answered", "Answered", answered, ok, section=section)
        share = f"{{summary.{role}_answered}}/{{summary.{role}_rows}}"
        yield SummaryLine(f"{role}_share", "Share answered", share, ok / n, Kind.PERCENT, section=section)
        for currency in currencies:
            known = [tally.cost for tally in of if tally.currency == currency and tally.cost is not None]
            of_it = where + (f',{{answers.currency}},"{currency}"' if len(currencies) > 1 else "")
            yield SummaryLine(
                f"{role}_cost_{currency.lower()}",
                f"Cost ({currency})",
                priced("{answers.cost}", of_it),
                sum(known) if known else None,
                Kind.MONEY,
                section,
                currency=currency,
                decimals=4,
                note="Answers of known cost; every call of theirs counted",
            )


def _documents(tallies: Sequence[Tally]) -> list[list[Any]]:
    return [[tally.run, str(tally.role), str(tally.outcome), tally.n, str(tally.cost)] for tally in tallies]
