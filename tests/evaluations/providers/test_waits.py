"""How long a vendor asks us to wait. Cases: RELIABILITY.md B5 to B7, VENDORS.md 4.1 to 4.3."""

from __future__ import annotations

from typing import Any

import pytest

from evaluations.providers.base import RateHint
from evaluations.providers.waits import rate_headers, retry_after

NOW = 1_760_000_000.0  # 2025-10-09T08:53:20Z


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "3"}, 3.0),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after-ms": "250", "retry-after": "3"}, 0.25),
        ({"retry-after-ms": "abc", "retry-after": "3"}, 3.0),
        ({"retry-after": "Thu, 09 Oct 2025 08:53:50 GMT"}, 30.0),
        ({"retry-after": "Thu, 09 Oct 2025 08:53:50 GMT", "date": "Thu, 09 Oct 2025 08:53:40 GMT"}, 10.0),
        ({"retry-after": "Thu, 09 Oct 2025 08:00:00 GMT"}, None),
        ({"retry-after": "Thu, 09 Oct 2035 08:00:00 GMT"}, 600.0),
        ({"retry-after": "-5"}, None),
        ({"retry-after": "0"}, None),
        ({"retry-after": "abc"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "1e9"}, 600.0),
        ({"retry-after": "1000000000"}, 600.0),
        ({"retry-after": "9" * 400}, None),
        ({"retry-after": "Thu, 99 Oct 2025 08:53:50 GMT"}, None),
        ({"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "19.8s"}, 19.8),
        ({"x-ratelimit-remaining-tokens": "5", "x-ratelimit-reset-tokens": "19.8s"}, None),
        (
            {
                "x-ratelimit-remaining-requests": "0",
                "x-ratelimit-reset-requests": "6m0s",
                "x-ratelimit-remaining-tokens": "0",
                "x-ratelimit-reset-tokens": "12ms",
            },
            360.0,
        ),
        (
            {
                "anthropic-ratelimit-requests-remaining": "0",
                "anthropic-ratelimit-requests-reset": "2025-10-09T08:53:32Z",
            },
            12.0,
        ),
        ({}, None),
    ],
)
def test_waits_in_headers(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after(headers, None, "", now=NOW) == seconds


@pytest.mark.parametrize(
    ("message", "seconds"),
    [
        ("Rate limit reached. Please try again in 19.8s.", 19.8),
        ("Please try again in 250ms. Visit the page", 0.25),
        ("Please try again in 1m2.5s", 62.5),
        ("Please try again in 6m0s.", 360.0),
        ("Please try again in 1h0m0s.", 600.0),
        ("Please retry after 60 seconds.", 60.0),
        ("Retry after 2 minutes", 120.0),
        ("Try again in 5 steps", None),
        ("Try again in 0s", None),
        ("Try again later", None),
        ("in " + "9" * 5000 + "s", None),
    ],
)
def test_waits_in_the_message_only(message: str, seconds: float | None) -> None:
    assert retry_after({}, None, message) == seconds


@pytest.mark.parametrize(
    ("body", "seconds"),
    [
        ({"error": {"details": [{"@type": "RetryInfo", "retryDelay": "17s"}]}}, 17.0),
        ({"error": {"details": [{}, {"retryDelay": "17.5s"}]}}, 17.5),
        ([{"error": {"details": [{"retryDelay": "2s"}]}}], 2.0),
        ({"error": {"details": [{"retryDelay": 17}]}}, None),
        ({"error": {"details": "x"}}, None),
    ],
)
def test_waits_in_googles_details(body: Any, seconds: float | None) -> None:
    assert retry_after({}, body, "") == seconds


def test_openai_allowances() -> None:
    headers = {
        "x-ratelimit-limit-requests": "5000",
        "x-ratelimit-remaining-requests": "4999",
        "x-ratelimit-reset-requests": "12ms",
        "x-ratelimit-limit-tokens": "160000",
        "x-ratelimit-remaining-tokens": "159976",
        "x-ratelimit-reset-tokens": "1m2.5s",
    }
    assert rate_headers(headers) == RateHint(5000, 4999, 0.012, 160000, 159976, 62.5)


def test_anthropic_allowances() -> None:
    headers = {
        "anthropic-ratelimit-requests-limit": "50",
        "anthropic-ratelimit-requests-remaining": "49",
        "anthropic-ratelimit-requests-reset": "2025-10-09T08:53:21Z",
        "anthropic-ratelimit-input-tokens-limit": "40000",
        "anthropic-ratelimit-input-tokens-remaining": "39000",
        "anthropic-ratelimit-input-tokens-reset": "2025-10-09T08:53:10Z",
    }
    assert rate_headers(headers, now=NOW) == RateHint(50, 49, 1.0, 40000, 39000, 0.0)


@pytest.mark.parametrize("value", ["-1", "", "abc", "1.5", "9" * 30, "²"])
def test_negative_and_unreadable_allowances_are_unknown(value: str) -> None:
    names = ("limit-requests", "remaining-requests", "limit-tokens", "remaining-tokens")
    assert rate_headers({f"x-ratelimit-{name}": value for name in names}) == RateHint()
    assert rate_headers({"x-ratelimit-reset-requests": "-1"}) == RateHint()
