"""A captured request as one arm sends it. Public surface: ``adapted``, ``check_adaptation``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from evaluations.services.errors import Refused


def adapted(body: Mapping[str, Any], adaptation: Mapping[str, Any]) -> dict[str, Any]:
    """``body`` with the arm's ``system_prefix`` put before its system text and its ``parameters`` set."""
    request = {**body, **adaptation.get("parameters", {})}
    prefix = adaptation.get("system_prefix")
    if prefix:
        messages = list(request["messages"])
        if messages and messages[0].get("role") in ("system", "developer") and isinstance(messages[0]["content"], str):
            messages[0] = {**messages[0], "content": f"{prefix}\n\n{messages[0]['content']}"}
        else:
            messages.insert(0, {"role": "system", "content": prefix})
        request["messages"] = messages
    return request


def check_adaptation(adaptation: Mapping[str, Any], *, field: str) -> None:
    """Refuse an adaptation with unknown keys, or one that would replace the conversation itself."""
    for key in adaptation:
        if key not in ("system_prefix", "parameters"):
            raise Refused(f"{key!r} is not an adaptation (system_prefix, parameters)", field=f"{field}.{key}")
    if not isinstance(adaptation.get("system_prefix", ""), str):
        raise Refused("must be text", field=f"{field}.system_prefix")
    parameters = adaptation.get("parameters", {})
    if not isinstance(parameters, Mapping):
        raise Refused("must be a mapping", field=f"{field}.parameters")
    for key in parameters:
        if key in ("messages", "model", "stream"):
            raise Refused(f"{key!r} cannot be adapted", field=f"{field}.parameters.{key}")
