"""One sentence per comparison, for directors.

Public surface: ``sentence_for``, ``label_of``, ``points``, ``REASONS``.
"""

from __future__ import annotations

from evaluations.breakeven import BreakEven
from evaluations.enums import ArmRole, Verdict
from evaluations.selectors.criteria import Criterion, Reading

REASONS: dict[str, str] = {
    "too_few": "too few samples so far",
    "wide": "the interval is still too wide",
    "no_spread": "every sample gave the same figure, so nothing says how far it may be off",
    "too_few_clusters": "fewer than five conversations or customers",
    "missing": "more than 5 % of the pairs are missing, and they could change the answer",
    "sensitive": "counting failures as failed answers and leaving them out give different answers",
    "plan_changed": "the plan was changed after the fact",
    "drifted": "a model changed under the test",
    "not_yet_due": "read once, when every other criterion is met or at the horizon",
    "between_checks": "it is read at the planned checks",
    "no_pairs": "no sample was answered by both models",
    "cost_unknown": "the price of a model or the tokens of too many calls are unknown",
    "incumbent_costs_nothing": "the incumbent's cost is zero",
    "no_success": "one of the models solved no task",
    "no_reviews": "nobody has answered",
    "reviewed_later": "people judge it after the replay; it stands with the reviews",
    "judged_later": "a model judges it after the replay; it stands with the judge's own figures",
    "not_judged": "the judge's answers say nothing",
    "position_bias": "it prefers whatever is shown first, so that its answers say nothing of the models",
    "judge_flips": "it changes its mind with the order of the answers too often",
    "no_human_labels": "no judge is believed alone: fewer than 50 samples, chosen at random, were also read by people",
    "people_disagree": "people who read a random part do not point the same way",
    "not_measured": "it was not measured for both models",
}

_LABELS = {
    "cost_per_request": "cost per request",
    "cost_per_success": "cost per solved task",
    "latency_p50_ms": "median latency",
    "latency_p95_ms": "95th percentile of latency",
    "latency_mean_ms": "mean latency",
    "ttft_p95_ms": "95th percentile of time to first token",
    "failure_rate": "failure rate",
    "refusal": "requests not refused",
    "human_preference": "human preference",
    "judge_preference": "model judge's preference",
    "judge_score": "model judge's mark",
}


def label_of(metric: str) -> str:
    return _LABELS.get(metric, metric)


def sentence_for(
    criterion: Criterion, reading: Reading, *, incumbent: str, candidate: str, break_even: BreakEven | None = None
) -> str:
    """What, how sure, from how many; never a bare p value, never "no difference"."""
    if reading.verdict is Verdict.NOT_COMPUTABLE:
        why = f"Not computable: {REASONS.get(reading.reason or '', 'the data is missing')}."
        if break_even is None or reading.reason != "cost_unknown":
            return why
        return f"{why} {_break_even_sentence(break_even, incumbent=incumbent, candidate=candidate)}"
    if criterion.max_ratio is not None:
        return _ratio_sentence(criterion, reading, incumbent=incumbent, candidate=candidate)
    return _difference_sentence(criterion, reading, incumbent=incumbent, candidate=candidate)


def _difference_sentence(criterion: Criterion, reading: Reading, *, incumbent: str, candidate: str) -> str:
    limits = f"{points(reading.lower)} to {points(reading.upper)} points"
    basis = f"95 % interval {limits}, {reading.n:,} samples{_check(reading)}"
    margin = f"{100 * (criterion.margin or 0):g} points"
    difference = 100 * abs(reading.difference or 0)
    if criterion.lower_is_better:
        verb, gains, loses = "fails", "less often", "more often"
    else:
        verb, gains, loses = (
            ("passes", "more often", "less often") if criterion.binary else ("scores", "higher", "lower")
        )
    if reading.verdict is Verdict.BETTER:
        return f"{candidate} {verb} {difference:.1f} points {gains} than {incumbent} ({basis})."
    if reading.verdict is Verdict.NON_INFERIOR:
        tail = " It is measurably behind, within the margin." if reading.measurably_lower else ""
        if criterion.lower_is_better:
            return f"{candidate} fails at most the agreed {margin} more often than {incumbent} ({basis}).{tail}"
        return f"{candidate} is at least as good as {incumbent} within the agreed {margin} ({basis}).{tail}"
    if reading.verdict is Verdict.WORSE:
        tail = ", by more than the agreed margin" if reading.beyond_margin else ""
        return f"{candidate} {verb} {difference:.1f} points {loses} than {incumbent}{tail} ({basis})."
    why = REASONS.get(reading.reason or "", "unknown")
    if reading.lower is None and reading.upper is None:
        return (
            f"Not yet known: {points(reading.difference)} points, without an interval ({reading.n:,} samples; {why})."
        )
    return f"Not yet known: {limits} around a margin of {margin} ({why}{_check(reading)})."


def _check(reading: Reading) -> str:
    return "" if reading.look is None else f", planned check {reading.look.number} of {reading.look.of}"


def points(value: float | None) -> str:
    """A share as signed percentage points; None: unbounded."""
    return "unbounded" if value is None else _signed(100 * value, 1)


def _ratio_sentence(criterion: Criterion, reading: Reading, *, incumbent: str, candidate: str) -> str:
    name, limit = label_of(criterion.metric), criterion.max_ratio or 1.0
    if reading.ratio is None:
        return f"Not yet known: no ratio of {name} ({REASONS.get(reading.reason or '', 'unknown')})."
    interval = (
        f"95 % interval {_change(reading.lower)} to {_change(reading.upper)}, {reading.n:,} samples{_check(reading)}"
    )
    agreed = f"agreed was {_change(limit)} at most"
    finding = f"the {name} of {candidate} is {_against(reading.ratio, incumbent)}"
    if reading.verdict is Verdict.INCONCLUSIVE:
        why = REASONS.get(reading.reason or "", "unknown")
        basis = f"{reading.n:,} samples" if reading.lower is None and reading.upper is None else interval
        return f"Not yet known: {finding}, {agreed} ({basis}; {why})."
    tail = f"; {agreed}" if reading.verdict is Verdict.WORSE else ""
    return f"{finding[0].upper()}{finding[1:]} ({interval}){tail}."


def _break_even_sentence(even: BreakEven, *, incumbent: str, candidate: str) -> str:
    """``It must stay under $3.10 per million output tokens to meet the criterion (...).``"""
    names = {ArmRole.INCUMBENT: incumbent, ArmRole.CANDIDATE: candidate}
    must = "must stay under" if even.arm is ArmRole.CANDIDATE else "must cost more than"
    price = _money(even.output_per_mtok, even.currency)
    basis = f"{even.n:,} samples"
    if even.lower is not None and even.upper is not None:
        limits = f"{_money(even.lower, even.currency)} to {_money(even.upper, even.currency)}"
        basis = f"95 % interval {limits}, {basis}"
    taken_from = even.assumption.taken_from
    if taken_from is None:
        assumed = f"at its input price of {_money(even.input_per_mtok, even.currency)}"
    else:
        share = f"{100 * even.assumption.share_of_output:.3g} % of output"
        assumed = f"with input at {share}" + (f" as for {names[taken_from]}" if taken_from is not even.arm else "")
    return f"{names[even.arm]} {must} {price} per million output tokens to meet the criterion ({basis}; {assumed})."


def _money(amount: float, currency: str) -> str:
    text = f"{amount:,.2f}" if amount >= 1 else f"{amount:.2g}"
    return f"${text}" if currency == "USD" else f"{text} {currency}"


def _against(ratio: float, other: str) -> str:
    percent = round(100 * (ratio - 1))
    if percent == 0:
        return f"that of {other} to within half a percent"
    return f"{abs(percent)} % {'higher' if percent > 0 else 'lower'} than that of {other}"


def _change(ratio: float | None) -> str:
    return "unbounded" if ratio is None else f"{_signed(100 * (ratio - 1), 0)} %"


def _signed(value: float, places: int) -> str:
    """With a true minus sign, and no sign for zero."""
    text = f"{abs(value):.{places}f}"
    if float(text) == 0:
        return text
    return ("+" if value > 0 else "\N{MINUS SIGN}") + text
