"""From the neutral request to a wire request: the parts that all dialects share.

Public surface: ``merged_body``, ``drop``, ``post``, ``bearer``, ``api_key``, ``Untranslatable``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from evaluations.providers.base import JSON, CompletionRequest, EndpointConfig, ParameterChange, WireRequest
from evaluations.providers.wirejson import encode

_OUTPUT_LIMITS = ("max_completion_tokens", "max_tokens", "max_output_tokens")
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
    if not isinstance(body.get("messages"), Sequence) or not body["messages"]:
        raise Untranslatable("the request has no messages")
    changes: list[ParameterChange] = []
    for parameter, value in endpoint.parameters.items():
        if parameter in _OUTPUT_LIMITS:
            changes += [
                ParameterChange(other, "replaced", f"endpoint parameter {parameter}")
                for other in _OUTPUT_LIMITS
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


def bearer(endpoint: EndpointConfig) -> dict[str, str]:
    """``Authorization: Bearer``; empty for an endpoint without a credential, such as a server of one's own."""
    return {"Authorization": f"Bearer {endpoint.credential}"} if endpoint.credential else {}


def api_key(endpoint: EndpointConfig, header: str) -> dict[str, str]:
    """The key in ``header``, or as a bearer token where ``options.auth`` is ``bearer`` (Entra, service accounts)."""
    if endpoint.options.get("auth") == "bearer":
        return bearer(endpoint)
    return {header: endpoint.credential} if endpoint.credential else {}
