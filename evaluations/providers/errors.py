"""What an error response means, for every vendor. Public surface: ``classify``, ``Classified``, ``shorten``.

The status alone does not say: a 429 may mean "slow down" or "your money ran out", a 400 may be a content filter, an
exhausted budget or a prompt that is too long. Codes are looked at first, then the message, then the status.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from evaluations.enums import Outcome
from evaluations.providers.waits import retry_after
from evaluations.providers.wirejson import items, obj, storable, text

MAX_MESSAGE_CHARACTERS = 300

_CONTENT_FILTER = frozenset(
    {"content_filter", "content_filtered", "responsibleaipolicyviolation", "content_policy_violation"}
    | {"safetyblockederror", "safety_blocked_error"}
)
_QUOTA = frozenset(
    {"insufficient_quota", "billing_error", "billing_hard_limit_reached", "billing_not_active", "insufficient_balance"}
    | {"enforced_spend_limit_reached", "credit_balance_too_low", "insufficient_credits", "payment_required"}
)
_QUOTA_MESSAGE = re.compile(
    r"exceeded your current quota|credit balance is too low|(spend|usage|billing)[a-z ]{0,12} limit"
    r"|insufficient (balance|credits?|funds|quota)|out of credits?|payment required"
)
_CONTEXT = frozenset({"context_length_exceeded", "string_above_max_length"})
_MODEL_GONE = frozenset(
    {"model_not_found", "deploymentnotfound", "model_not_available", "model_deprecated", "unknown_model"}
)
_AUTH = frozenset({"invalid_api_key", "authentication_error", "api_key_invalid", "unauthenticated"})
_OVERLOADED = frozenset({"overloaded_error", "overloaded", "server_overloaded", "engine_overloaded"})
_RATE = frozenset({"rate_limit_error", "rate_limit_exceeded", "too_many_requests", "resource_exhausted"})
_SERVER = frozenset({"api_error", "server_error", "internal_server_error", "internal", "timeout_error"})

_SECRETS = re.compile(
    r"(?i:bearer|basic)\s+[\w.~+/=-]{6,}"
    r"|\b(?:sk|rk|pk|gsk|xai|AIza|ya29|eyJ)[\w.*-]{8,}"
    r"|(?i:(?:api[-_ ]?key|key|token|secret|password|sig)\s*[=:]\s*)\S{6,}"
    r"|[A-Za-z0-9_+=-]{32,}"
)


class Classified(NamedTuple):
    """``message`` is short and free of credentials; ``retry_after_seconds`` is ``None`` where the vendor named none."""

    outcome: Outcome
    message: str
    retry_after_seconds: float | None = None


def shorten(message: str, credential: str | None = None) -> str:
    """``message`` fit to be stored and shown: at most 300 characters on one line, anything like a key removed."""
    if credential:
        message = message.replace(credential, "[removed]")
    flat = " ".join(storable(message[: 20 * MAX_MESSAGE_CHARACTERS]).split())
    clean = _SECRETS.sub("[removed]", flat)
    return clean if len(clean) <= MAX_MESSAGE_CHARACTERS else f"{clean[: MAX_MESSAGE_CHARACTERS - 1]}…"


def classify(status: int, headers: Mapping[str, str], body: Any, *, now: float | None = None) -> Classified:
    """Name the failure. ``status`` 200 stands for an error object in a successful response or in mid-stream.

    ``headers`` have lower-case names, ``body`` is the decoded JSON or ``None``. ``now`` (seconds since the epoch) is
    only used for waits given as a date when the response has no ``Date`` header.
    """
    words, message = _words(body), _message(body)
    outcome = _outcome(status, headers, body, words, message.lower())
    wait = None
    if outcome in (Outcome.RATE_LIMITED, Outcome.OVERLOADED, Outcome.SERVER_ERROR, Outcome.VENDOR_ERROR):
        wait = retry_after(headers, body, message, now=now)
    return Classified(outcome, shorten(message or f"HTTP {status} without a readable message"), wait)


def _outcome(status: int, headers: Mapping[str, str], body: Any, words: frozenset[str], message: str) -> Outcome:
    if body is None and "html" in headers.get("content-type", "") and (status < 400 or status in (400, 403, 404)):
        return Outcome.BAD_RESPONSE  # a proxy's page, not the vendor's voice
    if words & _CONTENT_FILTER:
        return Outcome.CONTENT_FILTERED
    if _money_ran_out(status, words, message):
        return Outcome.QUOTA_EXHAUSTED
    if words & _CONTEXT:
        return Outcome.REJECTED_INPUT
    if status in (404, 410) or words & _MODEL_GONE:
        return Outcome.MODEL_GONE
    if status in (401, 403) or words & _AUTH:
        return Outcome.AUTH
    if status == 529 or words & _OVERLOADED or (status in (429, 503) and "overloaded" in message):
        return Outcome.OVERLOADED
    if status == 429 or (status in (200, 503) and words & _RATE):
        return Outcome.RATE_LIMITED
    if status == 408:
        return Outcome.TIMEOUT
    if status >= 500 or (status >= 400 and words & _SERVER):
        return Outcome.SERVER_ERROR
    if status >= 400:
        return Outcome.REJECTED_INPUT
    return Outcome.VENDOR_ERROR if 200 <= status < 300 else Outcome.BAD_RESPONSE


def _money_ran_out(status: int, words: frozenset[str], message: str) -> bool:
    if status == 402 or words & _QUOTA:
        return True
    if "resource_exhausted" in words:
        # Google words every exhausted quota alike; only the quota's name tells a minute from a day.
        return any("perday" in word for word in words)
    return status in (200, 400, 403, 429) and _QUOTA_MESSAGE.search(message) is not None


def _error(body: Any) -> Any:
    if isinstance(body, list) and body:
        body = body[0]
    return obj(body).get("error") or body


def _message(body: Any) -> str:
    error = _error(body)
    if isinstance(error, str):
        return error
    for holder in (obj(error), obj(body)):
        for key in ("message", "detail", "error_description"):
            if found := text(holder.get(key)):
                return found
    # How FastAPI, and with it vLLM and Mistral, names a parameter that it does not take.
    return "; ".join(map(_complaint, items(obj(body).get("detail"))))


def _complaint(detail: Any) -> str:
    place = ".".join(str(part) for part in items(obj(detail).get("loc")))
    return f"{place}: {text(obj(detail).get('msg')) or 'refused'}"


def _words(body: Any) -> frozenset[str]:
    error = obj(_error(body))
    holders = [error, obj(error.get("innererror")), obj(error.get("details"))]
    for detail in items(error.get("details")):
        holders.extend([obj(detail), *(obj(violation) for violation in items(obj(detail).get("violations")))])
    return frozenset(_codes(holders))


def _codes(holders: list[dict[str, Any]]) -> Iterator[str]:
    for holder in holders:
        for key in ("code", "type", "status", "error_code", "reason", "quotaId"):
            if found := text(holder.get(key)):
                yield found.lower()
