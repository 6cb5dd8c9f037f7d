"""The OpenAPI side of a route. Public surface: ``described``, ``Described``, ``Page``, ``Instant``,
``components``.

Schemas come from the very types that bodies are parsed into and documents are made of.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Generic, TypeVar, get_args, get_origin

import msgspec
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse

from pilots.api.problems import PROBLEM_TYPE, Problem

T = TypeVar("T")
# An instant with its zone, as both sides write it.
Instant = Annotated[datetime, msgspec.Meta(tz=True)]
_REF = "#/components/schemas/{name}"
_DECIMAL = {"type": "string", "format": "decimal"}

# Every type that some route reads or answers, and those that are read.
TYPES: dict[str, Any] = {"Problem": Problem}
READ: set[str] = set()
QUERIES: set[str] = set()

_PROBLEMS = {
    400: "The request breaks a rule, which `detail` names.",
    401: "Nobody is signed in, or the token is not valid.",
    403: "The person, or the token, may not do this.",
    404: "There is nothing here, or it belongs to another team.",
    409: "It has changed since it was read, is there already, or the same request is being worked on.",
    413: "The body is too large.",
    415: "The body is of a kind that is not read here.",
    422: "The Idempotency-Key was used with another body.",
}


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """A part of a list. ``next`` and ``previous`` are addresses; None: there is no more."""

    next: str | None
    previous: str | None
    results: Sequence[T]


@dataclass(frozen=True, slots=True)
class Operation:
    """What the document says of one method, in the forms that its generator takes."""

    name: str
    summary: str
    request: dict[str, Any] | None  # schema by media type
    responses: dict[Any, Any]
    parameters: list[OpenApiParameter]


def described(
    name: str,
    summary: str,
    *,
    answers: Any,
    status: int,
    or_status: int | None,
    query: type,
    body: type | None,
    raw_body: tuple[str, ...],
    verb: str,
) -> Operation:
    responses: dict[Any, Any] = {}
    if isinstance(answers, str):
        responses[int(status), answers] = OpenApiResponse({"type": "string", "format": "binary"})
    elif answers is None:
        responses[int(status)] = OpenApiResponse(description="Done.")
    else:
        for code in (status, or_status):
            if code is not None:
                responses[int(code), "application/json"] = OpenApiResponse(_schema(answers))
    kinds = [400, 401, 403, 404, *([409] if verb != "GET" else []), *([413, 415] if body or raw_body else [])]
    for kind in [*kinds, *([422] if verb == "POST" else [])]:
        responses[kind, PROBLEM_TYPE] = OpenApiResponse(_schema(Problem), description=_PROBLEMS[kind])
    request: dict[str, Any] | None = None
    if body is not None:
        READ.add(_named(body))
        request = {"application/json": _schema(body)}
    elif raw_body:
        request = {media_type: {"type": "string", "format": "binary"} for media_type in raw_body}
    return Operation(name, summary, request, responses, [*_query_parameters(query), *(_KEY if verb == "POST" else ())])


_KEY = (
    OpenApiParameter(
        "Idempotency-Key",
        {"type": "string", "pattern": "^[!-~]{1,200}$"},
        OpenApiParameter.HEADER,
        description="The same key with the same body gets the same answer, for two days.",
    ),
)
_SEGMENTS = {"pk": {"type": "integer", "minimum": 0}, "seq": {"type": "integer", "minimum": 0}}


class Described(AutoSchema):
    """Takes what an ``operation`` declares in place of what is guessed from serializers."""

    @property
    def declared(self) -> Operation:
        found: Operation = getattr(self.view, self.method.lower()).operation
        return found

    def get_operation_id(self) -> str:
        return self.declared.name

    def get_summary(self) -> str:
        return self.declared.summary

    def get_description(self) -> str:  # type: ignore[override]
        """What the method's own words add for whoever calls it."""
        return inspect.getdoc(getattr(self.view, self.method.lower())) or ""

    def get_request_serializer(self) -> Any:
        return self.declared.request

    def get_response_serializers(self) -> Any:
        return self.declared.responses

    def get_override_parameters(self) -> list[Any]:
        names = re.findall(r"\{(\w+)\}", self.path)
        segments = [
            OpenApiParameter(
                name, _SEGMENTS.get(name, {"type": "string", "minLength": 1}), OpenApiParameter.PATH, required=True
            )
            for name in names
        ]
        return [*segments, *self.declared.parameters]

    def get_tags(self) -> list[str]:
        return [self.path.strip("/").partition("/")[0]]


def _named(kind: Any) -> str:
    name: str = kind.__name__
    if TYPES.setdefault(name, kind) is not kind:
        raise TypeError(f"two types of the API are called {name}")
    return name


def _schema(kind: Any) -> dict[str, Any]:
    """A reference to the type; a page is written out, around it."""
    if get_origin(kind) is Page:
        address = {"type": ["string", "null"], "format": "uri"}
        rows = {"type": "array", "items": _schema(get_args(kind)[0])}
        return {
            "type": "object",
            "properties": {"next": address, "previous": address, "results": rows},
            "required": ["next", "previous", "results"],
        }
    if get_origin(kind) is dict:
        return {"type": "object"}
    return {"$ref": _REF.format(name=_named(kind))}


def _query_parameters(query: type) -> list[OpenApiParameter]:
    name = query.__name__
    QUERIES.add(name)
    if not query.__struct_fields__:  # type: ignore[attr-defined]
        return []
    _named(query)
    _, schemas = msgspec.json.schema_components([query], ref_template=_REF)
    found: Mapping[str, Any] = schemas[name]["properties"]
    return [
        OpenApiParameter(
            field,
            {key: value for key, value in schema.items() if key not in ("default", "description")},
            OpenApiParameter.QUERY,
            required=field in schemas[name].get("required", ()),
            description=schema.get("description", ""),
        )
        for field, schema in found.items()
    ]


def components() -> dict[str, Any]:
    """Every schema that the document refers to."""
    _, schemas = msgspec.json.schema_components(list(TYPES.values()), ref_template=_REF)
    read = _reachable(READ, schemas)
    return {
        name: _plain(_with_numbers(schema) if name in read else schema)
        for name, schema in sorted(schemas.items())
        if name not in QUERIES
    }


def _reachable(names: set[str], schemas: Mapping[str, Any]) -> set[str]:
    found: set[str] = set()
    left = list(names)
    while left:
        name = left.pop()
        if name not in found:
            found.add(name)
            left += _references(schemas[name])
    return found


def _references(schema: Any) -> list[str]:
    if isinstance(schema, dict):
        own = [schema["$ref"].rpartition("/")[2]] if "$ref" in schema else []
        return own + [name for value in schema.values() for name in _references(value)]
    if isinstance(schema, list | tuple):
        return [name for value in schema for name in _references(value)]
    return []


def _with_numbers(schema: Any) -> Any:
    """Amounts that are read may be written as numbers; those that are answered are texts, which lose nothing."""
    if isinstance(schema, dict):
        if schema.items() >= _DECIMAL.items():
            return {**schema, "type": ["string", "number"]}
        return {key: _with_numbers(value) for key, value in schema.items()}
    return [_with_numbers(value) for value in schema] if isinstance(schema, list | tuple) else schema


def _plain(value: Any) -> Any:
    """As JSON, without lists of nothing that is required."""
    plain = msgspec.to_builtins(value)
    return {key: item for key, item in plain.items() if (key, item) != ("required", [])}
