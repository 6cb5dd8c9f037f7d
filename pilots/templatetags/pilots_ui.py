"""Parts of the pages: chips, drawings and controls, each with its partial in templates/pilots."""

from __future__ import annotations

from typing import Any

from django import template
from django.http import QueryDict
from django.middleware.csrf import get_token
from django.urls import reverse
from django.utils.text import slugify

from evaluations.enums import Decision, RunStatus, StopReason, Verdict
from evaluations.selectors.drift import Series, State
from pilots import charts
from pilots.enums import DeliveryState, EventKind, ExportState, PilotStatus, SpellStatus, UploadState
from pilots.exporters.registry import EXPORTERS
from pilots.exporters.words import DEFINITIONS
from pilots.formats import change, points
from pilots.selectors.claims import ClaimVerdict
from pilots.selectors.evidence import CriterionRow
from pilots.selectors.matters.base import Action
from pilots.selectors.predictiveness import Finding
from pilots.selectors.retention import SpellRow
from pilots.selectors.trend import Trend
from pilots.templatetags.pilots_text import interval_text

register = template.Library()

VERDICT_TONES = {
    Verdict.BETTER: "good",
    Verdict.NON_INFERIOR: "good",
    Verdict.WORSE: "bad",
    Verdict.INCONCLUSIVE: "caution",
    Verdict.NOT_COMPUTABLE: "unknown",
}
DECISION_TONES = {
    Decision.SAFE_TO_SWITCH: "good",
    Decision.DO_NOT_SWITCH: "bad",
    Decision.KEEP_TESTING: "caution",
    Decision.KEEP_INCUMBENT: "caution",
}
STAGE_TONES = {
    PilotStatus.SWITCHED: "good",
    PilotStatus.ROLLED_BACK: "bad",
    PilotStatus.SUPERSEDED: "caution",
    PilotStatus.ALONGSIDE: "caution",
}
TERMS = {
    "95 % interval": "What the evidence does not rule out: of a hundred such intervals about 95 hold the truth.",
    "Verdict": "Better, non-inferior (no more than the agreed loss worse), worse, inconclusive, or not computable.",
    "Agreed limit": "The largest loss, or the cost or latency, that the owner accepted before the first call.",
    "Difference": "Candidate against incumbent on the same samples; points are percentage points.",
    "Hard cap": "No call is sent that could pass it.",
    "At risk": DEFINITIONS["At risk"],
    "Customers": "Teams with at least one period at risk; one team is one customer.",
    "Still on the candidate": "Any end counts as having left; an upgrade inside the candidate's family goes on.",
    "Not back on the incumbent": "Ends only with a return to the incumbent model; followed until its shutdown.",
    "Not back with its vendor": "Ends with a return to any model of the incumbent's vendor.",
    "By customer": "The same test with customers exchanged as wholes: one with many workloads counts as one.",
    "Baseline": "The first nights of a plan version: what later nights are held against.",
    "CUSUM": "A running sum of how far each night lies off the baseline; it grows where a model has moved.",
    "Effective samples": "So many samples of equal weight would say as much.",
    "Break-even": "The price per million output tokens at which it would tip, input moving along as stated.",
    "Cost per success": "Money over tasks that were solved: an error costs and solves nothing.",
    "Median": "Half of them went back sooner, half later.",
    "Log-rank test": "How likely groups that stay equally long would differ as much as these by chance.",
}
# What an export takes over from the page's own query string.
FILTERS = ("team", "vendor", "incumbent", "candidate", "task_type", "as_of")
SPELL_TONES = {
    SpellStatus.STILL_SWITCHED: "good",
    SpellStatus.ROLLED_BACK: "bad",
    SpellStatus.SUPERSEDED: "caution",
    SpellStatus.ENDED: "unknown",
    SpellStatus.IN_CONFLICT: "bad",
    SpellStatus.LOST_TO_FOLLOW_UP: "unknown",
}
RUN_TONES = {
    RunStatus.FINISHED: "good",
    RunStatus.STOPPED_BY_BUDGET: "caution",
    RunStatus.CANCELLED: "unknown",
    RunStatus.FAILED: "bad",
}
UPLOAD_TONES = {
    UploadState.PENDING: "unknown",
    UploadState.DONE: "good",
    UploadState.FAILED: "bad",
    UploadState.UNDONE: "unknown",
}
EXPORT_TONES = {
    ExportState.PENDING: "unknown",
    ExportState.DONE: "good",
    ExportState.FAILED: "bad",
}
DELIVERY_TONES = {
    DeliveryState.DELIVERED: "good",
    DeliveryState.FAILED: "bad",
}
RUN_REASONS = {
    **{reason.value: reason.label for reason in StopReason},
    "storage": "storage was unavailable",
    "rate_limited": "waiting for the vendor's rate limit",
    "vendor_paused": "the vendor is paused",
    "quota_exhausted": "the vendor's quota or credit is used up",
    "no_new_samples": "no new samples",
    "not_permitted": "samples were not permitted by the data agreement",
}
CLAIM_TONES = {
    ClaimVerdict.SUPPORTED: "good",
    ClaimVerdict.CONTRADICTED: "bad",
    ClaimVerdict.NOT_ENOUGH: "caution",
    ClaimVerdict.NOT_TESTABLE: "unknown",
}
DRIFT_TONES = {
    State.DRIFTED: "bad",
    State.STEADY: "good",
}
FINDING_TONES = {
    Finding.PASSED: "bad",
    Finding.WARNED: "good",
    Finding.UNDECIDED: "caution",
    Finding.NOT_MEASURED: "caution",
}
EVENT_TONES = {
    EventKind.CUTOVER: "good",
    EventKind.ROLLBACK: "bad",
    EventKind.SUPERSEDED: "caution",
}


@register.inclusion_tag("pilots/_icon.html")
def icon(name: str) -> dict[str, str]:
    return {"name": name}


@register.inclusion_tag("pilots/_term.html")
def term(word: str) -> dict[str, str]:
    """A term of the field with its one-line explanation on demand; once a page."""
    return {"word": word, "meaning": TERMS[word], "id": f"term-{slugify(word)}"}


@register.inclusion_tag("pilots/_chip.html")
def verdict_chip(verdict: str | None, detail: str = "") -> dict[str, str]:
    """A criterion's verdict: icon, word, and ``detail`` (its interval) on hover and for screen readers."""
    if not verdict:
        return {"tone": "unknown", "word": "no verdict", "detail": detail}
    word = Verdict(verdict)
    return {"tone": VERDICT_TONES[word], "word": word.label, "detail": detail}


@register.inclusion_tag("pilots/_chip.html")
def decision_chip(decision: str | None, detail: str = "") -> dict[str, str]:
    """What all agreed criteria together say, in the words for directors."""
    if not decision:
        return {"tone": "unknown", "word": "No verdict", "detail": detail}
    word = Decision(decision)
    return {"tone": DECISION_TONES[word], "word": word.label, "detail": detail}


@register.inclusion_tag("pilots/_chip.html")
def stage_pill(status: str, days: int | None = None) -> dict[str, str]:
    """A pilot's stage with its age: ``switched, 143 days``."""
    stage = PilotStatus(status)
    age = "" if days is None else f", {days:,} day{'' if days == 1 else 's'}"
    return {"tone": STAGE_TONES.get(stage, ""), "word": stage.label, "age": age}


@register.inclusion_tag("pilots/_chip.html")
def spell_chip(status: str) -> dict[str, str]:
    word = SpellStatus(status)
    return {"tone": SPELL_TONES[word], "word": word.label}


@register.inclusion_tag("pilots/_chip.html")
def run_chip(status: str, reason: str = "") -> dict[str, str]:
    """A run's state, and why it is so: ``running: vendor paused``."""
    word = RunStatus(status)
    return {
        "tone": RUN_TONES.get(word, "caution" if reason else ""),
        "word": f"{word.label}: {RUN_REASONS.get(reason, reason.replace('_', ' '))}" if reason else word.label,
    }


@register.inclusion_tag("pilots/_chip.html")
def claim_chip(verdict: ClaimVerdict) -> dict[str, str]:
    return {"tone": CLAIM_TONES[verdict], "word": verdict.label.capitalize()}


@register.inclusion_tag("pilots/_chip.html")
def finding_chip(finding: str) -> dict[str, str]:
    """What the replays had said of a rollback's reason; good is that they saw it coming."""
    word = Finding(finding)
    return {"tone": FINDING_TONES.get(word, "unknown"), "word": word.label.capitalize()}


@register.inclusion_tag("pilots/_chip.html")
def drift_chip(state: State) -> dict[str, str]:
    return {"tone": DRIFT_TONES.get(state, "unknown"), "word": state.label.capitalize()}


@register.inclusion_tag("pilots/_sparkline.html")
def night_chart(series: Series) -> dict[str, Any]:
    """One figure night by night, over two standard deviations of its baseline either way; a move is marked."""
    band = None
    if series.target is not None and series.sd is not None:
        band = (series.target - 2 * series.sd, series.target + 2 * series.sd)
    place = next((place for place, night in enumerate(series.nights) if night.run == series.signal_run), None)
    chart = charts.sparkline([night.value for night in series.nights], band=band, marked=place)
    return {"chart": chart, "side": series.side.value, "text": f"{len(series.nights)} nights: {series.state.label}"}


@register.inclusion_tag("pilots/_trend_chart.html")
def trend_chart(trend: Trend) -> dict[str, Any]:
    """A criterion night by night; the table under it says the same."""
    chart = charts.trend_chart(
        trend.nights, reference=trend.reference, bound=trend.bound, higher_is_worse=trend.higher_is_worse
    )

    def label(value: float) -> str:
        return str(change(value) if trend.is_ratio else points(value))

    return {
        "chart": chart,
        "levels": [(at, label(value)) for at, value in chart.levels],
        "nights": [(at, trend.nights[place].at) for at, place in chart.nights],
        "text": f"{trend.label} over {len(trend.nights)} nights; the table below has the figures",
    }


@register.filter
def event_tone(kind: str) -> str:
    return EVENT_TONES.get(EventKind(kind), "")


@register.filter
def verdict_tone(verdict: str | None) -> str:
    return VERDICT_TONES[Verdict(verdict)] if verdict else "unknown"


@register.inclusion_tag("pilots/_interval.html")
def interval_bar(row: CriterionRow) -> dict[str, Any]:
    """The drawing of one comparison; its text says the same in words."""
    bar = charts.interval_bar(
        estimate=row.estimate,
        lower=row.lower,
        upper=row.upper,
        reference=row.reference,
        margin=row.bound,
        higher_is_worse=row.higher_is_worse,
    )
    return {"bar": bar, "tone": VERDICT_TONES[row.verdict], "text": interval_text(row)}


@register.inclusion_tag("pilots/_survival.html")
def survival_chart(points: Any, text: str) -> dict[str, Any]:
    """The retention curve with band, censoring marks and numbers at risk; ``text`` says what it shows."""
    return {"chart": charts.survival_chart(points), "text": text}


@register.inclusion_tag("pilots/reports/_funnel_step.html")
def funnel_step(n: int, label: str) -> dict[str, Any]:
    return {"n": n, "label": label}


@register.inclusion_tag("pilots/reports/_spell_bar.html")
def spell_bar(row: SpellRow, longest: int) -> dict[str, Any]:
    """A period as a bar from its cutover; what was followed no further has an open end."""
    ended = row.end is not None
    return {
        "length": f"{charts.bar_length(row.days, longest, 86):.1f}",
        "ended": ended,
        "text": f"{row.days} days, {'ended' if ended else 'followed no further'}",
    }


@register.simple_tag
def bar_length(value: float, largest: float, width: float) -> str:
    return f"{charts.bar_length(value, largest, width):.1f}"


@register.inclusion_tag("pilots/_chip.html")
def upload_chip(state: UploadState) -> dict[str, str]:
    return {"tone": UPLOAD_TONES.get(state, ""), "word": state.label.capitalize()}


@register.inclusion_tag("pilots/_chip.html")
def export_chip(state: ExportState) -> dict[str, str]:
    return {"tone": EXPORT_TONES.get(state, ""), "word": state.label.capitalize()}


@register.inclusion_tag("pilots/_chip.html")
def delivery_chip(state: DeliveryState) -> dict[str, str]:
    return {"tone": DELIVERY_TONES.get(state, "unknown"), "word": state.label.capitalize()}


@register.inclusion_tag("pilots/exports/_button.html", takes_context=True)
def export_button(context: Any, key: str, primary: bool = False, pilot: str = "") -> dict[str, Any]:
    """Writes the export ``key`` of one pilot, else under the page's filters; nothing where no such exporter is."""
    request = context["request"]
    filters = [(name, value) for name, values in request.GET.lists() for value in values if name in FILTERS]
    return {
        "key": key,
        "available": key in EXPORTERS.keys(),  # noqa: SIM118 - a registry, not a mapping
        "primary": primary,
        "filters": [("pilot", pilot)] if pilot else filters,
        "csrf_token": get_token(request),
    }


@register.inclusion_tag("pilots/_sort_header.html", takes_context=True)
def sort_header(context: Any, key: str, label: str, sort: str, numeric: bool = False, unit: str = "") -> dict[str, Any]:
    """A column's header that sorts by it; pressed again, the other way round."""
    direction = {key: "ascending", f"-{key}": "descending"}.get(sort, "")
    following = f"-{key}" if direction == "ascending" else key
    href = query(context, sort=following, page=None)
    return {"label": label, "numeric": numeric, "unit": unit, "direction": direction, "href": href}


@register.filter
def action_path(action: Action) -> str:
    """Where the one thing to do about a matter is done."""
    path = reverse(f"pilots:{action.page}", args=action.of.split("/") if action.of else [])
    return f"{path}?{action.query}" if action.query else path


@register.simple_tag(takes_context=True)
def query(context: Any, **changes: Any) -> str:
    """The page's own query string with ``changes``; None drops a key. Starts with ``?``."""
    request = context["request"]
    parameters: QueryDict = request.GET.copy()
    for key, value in changes.items():
        if value is None:
            parameters.pop(key, None)
        else:
            parameters[key] = value
    return f"?{parameters.urlencode()}"
