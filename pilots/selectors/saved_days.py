"""What pilots have saved, read from the days. Public surface: ``saved_days``, ``PilotSavings``, ``PeriodSavings``,
``MonthSavings``, ``Evaluation``, ``SavedDays``.

One line of reading for the kept figure, the pilot's page, the API and the workbook. The currency is that of the pilot's
replays where the incumbent has prices in it, else the first in which both models have them, else the incumbent's.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from django.db.models import Count, Max, Min, Q, QuerySet, Sum

from evaluations.enums import ArmRole
from evaluations.models import Attempt, Completion, Price, ReplayRun
from evaluations.pricing import AMOUNTS, PriceRow
from pilots.enums import SavingsBasis, SavingsStop
from pilots.models import Pilot, TrafficDay
from pilots.savings import (
    DaySaving,
    Gap,
    PerRequest,
    PriceBook,
    Spent,
    Use,
    Window,
    gaps,
    months,
    per_request,
    saved_on,
    sum_up,
)
from pilots.selectors.filters import ReportFilters
from pilots.selectors.observation import Told, observed, tell
from pilots.selectors.timelines import known_models

Days = list[tuple[date, dict[str, Use]]]


@dataclass(frozen=True, slots=True)
class PeriodSavings:
    """One period on the candidate, as far as a rollback was possible."""

    number: int
    start: date
    end: date | None  # the first day that does not count; None: goes on
    stopped_by: SavingsStop | None
    before: PerRequest | None  # what a request took of the incumbent; None: unknown
    spent: Spent


@dataclass(frozen=True, slots=True)
class MonthSavings:
    month: date  # its first day
    spent: Spent


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What the replays of the pilot's plan cost, judges and retries included."""

    currency: str
    amount: Decimal  # of the calls whose cost is known
    unknown_calls: int  # calls that may have been billed and whose cost nobody knows


@dataclass(frozen=True, slots=True)
class PilotSavings:
    """Money in ``currency``; '': the incumbent has no price in any."""

    currency: str
    periods: tuple[PeriodSavings, ...]
    total: Spent
    months: tuple[MonthSavings, ...]
    not_computed: tuple[Gap, ...]  # every day without a figure
    evaluation: tuple[Evaluation, ...]  # by currency

    @property
    def evaluated(self) -> Decimal:
        """The cost of evaluating, in the currency of the savings."""
        return sum((one.amount for one in self.evaluation if one.currency == self.currency), Decimal(0))

    @property
    def net(self) -> Decimal | None:
        """Saved, less the cost of evaluating; None: no day was computed."""
        return None if self.total.saved is None else self.total.saved - self.evaluated


@dataclass(frozen=True, slots=True)
class SavedDays:
    """One pilot's savings with the days behind them."""

    pilot: str
    savings: PilotSavings
    days: tuple[DaySaving, ...]


def saved_days(pilots: QuerySet[Pilot], filters: ReportFilters) -> Iterator[tuple[int, SavedDays]]:
    """By pilot's key, for those among ``pilots`` that have ever been on their candidate. A constant number of queries,
    and every day of those pilots in memory: ask for a few at a time."""
    told = [one for one in tell(pilots, filters) if one.timeline.spells]
    keys = [one.pk for one in told]
    facts = {
        pk: _Facts(*row)
        for pk, *row in Pilot.objects.filter(pk__in=keys).values_list(
            "pk", "workload_id", "plan_id", "plan__incumbent_endpoint_id", "plan__candidate_endpoint_id"
        )
    }
    known = {model.slug: model for model in known_models().values()}
    plans = {one.plan for one in facts.values() if one.plan is not None}
    uses = _uses({one.workload for one in facts.values()}, filters)
    prices = _prices({slug for one in told for slug in _line(one, known)} | {one.switch.incumbent.slug for one in told})
    evaluations = _evaluations(plans, filters)
    replayed = _replayed(plans, filters)
    currencies = {plan: run.currency for plan, runs in replayed.items() for run in runs[-1:]}
    needed: list[tuple[Told, str, dict[int, PerRequest | None]]] = []
    for one in told:
        fact = facts[one.pk]
        currency = _currency(one, fact, prices, currencies.get(fact.plan or 0, ""))
        days = uses.get(fact.workload, [])
        incumbent = one.switch.incumbent.slug
        before = {
            spell.number: per_request(days, incumbent, before=spell.started_on, currency=currency)
            for spell in one.timeline.spells
        }
        needed.append((one, currency, before))
    wanted = {
        run.run
        for one, _, before in needed
        for spell in one.timeline.spells
        if before[spell.number] is None and (run := _the_replay(replayed, facts[one.pk], spell.started_on))
    }
    averages = _averages(wanted)
    for one, currency, before in needed:
        fact = facts[one.pk]
        for spell in one.timeline.spells:
            run = _the_replay(replayed, fact, spell.started_on)
            if before[spell.number] is None and run is not None:
                before[spell.number] = averages.get(run.run)
        yield (
            one.pk,
            _saved(
                one, currency, before, uses.get(fact.workload, []), prices, fact, known_line=_line(one, known),
                evaluation=evaluations.get(fact.plan or 0, ()), until=filters.as_of,
            ),
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Facts:
    workload: int
    plan: int | None
    incumbent_endpoint: int | None
    candidate_endpoint: int | None


@dataclass(frozen=True, slots=True)
class _Run:
    run: int
    currency: str
    ended_on: date


Prices = Mapping[tuple[str, int | None, str], Sequence[PriceRow]]  # by model, endpoint of a contract, currency


def _line(told: Told, known: Mapping[str, object]) -> frozenset[str]:
    """The candidate and its successors; an incumbent may be of the candidate's own family."""
    candidate, incumbent = told.switch.candidate, told.switch.incumbent.slug
    return frozenset(
        slug
        for slug, model in known.items()
        if slug != incumbent and model.same_line_as(candidate)  # type: ignore[attr-defined]
    )


def _saved(
    told: Told,
    currency: str,
    before: Mapping[int, PerRequest | None],
    days: Days,
    prices: Prices,
    facts: _Facts,
    *,
    known_line: frozenset[str],
    evaluation: tuple[Evaluation, ...],
    until: date,
) -> SavedDays:
    incumbent, candidate = told.switch.incumbent, told.switch.candidate.slug
    book = PriceBook(
        {
            slug: [
                *prices.get((slug, None, currency), ()),
                *prices.get((slug, _endpoint(slug, candidate, incumbent.slug, facts) or 0, currency), ()),
            ]
            for slug in (*known_line, incumbent.slug)
        }
    )
    by_day = dict(days)
    periods, found = [], []
    for spell in told.timeline.spells:
        seen = observed(spell, told.switch, until, told.measured)
        window = _window(spell.number, seen.start, seen.end, incumbent.retires_on)
        rows = saved_on(
            window,
            by_day,
            until=until,
            incumbent=incumbent.slug,
            candidates=known_line,
            before=before[spell.number],
            prices=book,
            currency=currency,
        )
        found += rows
        periods.append(
            PeriodSavings(spell.number, window.start, window.end, window.stopped_by, before[spell.number], sum_up(rows))
        )
    savings = PilotSavings(
        currency=currency,
        periods=tuple(periods),
        total=sum_up(found),
        months=tuple(MonthSavings(month, spent) for month, spent in months(found)),
        not_computed=gaps(found),
        evaluation=evaluation,
    )
    return SavedDays(told.slug, savings, tuple(found))


def _endpoint(slug: str, candidate: str, incumbent: str, facts: _Facts) -> int | None:
    """A contract price is that of the plan's own endpoint."""
    if slug == incumbent:
        return facts.incumbent_endpoint
    return facts.candidate_endpoint if slug == candidate else None


def _window(number: int, start: date, end: date | None, retires_on: date | None) -> Window:
    if retires_on is not None and (end is None or retires_on < end):
        return Window(number, start, max(retires_on, start), SavingsStop.SHUTDOWN)
    return Window(number, start, end, None if end is None else SavingsStop.ENDED)


def _uses(workloads: Iterable[int], filters: ReportFilters) -> dict[int, Days]:
    """What each model did on each day with data, in order, by workload. A figure that one row of a day does not tell is
    not known of the day."""
    rows = TrafficDay.objects.filter(workload__in=sorted(workloads), model__isnull=False, day__lte=filters.as_of)
    if filters.known_before:
        known_at = filters.known_at
        rows = rows.filter(Q(replaced_at=None) | Q(replaced_at__gt=known_at), recorded_at__lte=known_at)
    else:
        rows = rows.filter(replaced_at=None)
    found: dict[int, Days] = defaultdict(list)
    for workload, day, slug, n, requests, *told, first, last in (
        rows.order_by("workload_id", "day", "model__slug")
        .values_list("workload_id", "day", "model__slug")
        .annotate(
            n=Count("pk"),
            asked=Sum("requests"),
            given=Sum("input_tokens"),
            gives=Count("input_tokens"),
            taken=Sum("output_tokens"),
            takes=Count("output_tokens"),
            billed=Sum("cost_amount"),
            bills=Count("cost_amount"),
            first=Min("currency"),
            last=Max("currency"),
        )
        .iterator(chunk_size=5000)
    ):
        given, gives, taken, takes, billed, bills = told
        of_workload = found[workload]
        if not of_workload or of_workload[-1][0] != day:
            of_workload.append((day, {}))
        one_currency = bills == n and first == last
        of_workload[-1][1][slug] = Use(
            requests,
            given if gives == n else None,
            taken if takes == n else None,
            billed if one_currency else None,
            first if one_currency else "",
        )
    return found


def _prices(slugs: Iterable[str]) -> Prices:
    found: dict[tuple[str, int | None, str], list[PriceRow]] = defaultdict(list)
    rows = Price.objects.filter(model__slug__in=sorted(slugs)).select_related("model").order_by("effective_from", "pk")
    for row in rows:
        found[row.model.slug, row.endpoint_id, row.currency].append(
            PriceRow(
                id=row.pk,
                effective_from=row.effective_from,
                currency=row.currency,
                kind=row.kind,
                above_input_tokens=row.above_input_tokens,
                hours=row.hours,
                service_tier=row.service_tier,
                **{name: getattr(row, name) for name in AMOUNTS},
            )
        )
    return found


def _currency(told: Told, facts: _Facts, prices: Prices, replayed: str) -> str:
    def priced(slug: str, endpoint: int | None) -> set[str]:
        return {currency for model, where, currency in prices if model == slug and where in (None, endpoint)}

    mine = priced(told.switch.incumbent.slug, facts.incumbent_endpoint)
    if replayed in mine:
        return replayed
    both = mine & priced(told.switch.candidate.slug, facts.candidate_endpoint)
    return min(both or mine, default="")


def _evaluations(plans: Iterable[int], filters: ReportFilters) -> dict[int, tuple[Evaluation, ...]]:
    """Every call that was sent for the runs of these plans by the report's day."""
    sent = Attempt.objects.filter(
        run__plan_version__plan__in=sorted(plans), sent_at__lte=min(filters.until, filters.known_at)
    )
    found: dict[int, list[Evaluation]] = defaultdict(list)
    for plan, currency, amount, unknown in (
        sent.order_by("run__plan_version__plan", "run__currency")
        .values_list("run__plan_version__plan", "run__currency")
        .annotate(amount=Sum("cost_amount"), unknown=Count("pk", filter=Q(cost_amount=None)))
    ):
        found[plan].append(Evaluation(currency, amount or Decimal(0), unknown))
    return {plan: tuple(rows) for plan, rows in found.items()}


def _replayed(plans: Iterable[int], filters: ReportFilters) -> dict[int, list[_Run]]:
    """The runs that ended with a reading, by plan and in order of time."""
    runs = ReplayRun.objects.filter(
        plan_version__plan__in=sorted(plans), finished_at__lte=min(filters.until, filters.known_at)
    ).exclude(decision="")
    found: dict[int, list[_Run]] = defaultdict(list)
    for plan, pk, currency, finished_at in runs.order_by("finished_at", "pk").values_list(
        "plan_version__plan", "pk", "currency", "finished_at"
    ):
        assert finished_at is not None
        found[plan].append(_Run(pk, currency, finished_at.date()))
    return found


def _the_replay(replayed: Mapping[int, Sequence[_Run]], facts: _Facts, start: date) -> _Run | None:
    """The last that ended by the cutover, else the first after it."""
    runs = replayed.get(facts.plan or 0, ())
    before = [run for run in runs if run.ended_on <= start]
    return before[-1] if before else next(iter(runs), None)


def _averages(runs: Iterable[int]) -> dict[int, PerRequest]:
    """Tokens of the incumbent's answers that say them, by run."""
    answers = Completion.objects.filter(
        arm__run__in=sorted(runs),
        arm__role=ArmRole.INCUMBENT,
        input_uncached_tokens__isnull=False,
        output_total_tokens__isnull=False,
    )
    found = {}
    for run, n, uncached, read, written, output in (
        answers.order_by("arm__run")
        .values_list("arm__run")
        .annotate(
            n=Count("pk"),
            uncached=Sum("input_uncached_tokens"),
            read=Sum("cache_read_tokens"),
            written=Sum("cache_write_tokens"),
            output=Sum("output_total_tokens"),
        )
    ):
        found[run] = PerRequest(
            source=SavingsBasis.REPLAY,
            requests=n,
            days=0,
            first_on=None,
            last_on=None,
            run=run,
            input_tokens=Decimal(int(uncached)) / n,
            cache_read_tokens=Decimal(int(read or 0)) / n,
            cache_write_tokens=Decimal(int(written or 0)) / n,
            output_tokens=Decimal(int(output)) / n,
            invoiced=None,
        )
    return found
