"""Tags and filters of the pages; every one formats, none computes.

Numbers, money and times go through here alone, so that an absent value always shows as a word and never as zero.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString

from evaluations.enums import Decision, Looks, Outcome, RunStatus, Verdict
from evaluations.selectors.sentences import label_of
from evaluations.services.audit import ACTIONS
from pilots import charts, formats
from pilots.enums import EventKind, PilotStatus, Reason, SpellStatus
from pilots.selectors.evidence import CriterionRow
from pilots.selectors.retention import SpellRow

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
}
SPELL_TONES = {
    SpellStatus.STILL_SWITCHED: "good",
    SpellStatus.ROLLED_BACK: "bad",
    SpellStatus.SUPERSEDED: "caution",
    SpellStatus.ENDED: "unknown",
    SpellStatus.IN_CONFLICT: "caution",
    SpellStatus.LOST_TO_FOLLOW_UP: "unknown",
}


RUN_TONES = {
    RunStatus.FINISHED: "good",
    RunStatus.STOPPED_BY_BUDGET: "caution",
    RunStatus.CANCELLED: "unknown",
    RunStatus.FAILED: "bad",
}
RUN_REASONS = {
    "storage": "storage was unavailable",
    "rate_limited": "waiting for the vendor's rate limit",
    "vendor_paused": "the vendor is paused",
    "no_new_samples": "no new samples",
}
EVENT_TONES = {
    EventKind.CUTOVER: "good",
    EventKind.ROLLBACK: "bad",
    EventKind.SUPERSEDED: "caution",
}


def _absent(word: str) -> SafeString:
    return format_html('<span class="absent">{}</span>', word)


@register.simple_tag
def money(amount: Decimal | str | None, currency: str, absent: str = "unknown") -> SafeString:
    """An amount with its currency; ``absent`` is the word for None: unknown for a cost, undisclosed for a price."""
    text = formats.money(amount, currency)
    return _absent(absent) if text is None else format_html('<span class="nowrap">{}</span>', text)


def _number(text: str | None, absent: str | None) -> SafeString:
    return _absent(absent or "unknown") if text is None else format_html('<span class="nowrap">{}</span>', text)


@register.filter
def count(value: int | None, absent: str | None = None) -> SafeString:
    return _number(formats.count(value), absent)


@register.filter
def percent(value: float | Decimal | None, digits: int = 0) -> SafeString:
    return _number(formats.percent(value, digits), None)


@register.filter
def milliseconds(value: float | None, absent: str | None = None) -> SafeString:
    return _number(formats.milliseconds(value), absent)


@register.filter
def duration(value: timedelta | None, absent: str | None = None) -> SafeString:
    return _number(formats.duration(value), absent)


@register.filter
def seconds(value: float | None) -> SafeString:
    return _number(None if value is None else formats.duration(timedelta(seconds=value)), None)


@register.filter
def plain_number(value: Decimal) -> str:
    """For attributes that a browser reads."""
    return f"{value:f}"


@register.filter
def outcome_label(outcome: str) -> str:
    return Outcome(outcome).label


@register.filter
def day(value: date | None, absent: str | None = None) -> SafeString:
    if value is None:
        return _absent(absent or "unknown")
    return format_html('<time class="nowrap" datetime="{}">{}</time>', value.isoformat(), formats.day(value))


@register.simple_tag
def when(instant: datetime | None, now: datetime, absent: str = "unknown") -> SafeString:
    """Relative in the text, absolute in the title: UTC here, the reader's own zone once app.js has run."""
    if instant is None:
        return _absent(absent)
    utc = instant.astimezone(UTC)
    return format_html(
        '<time class="nowrap" data-instant datetime="{}" title="{}">{}</time>',
        utc.isoformat(timespec="seconds"),
        f"{formats.day(utc.date())}, {utc:%H:%M} UTC",
        formats.ago(instant, now),
    )


@register.simple_tag
def moment(instant: datetime) -> SafeString:
    """The absolute instant where the order of things matters."""
    utc = instant.astimezone(UTC)
    return format_html(
        '<time class="nowrap" data-instant datetime="{}" title="{}">{}</time>',
        utc.isoformat(timespec="seconds"),
        f"{formats.day(utc.date())}, {utc:%H:%M:%S} UTC",
        f"{formats.day(utc.date())}, {utc:%H:%M}",
    )


@register.inclusion_tag("pilots/_icon.html")
def icon(name: str) -> dict[str, str]:
    return {"name": name}


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


@register.filter
def interval_text(row: CriterionRow) -> str:
    """``−1.9 to +0.7 points`` or ``−40 % to −36 %``; what is unbounded or missing is said."""
    if row.lower is None and row.upper is None:
        return "no interval"
    lower, upper = (_effect(row, limit) or "unbounded" for limit in (row.lower, row.upper))
    return f"{lower} to {upper}{'' if row.is_ratio else ' points'}"


@register.filter
def effect_text(row: CriterionRow) -> SafeString:
    """The estimate alone: points of difference, or per cent of change."""
    text = _effect(row, row.estimate)
    return _absent("not computable") if text is None else format_html("{}{}", text, "" if row.is_ratio else " points")


@register.filter
def bound_text(row: CriterionRow) -> str:
    text = _effect(row, row.bound)
    return "none agreed" if text is None else f"{text}{'' if row.is_ratio else ' points'}"


def _effect(row: CriterionRow, value: float | None) -> str | None:
    if value is None:
        return None
    return formats.change(value) if row.is_ratio else formats.points(value)


@register.simple_tag
def metric_value(value: float | None, unit: str, currency: str) -> SafeString:
    """An arm's own figure in the metric's unit."""
    if unit == "money":
        return money(None if value is None else Decimal(str(value)), currency)
    if unit == "ms":
        return milliseconds(value)
    return percent(value, 1)


@register.inclusion_tag("pilots/_survival.html")
def survival_chart(points: Any, text: str) -> dict[str, Any]:
    """The retention curve with band, censoring marks and numbers at risk; ``text`` says what it shows."""
    return {"chart": charts.survival_chart(points), "text": text}


@register.filter
def lookup(mapping: Mapping[str, Any], key: str) -> Any:
    return mapping.get(key, "")


@register.filter
def is_rollback(kind: str) -> bool:
    return kind == EventKind.ROLLBACK


@register.filter
def is_link(text: str) -> bool:
    """Whether ``text`` may stand in an href: http and https only."""
    return text.startswith(("https://", "http://")) and not any(character.isspace() for character in text)


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


@register.filter
def action_words(action: str) -> str:
    """What an actor did, to be followed by the object's label."""
    return ACTIONS.get(action, action)


@register.filter
def looks_label(looks: str) -> str:
    return Looks(looks).label


@register.filter
def metric_label(metric: str) -> str:
    return label_of(metric)


@register.filter
def as_points(margin: str) -> str:
    return f"{Decimal(margin) * 100:g}"


@register.filter
def as_percent(ratio: str) -> str:
    return f"{Decimal(ratio) * 100:g} %"


@register.filter
def minutes(value: float) -> SafeString:
    return duration(timedelta(minutes=value))


@register.filter
def reason_label(code: str) -> str:
    return Reason(code).label


@register.filter
def grouping_label(name: str) -> str:
    return {"vendor": "Vendor pair", "task_type": "Type of task", "forced": "Forced or chosen"}.get(
        name, name.capitalize()
    )


@register.simple_tag
def bar_length(value: float, largest: float, width: float) -> str:
    return f"{charts.bar_length(value, largest, width):.1f}"


@register.inclusion_tag("pilots/_sort_header.html", takes_context=True)
def sort_header(
    context: Any, key: str, label: str, sort: str, numeric: bool = False, unit: str = ""
) -> dict[str, Any]:
    """A column's header that sorts by it; pressed again, the other way round."""
    direction = {key: "ascending", f"-{key}": "descending"}.get(sort, "")
    following = f"-{key}" if direction == "ascending" else key
    href = query(context, sort=following, page=None)
    return {"label": label, "numeric": numeric, "unit": unit, "direction": direction, "href": href}


@register.simple_tag(takes_context=True)
def query(context: Any, **changes: Any) -> str:
    """The page's own query string with ``changes``; None drops a key. Starts with ``?``."""
    from django.http import QueryDict

    request = context["request"]
    parameters: QueryDict = request.GET.copy()
    for key, value in changes.items():
        if value is None:
            parameters.pop(key, None)
        else:
            parameters[key] = value
    return f"?{parameters.urlencode()}"
