"""From the neutral request to a wire request: the parts that all dialects share.

Public surface: ``Translation``, ``merged_body``, ``drop``, ``post``, ``authorization``, ``Untranslatable``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from evaluations.providers.base import JSON, Action, CompletionRequest, EndpointConfig, ParameterChange, WireRequest
from evaluations.providers.wirejson import encode

OUTPUT_LIMITS = ("max_completion_tokens", "max_tokens", "max_output_tokens")
# Ours to decide, or without influence on the answer but stored, billed or shown at the vendor's.
_NEVER_SENT = ("model", "stream", "stream_options")
_DROPPED = ("n", "store", "metadata")


class Untranslatable(ValueError):
    """The request holds something this dialect cannot say; the message names it."""


def merged_body(request: CompletionRequest, endpoint: EndpointConfig) -> tuple[JSON, list[ParameterChange]]:
    """The captured request with the endpoint's parameters on top, and what that changed.

    Raises ``Untranslatable`` when there are no messages.
    """
    body = {key: value for key, value in request.body.items() if key not in _NEVER_SENT and value is not None}
    if not isinstance(body.get("messages"), (list, tuple)) or not body["messages"]:
        raise Untranslatable("the request has no messages")
    changes: list[ParameterChange] = []
    for parameter, value in endpoint.parameters.items():
        if parameter in OUTPUT_LIMITS:
            changes += [
                ParameterChange(other, "replaced", f"endpoint parameter {parameter}")
                for other in OUTPUT_LIMITS
                if other != parameter and body.pop(other, value) != value
            ]
        if body.get(parameter, value) != value:
            changes.append(ParameterChange(parameter, "replaced", "endpoint parameter"))
        body[parameter] = value
    changes += drop(body, _DROPPED, "not repeated in a replay")
    return body, changes


def drop(body: JSON, parameters: Iterable[str], why: str) -> list[ParameterChange]:
    """Take ``parameters`` out of ``body``; one change for each that was there with a meaning."""
    gone = {parameter: body.pop(parameter) for parameter in parameters if parameter in body}
    return [
        ParameterChange(parameter, "dropped", why)
        for parameter, value in gone.items()
        if (parameter, value) != ("n", 1)
    ]


def post(
    url: str,
    headers: Mapping[str, str],
    body: Mapping[str, Any],
    *,
    stream: bool,
    changes: Sequence[ParameterChange],
) -> WireRequest:
    """A JSON request; raises ``Untranslatable`` when the body cannot be written as JSON."""
    try:
        written = encode(body)
    except (ValueError, TypeError, RecursionError) as error:
        raise Untranslatable(f"the request cannot be written as JSON: {error}") from None
    return WireRequest("POST", url, {"Content-Type": "application/json", **headers}, written, stream, tuple(changes))


def authorization(endpoint: EndpointConfig, header: str = "Authorization") -> dict[str, str]:
    """The credential in the vendor's ``header``; empty for an endpoint without one, such as a server of one's own.

    ``options.auth`` names another header, or ``bearer`` for an ``Authorization: Bearer`` token (Entra, Google Cloud).
    """
    if not endpoint.credential:
        return {}
    chosen = str(endpoint.options.get("auth", header))
    if chosen.lower() in ("bearer", "authorization"):
        return {"Authorization": f"Bearer {endpoint.credential}"}
    return {chosen: endpoint.credential}


class Translation:
    """One request being translated: a dialect takes what it knows; the rest is dropped and recorded at the end."""

    def __init__(self, request: CompletionRequest, endpoint: EndpointConfig) -> None:
        self.left, self.changes = merged_body(request, endpoint)

    def take(self, parameter: str) -> Any:
        """The parameter's value, or ``None``."""
        return self.left.pop(parameter, None)

    def move(self, parameter: str, target: JSON, name: str | None = None) -> None:
        """Put the parameter into ``target`` as it is, recording another name."""
        if parameter in self.left:
            target[name or parameter] = self.left.pop(parameter)
            if name is not None:
                self.record(parameter, "renamed", name)

    def take_output_limit(self, name: str) -> Any:
        """The output limit under any of its names; ``name`` is what the dialect calls it."""
        found = {limit: self.left.pop(limit) for limit in OUTPUT_LIMITS if limit in self.left}
        for limit in found:
            if limit != name:
                self.record(limit, "renamed", name)
        return next(iter(found.values()), None)

    def record(self, parameter: str, action: Action, detail: str = "") -> None:
        self.changes.append(ParameterChange(parameter, action, detail))

    def finish(self, why: str) -> tuple[ParameterChange, ...]:
        self.changes += drop(self.left, sorted(self.left), why)
        return tuple(self.changes)
