"""How values read on screen; pure text, no markup.

Public surface: ``money``, ``count``, ``percent``, ``points``, ``change``, ``milliseconds``, ``duration``, ``ago``,
``day``.
None stays None: the caller decides whether an absent value is "unknown", "undisclosed" or "withheld".
"""

from __future__ import annotations

from datetime import date, datetime, timedelta
from decimal import Decimal

SYMBOLS = {"USD": "$", "EUR": "€", "GBP": "£"}
MINUS = "−"


def money(amount: Decimal | str | None, currency: str) -> str | None:
    """``$4.10``, ``$41,200``, ``$0.0034``, ``CHF 4.10``: two places, none from 10,000 on, two digits below a cent."""
    if amount is None:
        return None
    value = Decimal(amount)
    size = abs(value)
    if size >= 10_000:
        places = 0
    elif size == 0 or size >= Decimal("0.01"):
        places = 2
    else:
        places = min(12, 1 - size.adjusted())
    unit = SYMBOLS.get(currency, f"{currency} ")
    return f"{MINUS if value < 0 else ''}{unit}{size:,.{places}f}"


def count(value: int | None) -> str | None:
    """``2,638``"""
    return None if value is None else f"{value:,}"


def percent(share: float | Decimal | None, digits: int = 0) -> str | None:
    """A share as a percentage: ``0.823`` is ``82 %``."""
    if share is None:
        return None
    return f"{_signless(float(share) * 100, digits)} %"


def points(difference: float | None, digits: int = 1) -> str | None:
    """A difference of two shares, signed, in percentage points without the unit: ``−0.6``."""
    if difference is None:
        return None
    text = _signless(abs(difference) * 100, digits)
    if float(text) == 0:
        return text
    return f"{MINUS if difference < 0 else '+'}{text}"


def change(ratio: float | None) -> str | None:
    """A ratio to the incumbent as a change: ``0.62`` is ``−38 %``."""
    if ratio is None:
        return None
    text = f"{abs(ratio - 1) * 100:,.0f} %"
    return text if text == "0 %" else f"{MINUS if ratio < 1 else '+'}{text}"


def _signless(value: float, digits: int) -> str:
    text = f"{value:,.{digits}f}"
    return f"{MINUS}{text[1:]}" if text.startswith("-") else text


def milliseconds(value: float | None) -> str | None:
    """``840 ms`` below one second, else ``1.24 s``."""
    if value is None:
        return None
    return f"{value:.0f} ms" if value < 1000 else f"{value / 1000:.2f} s"


def duration(length: timedelta | None) -> str | None:
    """A length of work: ``45 s``, ``6 min``, ``2 h 05 min``, ``3 days``."""
    if length is None:
        return None
    seconds = round(length.total_seconds())
    if seconds < 60:
        return f"{seconds} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    if minutes < 48 * 60:
        return f"{minutes // 60} h {minutes % 60:02d} min"
    return f"{round(minutes / 1440)} days"


def ago(instant: datetime, now: datetime) -> str:
    """Relative to ``now``: ``just now``, ``5 min ago``, ``12 days ago``, ``in 6 days``; a date from 60 days on."""
    seconds = (now - instant).total_seconds()
    size = abs(seconds)
    if size < 45:
        return "just now"
    if size >= 60 * 86_400:
        return day(instant.date())
    if size < 3_570:
        text = f"{max(1, round(size / 60))} min"
    elif size < 84_600:
        text = f"{round(size / 3600)} h"
    else:
        days = max(1, round(size / 86_400))
        text = f"{days} day{'' if days == 1 else 's'}"
    return f"{text} ago" if seconds > 0 else f"in {text}"


def day(value: date) -> str:
    """``12 Nov 2025``"""
    return f"{value.day} {_MONTHS[value.month - 1]} {value.year}"


_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
