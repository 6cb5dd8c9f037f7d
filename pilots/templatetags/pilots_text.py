"""How single values read on the pages; every filter and tag formats, none computes.

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

from evaluations.enums import Looks, Outcome, Preferred
from evaluations.selectors.sentences import label_of
from pilots import formats
from pilots.enums import EventKind, Reason
from pilots.selectors.evidence import CriterionRow

register = template.Library()


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
def preferred_label(word: str) -> str:
    return Preferred(word).label


@register.filter
def kappa(value: float | None) -> SafeString:
    """Agreement beyond chance; undefined where everybody always said the same."""
    return _number(None if value is None else f"{value:.2f}".replace("-", formats.MINUS), "undefined")


@register.filter
def net_points(value: float | None) -> SafeString:
    """A net preference in signed points."""
    return _number(formats.points(value), "not estimated")


@register.filter
def judge_cause(cause: str) -> str:
    """Why an answer of a judge says nothing."""
    own = {
        "not_json": "in words instead of JSON",
        "not_the_agreed_shape": "in another shape than agreed",
        "content_purged": "purged before they were read",
    }
    return own.get(cause) or outcome_label(cause)


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
def as_difference(value: float) -> str:
    """``−1.2 points``."""
    return f"{formats.points(value)} points"


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


@register.simple_tag
def night_value(value: float, metric: str, currency: str) -> SafeString:
    """A night's figure, or the spread of a baseline, in the metric's unit."""
    unit = "money" if metric.startswith("cost_") else "ms" if metric.endswith("_ms") else "share"
    return metric_value(value, unit, currency)


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


@register.filter
def looks_label(looks: str) -> str:
    return Looks(looks).label


@register.filter
def metric_label(metric: str) -> str:
    return label_of(metric)


@register.filter
def as_points(margin: str) -> str:
    return f"{(Decimal(margin) * 100).normalize():f}"


@register.filter
def as_percent(ratio: str) -> str:
    return f"{(Decimal(ratio) * 100).normalize():f} %"


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
