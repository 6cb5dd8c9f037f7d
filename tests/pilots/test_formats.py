"""How values read."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest

from pilots import formats


@pytest.mark.parametrize(
    ("amount", "currency", "text"),
    [
        ("4.1", "USD", "$4.10"),
        ("41200", "USD", "$41,200"),
        ("9999.99", "EUR", "€9,999.99"),
        ("0.0034", "USD", "$0.0034"),
        ("0.000000123456", "USD", "$0.00000012"),
        ("0", "USD", "$0.00"),
        ("-5", "GBP", "−£5.00"),
        ("3", "CHF", "CHF 3.00"),
    ],
)
def test_money(amount: str, currency: str, text: str) -> None:
    assert formats.money(Decimal(amount), currency) == text


def test_unknown_stays_unknown() -> None:
    assert [
        formats.money(None, "USD"),
        formats.count(None),
        formats.percent(None),
        formats.points(None),
        formats.change(None),
        formats.milliseconds(None),
        formats.duration(None),
    ] == [None] * 7


def test_shares_differences_and_changes() -> None:
    assert [formats.percent(0.823), formats.percent(Decimal("0.004"), 1), formats.percent(-0.5)] == [
        "82 %",
        "0.4 %",
        "−50 %",
    ]
    assert [formats.points(-0.0061), formats.points(0.03), formats.points(-0.0001)] == ["−0.6", "+3.0", "0.0"]
    assert [formats.change(0.62), formats.change(1.25), formats.change(0.999)] == ["−38 %", "+25 %", "0 %"]


@pytest.mark.parametrize(
    ("seconds", "text"), [(45, "45 s"), (360, "6 min"), (7500, "2 h 05 min"), (3 * 86_400, "3 days")]
)
def test_duration(seconds: int, text: str) -> None:
    assert formats.duration(timedelta(seconds=seconds)) == text


@pytest.mark.parametrize(
    ("back", "text"),
    [
        (timedelta(seconds=10), "just now"),
        (timedelta(minutes=5), "5 min ago"),
        (timedelta(hours=3), "3 h ago"),
        (timedelta(days=1), "1 day ago"),
        (timedelta(days=12), "12 days ago"),
        (timedelta(days=-6), "in 6 days"),
        (timedelta(days=200), "15 Apr 2026"),
    ],
)
def test_ago(back: timedelta, text: str) -> None:
    now = datetime(2026, 11, 1, 12, tzinfo=UTC)
    assert formats.ago(now - back, now) == text


def test_small_values() -> None:
    assert (formats.milliseconds(840.4), formats.milliseconds(1240.0)) == ("840 ms", "1.24 s")
    assert (formats.count(2638), formats.day(date(2025, 11, 12))) == ("2,638", "12 Nov 2025")
