"""The OpenAI chat form that every captured request and answer is brought into, checked field by field.

Public surface: ``chat_request``, ``assistant_message``, ``message_text``, ``recorded_usage``, ``instant`` and the small
checks ``mapping``, ``optional_text``, ``optional_ms``. All raise ``FieldError`` with the path of the value at fault.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from evaluations.capture.lines import FieldError
from evaluations.providers.base import Usage
from evaluations.providers.usage import usage_of_body

ROLES = frozenset({"system", "developer", "user", "assistant", "tool", "function"})
# Where a call went, how it was carried and who made it: not part of what the model was asked.
NOT_REPLAYED = frozenset(
    {
        "model",
        "stream",
        "stream_options",
        "store",
        "metadata",
        "user",
        "safety_identifier",
        "prompt_cache_key",
        "service_tier",
    }
)
# Reasoning, encrypted reasoning and log probabilities are never kept.
_REASONING = frozenset({"reasoning", "reasoning_content", "reasoning_details", "thinking_blocks"})
_MESSAGE_KEYS = ("role", "content", "name", "tool_calls", "function_call", "refusal")


def mapping(value: Any, at: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise FieldError(at, f"must be an object, not {_kind(value)}")
    return value


def optional_text(value: Any, at: str) -> str | None:
    if value is not None and not isinstance(value, str):
        raise FieldError(at, f"must be text, not {_kind(value)}")
    return value


def optional_ms(value: Any, at: str) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value < 0:
        raise FieldError(at, "must be a number of milliseconds, zero or more")
    return float(value)


def instant(value: Any, at: str) -> datetime | None:
    """An ISO 8601 instant or seconds since 1970 as UTC; without a zone it is UTC, a bare date is its midnight."""
    if value is None or value == "":
        return None
    try:
        if isinstance(value, bool):
            raise FieldError(at, "must be an ISO 8601 instant, not true or false")
        if isinstance(value, int | float):
            return datetime.fromtimestamp(value, UTC)
        if isinstance(value, datetime):
            moment = value
        elif isinstance(value, str):
            moment = datetime.fromisoformat(value.strip())
        else:
            raise FieldError(at, f"must be an ISO 8601 instant, not {_kind(value)}")
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except FieldError:
        raise
    except (ValueError, OverflowError, OSError):
        raise FieldError(at, f"is not an ISO 8601 instant: {str(value)[:60]!r}") from None


def chat_request(value: Any, at: str = "request") -> dict[str, Any]:
    """A chat request without model, transport and identity fields, and without reasoning in its earlier answers;
    parameters that are null count as not given.
    """
    body = mapping(value, at)
    request = {key: item for key, item in body.items() if item is not None and key not in NOT_REPLAYED}
    messages = request.get("messages")
    if not isinstance(messages, list) or not messages:
        raise FieldError(f"{at}.messages", "must be a list with at least one message")
    for index, message in enumerate(messages):
        _check_message(message, f"{at}.messages[{index}]")
    for key in ("tools", "functions"):
        if key in request and not (isinstance(request[key], list) and all(isinstance(t, dict) for t in request[key])):
            raise FieldError(f"{at}.{key}", "must be a list of objects")
    if "response_format" in request:
        mapping(request["response_format"], f"{at}.response_format")
    request["messages"] = [
        message if _REASONING.isdisjoint(message) else {k: v for k, v in message.items() if k not in _REASONING}
        for message in messages
    ]
    return request


def assistant_message(value: Any, at: str) -> dict[str, Any]:
    """The answer of a model, without nulls and without reasoning."""
    raw = mapping(value, at)
    message = {"role": "assistant"} | {key: raw[key] for key in _MESSAGE_KEYS if raw.get(key) is not None}
    if message["role"] != "assistant":
        raise FieldError(f"{at}.role", "must be 'assistant'")
    _check_message(message, at)
    return message


def message_text(message: Mapping[str, Any]) -> str | None:
    """The visible text of a message; a refusal counts as text; ``None`` when there is none (only tool calls)."""
    content = message.get("content")
    if isinstance(content, list):
        content = "".join(part["text"] for part in content if isinstance(part.get("text"), str)) or None
    return content if content is not None else message.get("refusal")


def recorded_usage(value: Any, at: str, *, service_tier: Any = None) -> Usage:
    """The vendor's usage object in neutral counts; absent = nothing known. ``service_tier``: said beside it."""
    if value is None:
        return Usage()
    return usage_of_body({"usage": mapping(value, at), "service_tier": service_tier})


def _check_message(value: Any, at: str) -> None:
    message = mapping(value, at)
    role = message.get("role")
    if not isinstance(role, str) or role not in ROLES:
        raise FieldError(f"{at}.role", f"must be one of {', '.join(sorted(ROLES))}, not {_kind(role)}")
    content = message.get("content")
    if isinstance(content, list):
        for index, part in enumerate(content):
            if not isinstance(part, dict) or not isinstance(part.get("type"), str):
                raise FieldError(f"{at}.content[{index}]", "must be an object with a type")
    elif content is None:
        if role not in ("assistant", "tool", "function"):
            raise FieldError(f"{at}.content", "is missing")
    elif not isinstance(content, str):
        raise FieldError(f"{at}.content", f"must be text or a list of parts, not {_kind(content)}")
    calls = message.get("tool_calls")
    if calls is not None and not (isinstance(calls, list) and all(isinstance(call, dict) for call in calls)):
        raise FieldError(f"{at}.tool_calls", "must be a list of objects")
    optional_text(message.get("refusal"), f"{at}.refusal")


def _kind(value: Any) -> str:
    if isinstance(value, str):
        return repr(value[:40])
    names = {bool: "true or false", int: "a number", float: "a number", list: "a list", dict: "an object"}
    return names.get(type(value), "null" if value is None else type(value).__name__)
