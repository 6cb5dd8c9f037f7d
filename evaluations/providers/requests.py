"""From the neutral request to a wire request: the parts that all dialects share.

Public surface: ``Translation``, ``merged_body``, ``output_limit``, ``limit_to_send``, ``drop``, ``post``,
``authorization``, ``Untranslatable``.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from evaluations.providers.base import JSON, Action, CompletionRequest, EndpointConfig, ParameterChange, WireRequest
from evaluations.providers.legacy_calls import with_tools
from evaluations.providers.wirejson import encode

OUTPUT_LIMITS = ("max_completion_tokens", "max_tokens", "max_output_tokens")
# Ours to decide.
_NEVER_SENT = ("model", "stream", "stream_options")
_TAKEN_OUT = {
    # Without influence on the answer, but stored, billed or shown at the vendor's.
    "n": "not repeated in a replay",
    "store": "not repeated in a replay",
    "metadata": "not repeated in a replay",
    # No price per token covers it, so no cap could hold it.
    "web_search_options": "billed apart from tokens",
}


class Untranslatable(ValueError):
    """The request holds something this dialect cannot say; the message names it."""


def output_limit(body: Mapping[str, Any]) -> int:
    """The largest output limit that ``body`` names, in tokens; 0: none that is a number above 0."""
    return max(_tokens(body.get(name)) for name in OUTPUT_LIMITS)


def _tokens(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
        return 0
    return math.ceil(value)


def limit_to_send(body: Mapping[str, Any], parameters: Mapping[str, Any], otherwise: int) -> int:
    """The output limit of one call, which is also what a cap counts with: the endpoint's, else the request's."""
    return output_limit(parameters) or output_limit(body) or otherwise


def merged_body(
    request: CompletionRequest, endpoint: EndpointConfig, limit_field: str
) -> tuple[JSON, list[ParameterChange]]:
    """The captured request with the endpoint's parameters on top, and what that changed.

    Without a usable output limit it gets one, under the dialect's own name ``limit_field``. Raises ``Untranslatable``
    when there are no messages.
    """
    body = {key: value for key, value in request.body.items() if key not in _NEVER_SENT and value is not None}
    if not isinstance(body.get("messages"), (list, tuple)) or not body["messages"]:
        raise Untranslatable("the request has no messages")
    changes: list[ParameterChange] = []
    for parameter, value in endpoint.parameters.items():
        if value is None:
            changes += drop(body, (parameter,), "endpoint parameter")
            continue
        if parameter in OUTPUT_LIMITS:
            changes += [
                ParameterChange(other, "replaced", f"endpoint parameter {parameter}")
                for other in OUTPUT_LIMITS
                if other != parameter and body.pop(other, value) != value
            ]
        if body.get(parameter, value) != value:
            changes.append(ParameterChange(parameter, "replaced", "endpoint parameter"))
        body[parameter] = value
    for parameter, why in _TAKEN_OUT.items():
        if parameter in body:
            changes += drop(body, (parameter,), why)
    limited = False
    for name in OUTPUT_LIMITS:
        if name in body:
            if _tokens(body[name]):
                limited = True
            else:
                changes += drop(body, (name,), "no number of tokens")
    if not limited:
        limit = body[limit_field] = limit_to_send(request.body, endpoint.parameters, endpoint.output_limit)
        changes.append(ParameterChange(limit_field, "added", f"{limit}: no limit was captured; the cap needs one"))
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

    def __init__(self, request: CompletionRequest, endpoint: EndpointConfig, *, limit_field: str) -> None:
        self.left, self.changes = merged_body(request, endpoint, limit_field)
        with_tools(self.left, self.changes)
        self._limit_field = limit_field

    def take(self, parameter: str) -> Any:
        """The parameter's value, or ``None``."""
        return self.left.pop(parameter, None)

    def move(self, parameter: str, target: JSON, name: str | None = None) -> None:
        """Put the parameter into ``target`` as it is, recording another name."""
        if parameter in self.left:
            target[name or parameter] = self.left.pop(parameter)
            if name is not None:
                self.record(parameter, "renamed", name)

    def take_output_limit(self) -> Any:
        """The output limit, under whichever name; there always is one."""
        names = dict.fromkeys((*OUTPUT_LIMITS, self._limit_field))
        found = {name: self.left.pop(name) for name in names if name in self.left}
        for name in found:
            if name != self._limit_field:
                self.record(name, "renamed", self._limit_field)
        return next(iter(found.values()))

    def record(self, parameter: str, action: Action, detail: str = "") -> None:
        self.changes.append(ParameterChange(parameter, action, detail))

    def finish(self, why: str) -> tuple[ParameterChange, ...]:
        self.changes += drop(self.left, sorted(self.left), why)
        return tuple(self.changes)
