"""What every simulated dialect shares.

Public surface: ``Call``, ``Tool``, ``ToolCall``, ``Reply``, ``Failure``, ``BadRequest``, ``RateLimit``, ``Dialect`` and
the helpers that every dialect uses to read a request and to write an answer.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, Protocol

JSON = dict[str, Any]
Conversation = tuple[tuple[str, str], ...]  # (role, text), system first, white space collapsed

Finish = Literal["complete", "length", "refusal", "content_filter", "blocked_prompt"]
FailureKind = Literal[
    "rate_limited",
    "quota_exhausted",
    "server_error",
    "unavailable",
    "overloaded",
    "auth",
    "forbidden",
    "model_not_found",
    "context_length",
    "content_filter",
    "bad_request",
]
UsageFault = Literal["missing", "zero", "negative", "text", "huge"]


@dataclass(frozen=True, slots=True)
class Tool:
    name: str
    schema: JSON


@dataclass(frozen=True, slots=True)
class ToolCall:
    name: str
    arguments: JSON


@dataclass(frozen=True, slots=True)
class Call:
    """One request, read out of its dialect."""

    model: str
    conversation: Conversation
    stream: bool = False
    usage_in_stream: bool = False  # OpenAI chat sends usage in a stream only when asked
    max_output_tokens: int | None = None
    tool: Tool | None = None  # the function that the simulated model would call now
    schema: JSON | None = None  # JSON Schema of the wished answer
    encrypted_reasoning: bool = False


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer with the vendor's own token counts. ``output_tokens`` includes reasoning; input includes cached."""

    model: str
    text: str
    input_tokens: int
    output_tokens: int
    reasoning_tokens: int = 0
    cached_tokens: int = 0
    tool_calls: tuple[ToolCall, ...] = ()
    finish: Finish = "complete"
    usage_fault: UsageFault | None = None
    id: str = ""
    created_at: int = 0  # seconds since 1970

    @property
    def visible(self) -> str | None:
        """The text that the model lets through: none beside a refusal, a filter or a tool call."""
        return self.text if self.finish in ("complete", "length") and not self.tool_calls else None


@dataclass(frozen=True, slots=True)
class Failure:
    """An HTTP error. ``retry_after`` is sent as written where the dialect has a place for it."""

    kind: FailureKind
    message: str = ""
    retry_after: str | None = None


class BadRequest(Exception):
    """The body cannot be served; becomes a 400 in the dialect's shape."""


@dataclass(frozen=True, slots=True)
class RateLimit:
    """The vendor's request budget as its headers tell it."""

    limit: int
    remaining: int  # some Azure routes send -1, which means unknown
    reset_seconds: float


class Dialect(Protocol):
    """One vendor's wire format. Values without state."""

    name: str
    tells_wait: bool  # a 429 says when to come back

    def authorised(self, headers: Mapping[str, str]) -> bool: ...

    def read(self, body: JSON, *, model: str | None, stream: bool) -> Call:
        """Read a request; ``model`` and ``stream`` come from the path where the dialect puts them there."""

    def answer(self, call: Call, reply: Reply) -> JSON | Failure:
        """The body of a non-streamed answer; a ``Failure`` where this vendor reports such an end as an error."""

    def events(self, call: Call, reply: Reply) -> Iterator[bytes]:
        """The event stream of the same answer, one item per event."""

    def failure(self, failure: Failure, request_id: str) -> tuple[int, dict[str, str], JSON]:
        """Status, headers and body of an error."""

    def headers(self, request_id: str, limit: RateLimit | None) -> dict[str, str]:
        """The headers of a good answer."""


def text_of(content: Any) -> str:
    """The text of a message's content: a string, or the text parts of a list."""
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        return "\n".join(
            part["text"] for part in content if isinstance(part, dict) and isinstance(part.get("text"), str)
        )
    return ""


_ROLES = {"developer": "system", "model": "assistant", "function": "tool"}


def conversation(messages: Iterable[tuple[str, str]]) -> Conversation:
    """One form for all dialects, so that the same request is recognised in each.

    System texts come first, neighbours of one role are joined and white space is collapsed: that is what gets lost when
    a request is translated from one vendor's form to another's.
    """
    named = [(_ROLES.get(role, role), " ".join(text.split())) for role, text in messages]
    ordered = [pair for pair in named if pair[0] == "system"] + [pair for pair in named if pair[0] != "system"]
    joined: list[tuple[str, str]] = []
    for role, text in ordered:
        if not text:
            continue
        if joined and joined[-1][0] == role:
            joined[-1] = (role, f"{joined[-1][1]} {text}")
        else:
            joined.append((role, text))
    return tuple(joined)


def pieces(text: str, most: int = 24) -> list[str]:
    """The text in at most ``most`` pieces, as a stream delivers it."""
    size = max(1, -(-len(text) // most))
    return [text[at : at + size] for at in range(0, len(text), size)]


def words(text: str) -> frozenset[str]:
    """The blank-separated words of a text, as a set of names."""
    return frozenset(text.split())


def dumps(value: Any) -> str:
    """Compact JSON, ASCII only: any text survives, lone surrogates included."""
    return json.dumps(value, separators=(",", ":"))


def sse(data: JSON | str, event: str | None = None) -> bytes:
    """One server-sent event."""
    text = data if isinstance(data, str) else dumps(data)
    return f"event: {event}\ndata: {text}\n\n".encode() if event else f"data: {text}\n\n".encode()


def whole_number(body: Mapping[str, Any], key: str) -> int | None:
    """An optional count of at least 1. Raises ``BadRequest``."""
    value = body.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise BadRequest(f"Invalid '{key}': expected an integer of at least 1.")
    return value


def the_list(body: Mapping[str, Any], key: str) -> list[JSON]:
    """A required, non-empty list of objects. Raises ``BadRequest``."""
    value = body.get(key)
    if not isinstance(value, list) or not value or not all(isinstance(item, dict) for item in value):
        raise BadRequest(f"Missing or invalid required parameter: '{key}'.")
    return value


def refuse_unknown(body: Mapping[str, Any], known: frozenset[str], message: str) -> None:
    """Vendors that are strict about parameters say so. Raises ``BadRequest``."""
    for key in body:
        if key not in known:
            raise BadRequest(message.format(key=key))


def bearer(headers: Mapping[str, str]) -> bool:
    """Whether there is a non-empty ``Authorization: Bearer``."""
    scheme, _, token = headers.get("Authorization", "").partition(" ")
    return scheme.lower() == "bearer" and bool(token.strip())


def spoiled(usage: JSON, fault: UsageFault | None) -> JSON | None:
    """A usage object as a broken vendor sends it; ``None`` = left out."""
    if fault is None:
        return usage
    if fault == "missing":
        return None
    return {
        key: spoiled(value, fault) if isinstance(value, dict) else _spoiled_count(value, fault)
        for key, value in usage.items()
    }


def _spoiled_count(count: int, fault: UsageFault) -> int | str:
    if fault == "text":
        return str(count)
    return {"zero": 0, "negative": -count - 1, "huge": 10**12}[fault]


def cut(reply: Reply, limit: int | None) -> Reply:
    """The reply, cut where the request's output limit is reached."""
    if limit is None or reply.output_tokens <= limit or reply.finish not in ("complete", "length"):
        return reply
    visible = max(0, limit - reply.reasoning_tokens)
    share = visible / max(1, reply.output_tokens - reply.reasoning_tokens)
    return replace(
        reply,
        text=reply.text[: int(len(reply.text) * share)],
        tool_calls=(),
        output_tokens=limit,
        reasoning_tokens=min(reply.reasoning_tokens, limit),
        finish="length",
    )
