"""Azure OpenAI's diagnostic log: latency and status of every call. Public surface: ``AzureDiagnostic``.

Such lines can show reliability and speed, never be replayed: they have neither a request nor an answer text.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from evaluations.capture.base import BadLine, CapturedResponse, CapturedSample
from evaluations.capture.chat import instant, mapping, optional_ms, optional_text
from evaluations.capture.lines import decode, first_keys, read_values


class AzureDiagnostic:
    key = "azure_diagnostic"
    version = "1"
    label = "Azure OpenAI diagnostic log (no contents)"

    def recognises(self, head: bytes, name: str) -> bool:
        return {"category", "operationName", "resultSignature", "durationMs"} <= first_keys(head)

    def read(self, path: Path, *, requests: Path | None = None) -> Iterator[CapturedSample | BadLine]:
        return read_values(path, _sample)


def _sample(line: int, value: Any) -> CapturedSample:
    row = mapping(value, "")
    logged = row.get("properties") or {}
    properties = mapping(decode(logged, "properties") if isinstance(logged, str) else logged, "properties")
    status = str(row.get("resultSignature"))
    named = {"deployment": properties.get("modelDeploymentName"), "region": row.get("location"), "status": status}
    model = "-".join(str(properties[key]) for key in ("modelName", "modelVersion") if properties.get(key))
    return CapturedSample(
        line=line,
        external_id=optional_text(row.get("correlationId"), "correlationId"),
        request=None,
        occurred_at=instant(row.get("time"), "time"),
        segments={key: item for key, item in named.items() if isinstance(item, str)},
        response=CapturedResponse(
            text=None, model=model or None, latency_ms=optional_ms(row.get("durationMs"), "durationMs")
        )
        if status == "200"
        else None,
    )
