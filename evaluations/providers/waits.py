"""How long a vendor asks us to wait, wherever it says so. Public surface: ``retry_after``, ``rate_headers``.

Waits sit in ``retry-after`` (seconds or a date), ``retry-after-ms``, reset headers, ``details[].retryDelay`` or only in
the message. Sources: the OpenAI and Anthropic SDKs, Google's ``RetryInfo``, recorded error bodies.
"""

from __future__ import annotations

import math
import re
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from evaluations.providers.base import RateHint
from evaluations.providers.wirejson import items, obj, text

MAX_WAIT_SECONDS = 600.0
NO_HINT = RateHint()

_REQUESTS = ("x-ratelimit-{}-requests", "anthropic-ratelimit-requests-{}")
_TOKENS = ("x-ratelimit-{}-tokens", "anthropic-ratelimit-tokens-{}", "anthropic-ratelimit-input-tokens-{}")

_UNIT_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_UNIT = r"(?:milliseconds?|ms|seconds?|secs?|s|minutes?|mins?|m|hours?|h|days?|d)"
_PART = re.compile(rf"(\d{{1,12}}(?:\.\d{{1,9}})?)\s?({_UNIT})(?![a-z])|(\d{{1,12}}(?:\.\d{{1,9}})?)({_UNIT})")
_IN_MESSAGE = re.compile(rf"\b(?:in|after)\s((?:\d{{1,12}}(?:\.\d{{1,9}})?\s?{_UNIT}\s?){{1,4}})(?![a-z0-9])")


def retry_after(headers: Mapping[str, str], body: Any, message: str, *, now: float | None = None) -> float | None:
    """Seconds to wait, more than 0 and at most 600; ``None`` when nothing usable was said (back off instead)."""
    for wait in (
        _number(headers.get("retry-after-ms"), 0.001),
        _number(headers.get("retry-after")),
        _until(headers.get("retry-after"), headers, now),
        _retry_info(body),
        _exhausted(rate_headers(headers, now=now)),
        _in_message(message),
    ):
        if wait is not None and wait > 0:
            return min(wait, MAX_WAIT_SECONDS)
    return None


def rate_headers(headers: Mapping[str, str], *, now: float | None = None) -> RateHint:
    """The allowance that the rate-limit headers describe (names in lower case). Negative or unreadable = ``None``."""
    if not any("ratelimit" in header for header in headers):
        return NO_HINT
    return RateHint(
        requests_limit=_allowance(headers, "limit", _REQUESTS),
        requests_remaining=_allowance(headers, "remaining", _REQUESTS),
        requests_reset_s=_reset(headers, _REQUESTS, now),
        tokens_limit=_allowance(headers, "limit", _TOKENS),
        tokens_remaining=_allowance(headers, "remaining", _TOKENS),
        tokens_reset_s=_reset(headers, _TOKENS, now),
    )


def _allowance(headers: Mapping[str, str], field: str, patterns: tuple[str, ...]) -> int | None:
    for pattern in patterns:
        digits = headers.get(pattern.format(field), "")
        if re.fullmatch(r"\d{1,15}", digits):
            return int(digits)
    return None


def _reset(headers: Mapping[str, str], patterns: tuple[str, ...], now: float | None) -> float | None:
    for pattern in patterns:
        value = headers.get(pattern.format("reset"))
        wait = _duration(value)
        if wait is not None and wait >= 0:
            return wait
        moment = _until(value, headers, now)
        if moment is not None:
            return max(moment, 0.0)  # a moment that has passed: the allowance is back
    return None


def _number(value: str | None, unit: float = 1.0) -> float | None:
    try:
        seconds = float(value or "") * unit
    except ValueError:
        return None
    return seconds if math.isfinite(seconds) else None


def _duration(value: str | None) -> float | None:
    """``12ms``, ``6m0s``, ``1m2.5s``, ``1h0m0s``, ``20`` (seconds)."""
    if not value or len(value) > 60:
        return None
    compact = value.replace(" ", "").lower()
    parts = [(a or c, b or d) for a, b, c, d in _PART.findall(compact)]
    if not parts or "".join(number + unit for number, unit in parts) != compact:
        return _number(compact)
    return sum(float(number) * _UNIT_SECONDS[_short(unit)] for number, unit in parts)


def _short(unit: str) -> str:
    return "ms" if unit.startswith(("ms", "milli")) else unit[0]


def _until(value: str | None, headers: Mapping[str, str], now: float | None) -> float | None:
    """Seconds until an HTTP or RFC 3339 date, by the vendor's own clock where the response has one."""
    moment = _date(value)
    if moment is None:
        return None
    reference = _date(headers.get("date"))
    current = reference.timestamp() if reference else now if now is not None else time.time()
    return moment.timestamp() - current


def _date(value: str | None) -> datetime | None:
    if not value or len(value) > 60 or not re.search(r"\d{4}", value) or not re.search(r"[ T:]", value):
        return None
    for read in (parsedate_to_datetime, datetime.fromisoformat):
        try:
            moment = read(value)
            moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
            moment.timestamp()
        except (ValueError, TypeError, IndexError, OverflowError):
            continue
        return moment
    return None


def _retry_info(body: Any) -> float | None:
    error = obj(obj(body[0] if isinstance(body, list) and body else body).get("error"))
    delays = (_duration(text(obj(detail).get("retryDelay"))) for detail in items(error.get("details")))
    return next((delay for delay in delays if delay is not None), None)


def _exhausted(hint: RateHint) -> float | None:
    """When what ran out is there again."""
    waits = [hint.requests_reset_s if hint.requests_remaining == 0 else None]
    waits.append(hint.tokens_reset_s if hint.tokens_remaining == 0 else None)
    return max((wait for wait in waits if wait is not None), default=None)


def _in_message(message: str) -> float | None:
    found = _IN_MESSAGE.search(message[:2000].lower())
    return _duration(found.group(1)) if found else None
