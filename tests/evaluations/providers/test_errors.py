"""What an error response means. The recorded and documented shapes are in tests/reference/test_vendor_http.py."""

from __future__ import annotations

from typing import Any

import pytest

from evaluations.enums import Outcome
from evaluations.providers.errors import classify, shorten


@pytest.mark.parametrize(
    ("status", "body", "outcome"),
    [
        (400, {"error": {"message": "Bad temperature", "type": "invalid_request_error"}}, Outcome.REJECTED_INPUT),
        (400, {"error": {"message": "This organization has been disabled: usage limit"}}, Outcome.QUOTA_EXHAUSTED),
        (400, {"error": {"message": "Your credit balance is too low"}}, Outcome.QUOTA_EXHAUSTED),
        (400, {"error": {"code": 400, "details": [{"reason": "API_KEY_INVALID"}]}}, Outcome.AUTH),
        (400, {"error": {"code": "model_not_found", "message": "gone"}}, Outcome.MODEL_GONE),
        (400, {"error": {"type": "SafetyBlockedError", "message": "blocked"}}, Outcome.CONTENT_FILTERED),
        (401, None, Outcome.AUTH),
        (402, None, Outcome.QUOTA_EXHAUSTED),
        (403, {"error": {"type": "permission_error"}}, Outcome.AUTH),
        (404, {"error": {"type": "not_found_error", "message": "model: claude-1"}}, Outcome.MODEL_GONE),
        (404, {"error": {"code": "DeploymentNotFound"}}, Outcome.MODEL_GONE),
        (408, None, Outcome.TIMEOUT),
        (410, None, Outcome.MODEL_GONE),
        (422, {"detail": [{"loc": ["body"]}]}, Outcome.REJECTED_INPUT),
        (429, None, Outcome.RATE_LIMITED),
        (429, {"message": "Too many requests", "statusCode": 429}, Outcome.RATE_LIMITED),
        (429, [{"error": {"code": 429, "status": "RESOURCE_EXHAUSTED"}}], Outcome.RATE_LIMITED),
        (500, {"error": "Internal Server Error"}, Outcome.SERVER_ERROR),
        (502, None, Outcome.SERVER_ERROR),
        (503, None, Outcome.SERVER_ERROR),
        (504, None, Outcome.SERVER_ERROR),
        (529, None, Outcome.OVERLOADED),
        (200, {"error": {"message": "something"}}, Outcome.VENDOR_ERROR),
        (200, {"error": {"type": "server_error", "message": "something"}}, Outcome.VENDOR_ERROR),
        (200, {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}, Outcome.OVERLOADED),
        (200, {"error": {"type": "SafetyBlockedError"}}, Outcome.CONTENT_FILTERED),
        (200, {"error": {"code": "insufficient_quota"}}, Outcome.QUOTA_EXHAUSTED),
        (301, None, Outcome.BAD_RESPONSE),
    ],
)
def test_what_it_means(status: int, body: Any, outcome: Outcome) -> None:
    assert classify(status, {}, body).outcome is outcome


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        (200, Outcome.BAD_RESPONSE),
        (400, Outcome.BAD_RESPONSE),
        (403, Outcome.BAD_RESPONSE),
        (404, Outcome.BAD_RESPONSE),
        (401, Outcome.AUTH),
        (429, Outcome.RATE_LIMITED),
        (502, Outcome.SERVER_ERROR),
    ],
)
def test_a_page_is_not_the_vendors_voice(status: int, outcome: Outcome) -> None:
    assert classify(status, {"content-type": "text/html; charset=utf-8"}, None).outcome is outcome


def test_money_that_ran_out_is_no_reason_to_wait() -> None:
    body = {"error": {"code": "insufficient_quota", "message": "Try again in 5s."}}
    found = classify(429, {"retry-after": "5"}, body)
    assert (found.outcome, found.retry_after_seconds) == (Outcome.QUOTA_EXHAUSTED, None)


@pytest.mark.parametrize(
    "body", [None, [], [1], "x", 7, {"error": []}, {"error": {"details": {"a": 1}}}, {"detail": 3}]
)
@pytest.mark.parametrize("status", [200, 302, 400, 429, 500, 599])
def test_any_body_has_a_meaning(status: int, body: Any) -> None:
    found = classify(status, {}, body)
    assert found.message
    assert isinstance(found.outcome, Outcome)


@pytest.mark.parametrize(
    "secret",
    [
        "sk-proj-abcDEF123456",
        "Bearer abcdefgh.ijkl-mnop",
        "AIzaSyA1234567890abcdefghij",
        "api_key=abcdef123456",
        "api-key: abcdef123456",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abc",
        "0123456789abcdef0123456789abcdef",
    ],
)
def test_a_message_never_carries_a_key(secret: str) -> None:
    short = shorten(f"Incorrect key provided: {secret} was refused")
    assert secret.split()[-1] not in short
    assert short.startswith("Incorrect key provided: ")
    assert "[removed]" in short


def test_the_calls_own_credential_is_removed_whatever_it_looks_like() -> None:
    assert shorten("you sent plain-pass to us", "plain-pass") == "you sent [removed] to us"


def test_a_message_is_one_short_storable_line() -> None:
    assert shorten("a\nb\tc") == "a b c"
    assert shorten("nul\x00 and \ud800") == "nul\\u0000 and \\ud800"
    long = shorten("word " * 1000)
    assert len(long) == 300
    assert long.endswith("…")
