"""One pilot for whoever decides on it: verdict, criteria, arms, timeline, and every answer and call behind them.

Public surface: ``PilotExporter``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC

from evaluations.enums import COMPARED
from evaluations.models import ReplayRun
from evaluations.selectors.arms import ArmSummary, arm_summaries
from evaluations.services.errors import Refused
from pilots.exporters.base import FULL, NO_CONTENT, Chart, Cover, Document, ExportRequest, Kind, Series, SummaryLine
from pilots.exporters.pilot_sheets import arms_sheet, criteria_sheet, facts_sheet, outcomes_sheet, priced, rates_sheet
from pilots.exporters.portfolio_sheets import events_sheet, runs_sheet
from pilots.exporters.raw_sheets import answers_sheet, calls_sheet
from pilots.exporters.retention_sheets import periods_sheet
from pilots.exporters.words import DEFINITIONS, NO_CONTENT_LEFT_OUT, digest_of, filter_words, stem
from pilots.models import Pilot
from pilots.selectors.documents import plain
from pilots.selectors.evidence import Reading, newest_reading
from pilots.selectors.profile import PilotProfile, pilot_profile
from pilots.selectors.registers import RegisteredRun, events_in, names_in, runs_in
from pilots.selectors.retention import retention

_CHART = Chart(
    "Incumbent and candidate on the agreed criteria",
    "bar",
    "rates",
    "criterion",
    [Series("incumbent", "incumbent"), Series("candidate", "candidate")],
    value_title="Share of the requests",
    percent=True,
)
Arms = Mapping[int, Mapping[str, ArmSummary]]  # by run and role


class PilotExporter:
    key = "pilot"
    version = "1"
    label = "One pilot"

    def build(self, request: ExportRequest) -> Document:
        filters, pilots = request.filters, request.pilots
        pilot = _the_pilot(request)
        content = request.audience == FULL and request.may_read_content(pilot)
        profile, reading = pilot_profile(pilot, at=request.at), newest_reading(pilot)
        runs = runs_in(pilots, filters)
        covered = _covered(runs, reading, filters.run)
        stored = ReplayRun.objects.filter(pk__in=[run.run for run in covered]).select_related("plan_version")
        arms: Arms = {run.pk: arm_summaries(run) for run in stored.order_by("pk")}
        scorers = list(dict.fromkeys(entry["key"] for run in stored for entry in run.plan_version.document["scorers"]))
        currencies = sorted({run.currency for run in covered})
        answer = retention(filters, pilots).answer
        headline = _headline(profile, reading)
        audience = FULL if content else NO_CONTENT
        data = [headline, plain(reading), plain(answer), {run: _documents(roles) for run, roles in arms.items()}]
        return Document(
            cover=Cover(
                title=f"{profile.workload}: {profile.incumbent.slug} to {profile.candidate.slug}",
                as_of=filters.as_of,
                who=request.who,
                audience=audience,
                headline=headline,
                filters=filter_words(filters),
                left_out=() if content else (NO_CONTENT_LEFT_OUT,),
                definitions=DEFINITIONS,
                digest=digest_of(data),
            ),
            sheets=[
                facts_sheet(profile, content=content),
                criteria_sheet(reading),
                rates_sheet(reading),
                arms_sheet(arms),
                outcomes_sheet(arms),
                runs_sheet(runs),
                periods_sheet(answer, names_in(pilots, filters)),
                events_sheet(events_in(pilots, filters)),
                answers_sheet(list(arms), scorers, currencies, content=content),
                calls_sheet(list(arms), currencies),
            ],
            file_stem=stem(f"pilot-{pilot.slug}", filters.as_of, audience),
            summary=[
                *_verdict_lines(reading, runs),
                *_plan_lines(profile),
                *_arm_lines(arms, currencies),
            ],
            chart=_CHART if reading else None,
        )


def _the_pilot(request: ExportRequest) -> Pilot:
    filters = request.filters
    if len(filters.pilot) != 1:
        raise Refused("name one pilot", field="pilot")
    if not filters.present:
        raise Refused("this export shows the present; portfolio and retention can be read as of a day", field="as_of")
    chosen = filters.apply(request.pilots)
    pilot = chosen.select_related("workload__team", "plan", "incumbent__vendor", "candidate__vendor").first()
    if pilot is None:
        raise Refused(f"no pilot {filters.pilot[0]!r} with these filters", field="pilot")
    return pilot


def _covered(runs: Sequence[RegisteredRun], reading: Reading | None, only: int | None) -> list[RegisteredRun]:
    """The ended runs whose answers are listed: of the plan version that the verdict is of, or the one asked for."""
    ended = [run for run in runs if run.finished_at is not None]
    if only is not None:
        if not ended:
            raise Refused(f"run {only} has not ended", field="run")
        return ended
    version = reading.plan_version if reading else max((run.plan_version for run in ended), default=None)
    return [run for run in ended if run.plan_version == version]


def _documents(roles: Mapping[str, ArmSummary]) -> dict[str, object]:
    return {role: summary.to_document() for role, summary in roles.items()}


def _headline(profile: PilotProfile, reading: Reading | None) -> str:
    since = profile.status_at.astimezone(UTC).date().isoformat()
    stands = f"{profile.slug} of {profile.team} is {profile.status.label} since {since}"
    if reading is None:
        return f"{stands}. No replay has ended with a verdict yet."
    after = ", plan changed after the fact" if reading.after_the_fact else ""
    known_by = f"run {reading.run}, plan version {reading.plan_version}{after}"
    return f"{stands}. Newest verdict: {reading.decision.label} ({known_by})."


def _verdict_lines(reading: Reading | None, runs: Sequence[RegisteredRun]) -> Iterator[SummaryLine]:
    if reading is None:
        return
    section = "Verdict"
    row = next((at for at, run in enumerate(runs, 1) if run.run == reading.run), None)
    if row is not None:
        words, note = reading.decision.label, f"Run {reading.run}, read {reading.read_at.date().isoformat()}"
        yield SummaryLine("decision", "Together", f"{{runs.decision:{row}}}", words, Kind.VERDICT, section, note=note)
    for at, criterion in enumerate(reading.criteria, 1):
        yield SummaryLine(
            f"criterion_{at}",
            f"{criterion.label} ({criterion.role.label})",
            f"{{criteria.verdict:{at}}}",
            criterion.verdict.label,
            Kind.VERDICT,
            section,
            note=criterion.sentence,
        )


def _plan_lines(profile: PilotProfile) -> Iterator[SummaryLine]:
    if profile.plan is None:
        return
    plan = profile.plan
    by = f" by {plan.frozen_by}" if plan.frozen_by else ""
    note = f"Frozen {plan.frozen_at.date().isoformat()}{by}, digest {plan.digest}"
    yield SummaryLine("plan", "Version", "VALUE({facts.value:1})", plan.number, section="Plan", note=note)


def _arm_lines(arms: Arms, currencies: Sequence[str]) -> Iterator[SummaryLine]:
    for role in COMPARED:
        summaries = [roles[role] for roles in arms.values() if role in roles]
        if not summaries:
            continue
        names = ", ".join(dict.fromkeys(summary.model for summary in summaries))
        recorded = " (recorded answers)" if any(summary.recorded for summary in summaries) else ""
        section = f"{role.label.capitalize()}: {names}{recorded}"
        for key, words, value in (
            ("succeeded", "Answered", sum(summary.succeeded for summary in summaries)),
            ("failed", "Failed", sum(sum(summary.failed.values()) for summary in summaries)),
            ("calls", "Calls sent", sum(summary.calls for summary in summaries)),
        ):
            formula = f'SUMIFS({{arms.{key}}},{{arms.arm}},"{role.label}")'
            yield SummaryLine(f"{role}_{key}", words, formula, value, section=section)
        for currency in currencies:
            where = f'{{arms.arm}},"{role.label}",{{arms.currency}},"{currency}"'
            costs = [summary.cost for summary in summaries if summary.currency == currency]
            known = [cost for cost in costs if cost is not None]
            unknown = sum(summary.unknown_calls for summary in summaries if summary.currency == currency)
            yield SummaryLine(
                f"{role}_cost_{currency.lower()}",
                f"Cost ({currency})",
                priced("{arms.cost}", where),
                sum(known) if known else None,
                Kind.MONEY,
                section,
                currency=currency,
                decimals=4,
                note=f"{unknown:,} of unknown cost are not in it" if unknown else "",
            )
