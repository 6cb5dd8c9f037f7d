"""The versioned JSON schema of each report's document. Public surface: ``report_schema``, ``VERSIONS``.

A schema comes from the dataclass that the report returns: what its document holds beside, or in another form, is
written here. A version counts up when a document loses a key or changes what one means, never when it gains one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields
from functools import cache
from typing import Any, TypedDict, get_type_hints

import msgspec

from evaluations.enums import Verdict
from pilots.api.shapes import ComparisonDocument
from pilots.selectors.claims import ClaimsReport
from pilots.selectors.evidence_report import EvidenceReport
from pilots.selectors.filters import ReportFilters
from pilots.selectors.reports import REPORTS
from pilots.selectors.retention import RetentionReport

# Reports whose document is not the first of its kind any more.
VERSIONS: Mapping[str, int] = {}
_REF = "#/$defs/{name}"
_INSTANTS: Mapping[str, Any] = {
    "as_of": {"type": "string", "format": "date"},
    "known_at": {"type": "string", "format": "date-time"},
}


class FiltersDocument(TypedDict, total=False):
    """What narrows or shapes the report; absent: nothing does."""

    team: list[str]
    workload: list[str]
    vendor: list[str]
    incumbent: list[str]
    candidate: list[str]
    task_type: list[str]
    pilot: list[str]
    run: int
    set: int
    by: str
    days: list[int]
    min_at_risk: int


class ClaimEvidence(TypedDict):
    """A criterion that bears on a claim."""

    pilot: str
    run: int
    metric: str
    verdict: Verdict


def _retention(schemas: dict[str, Any]) -> dict[str, Any]:
    """The answer stands in the document itself, and in each group beside the group's key."""
    own: dict[str, Any] = schemas.pop("RetentionReport")
    answer = schemas.pop("Answer")
    group = {**answer, "title": "Group", "properties": {"key": {"type": "string"}, **answer["properties"]}}
    group["required"] = ["key", *answer["required"]]
    del own["properties"]["answer"], own["properties"]["compared"]
    own["required"].remove("answer")
    own["properties"] |= answer["properties"] | {"groups": {"type": "array", "items": {"$ref": "#/$defs/Group"}}}
    own["required"] = [*own["required"], *answer["required"]]
    schemas["Group"] = group
    return own


def _evidence(schemas: dict[str, Any]) -> dict[str, Any]:
    """The two instants of the filters stand beside them; comparisons are those of the run document."""
    own: dict[str, Any] = schemas.pop("EvidenceReport")
    own["properties"] |= _INSTANTS
    own["required"] = [*_INSTANTS, *own["required"]]
    comparisons = schemas["PilotEvidence"]["properties"]["comparisons"]
    comparisons["items"] = {"$ref": _REF.format(name="ComparisonDocument")}
    return own


def _claims(schemas: dict[str, Any]) -> dict[str, Any]:
    """The two instants stand beside the filters; of what bears on a claim the document has what leads to it."""
    own: dict[str, Any] = schemas.pop("ClaimsReport")
    own["properties"] |= _INSTANTS
    own["required"] = [*_INSTANTS, *own["required"]]
    row = schemas["ClaimRow"]
    del row["properties"]["bearings"]
    row["properties"] |= {
        "test": {"type": "string", "description": "What could decide it"},
        "evidence": {"type": "array", "items": {"$ref": _REF.format(name="ClaimEvidence")}},
    }
    row["required"] = [name for name in row["required"] if name != "bearings"] + ["test", "evidence"]
    return own


# Where the document is not its dataclass, field by field.
_OWN_FORM: Mapping[type, Callable[[dict[str, Any]], dict[str, Any]]] = {
    RetentionReport: _retention,
    EvidenceReport: _evidence,
    ClaimsReport: _claims,
}


@cache
def report_schema(name: str) -> dict[str, Any] | None:
    """The schema of the report's document; None where there is no such report."""
    report = REPORTS.get(name)
    if report is None:
        return None
    kind: Any = get_type_hints(report)["return"]
    _, schemas = msgspec.json.schema_components(
        [FiltersDocument, ComparisonDocument, ClaimEvidence, kind], ref_template=_REF
    )
    form = _OWN_FORM.get(kind)
    own = schemas.pop(kind.__name__) if form is None else form(schemas)
    if "filters" in {field.name for field in fields(kind)}:
        own["properties"]["filters"] = {"$ref": _REF.format(name="FiltersDocument")}
    schemas.pop(ReportFilters.__name__, None)
    version = VERSIONS.get(name, 1)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:model-switch-pilots:report:{name}:{version}",
        **own,
        "title": name,
        "$defs": {key: schema for key, schema in sorted(schemas.items()) if key in _needed(own, schemas)},
    }


def _needed(own: Any, schemas: Mapping[str, Any]) -> set[str]:
    """The definitions that the schema refers to, directly or through others."""
    found: set[str] = set()
    left = [own]
    while left:
        value = left.pop()
        if isinstance(value, dict):
            name = str(value.get("$ref", "")).removeprefix("#/$defs/")
            if name in schemas and name not in found:
                found.add(name)
                left.append(schemas[name])
            left += value.values()
        elif isinstance(value, list | tuple):
            left += value
    return found
