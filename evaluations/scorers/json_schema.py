"""The reply is JSON of a given shape. Public surface: ``JsonSchema``."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from functools import lru_cache
from time import perf_counter
from typing import Any

import referencing
import referencing.exceptions
import referencing.jsonschema
from jsonschema import Draft202012Validator, FormatChecker, SchemaError, ValidationError
from jsonschema.validators import extend

from evaluations.scorers.base import Answer, Score, ScorerConfigError, Unscored
from evaluations.scorers.config import known_keys, text_of_length
from evaluations.scorers.jsontext import DEEPEST, MISSING, children, first_object, loads, too_deep
from evaluations.scorers.regex import LONGEST_PATTERN, TIMEOUT_SECONDS, compiled, matches
from evaluations.scorers.text import shown, verdict

LARGEST_SCHEMA = 64 * 1024  # characters of JSON
MOST_WORK = 200_000  # values looked at for one reply: a count, so that the same reply always ends the same way


class JsonSchema:
    """``{schema}``: the reply is JSON valid under the schema (JSON Schema 2020-12); needs no reference.

    Judged is the whole reply, a code fence around it left off, failing that its first complete JSON object. References
    must lie inside the schema (``#...``); ``patternProperties`` is not supported. Too much work is ``Unscored``.
    """

    key = "json_schema"
    version = "1"
    binary = True
    scores_truncated = False

    def validate(self, config: Mapping[str, Any]) -> None:
        known_keys(config, "schema")
        schema = config.get("schema")
        if not isinstance(schema, dict):
            raise ScorerConfigError("'schema' must be a JSON Schema object")
        text = _serialised(schema)
        try:
            # Formats are not checked: patterns have rules of their own below.
            Draft202012Validator.check_schema(schema, format_checker=FormatChecker(()))
        except SchemaError as error:
            raise ScorerConfigError(f"'schema' is not a valid JSON Schema: {error.message[:200]}") from None
        _refuse_unsafe(schema)
        _validator(text)

    def score(self, answer: Answer, config: Mapping[str, Any]) -> Score:
        value = loads(_without_fence(answer.text))
        if value is MISSING:
            value = first_object(answer.text)
            if value is None:
                return verdict(False, "no JSON in the reply")
        _allowance.set(_Allowance())
        try:
            error = next(_validator(_serialised(config["schema"])).iter_errors(value), None)
        except (TimeoutError, RecursionError):
            return Unscored("scorer_timeout")
        if error is None:
            return verdict(True, "valid")
        return verdict(False, f"{error.validator} fails at {shown(error.json_path)}")


def _without_fence(text: str) -> str:
    stripped = text.strip()
    if stripped.startswith("```") and stripped.endswith("```"):
        return stripped.removeprefix("```").removeprefix("json").removesuffix("```")
    return stripped


def _serialised(schema: Mapping[str, Any]) -> str:
    """The schema as text: the key under which its validator is kept. Raises ``ScorerConfigError``."""
    if too_deep(schema):
        raise ScorerConfigError(f"'schema' is nested deeper than {DEEPEST} levels")
    try:
        text = json.dumps(schema, sort_keys=True, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ScorerConfigError(f"'schema' is not plain JSON: {error}") from None
    if len(text) > LARGEST_SCHEMA:
        raise ScorerConfigError(f"'schema' is longer than {LARGEST_SCHEMA} characters")
    return text


def _refuse_unsafe(schema: Mapping[str, Any]) -> None:
    """Refuse what would leave the schema or run a pattern without a time limit. Raises ``ScorerConfigError``."""
    resource = referencing.jsonschema.DRAFT202012.create_resource(schema)
    resolver = referencing.Registry().resolver_with_root(resource)
    nodes: list[Any] = [schema]
    while nodes:
        node = nodes.pop()
        nodes.extend(children(node))
        if not isinstance(node, dict):
            continue
        for key in ("$ref", "$dynamicRef"):
            target = node.get(key)
            if isinstance(target, str):
                try:
                    if not target.startswith("#"):
                        raise ScorerConfigError(f"'schema' may only refer into itself (#...), not to {target[:100]!r}")
                    resolver.lookup(target)
                except (referencing.exceptions.Unresolvable, referencing.exceptions.NoSuchAnchor):
                    raise ScorerConfigError(f"'schema' refers to {target[:100]!r}, which it does not contain") from None
        if node is not schema and isinstance(node.get("$id"), str):
            raise ScorerConfigError("'schema' must not hold an inner '$id'")
        if isinstance(node.get("patternProperties"), dict):
            raise ScorerConfigError("'schema' uses 'patternProperties', which is not supported")
        if isinstance(node.get("pattern"), str):
            compiled(text_of_length(node, "pattern", LONGEST_PATTERN))


class _Allowance:
    """What judging one reply may still cost."""

    def __init__(self) -> None:
        self.work = MOST_WORK
        self.pattern_seconds = TIMEOUT_SECONDS

    def charge(self, *values: Any) -> None:
        self.work -= 1 + sum(len(value) for value in values if isinstance(value, dict | list | str))
        if self.work < 0:
            raise TimeoutError

    def match(self, pattern: str, text: str) -> bool:
        started = perf_counter()
        found = matches(pattern, text, timeout_seconds=max(self.pattern_seconds, 0.001))
        self.pattern_seconds -= perf_counter() - started
        return found


_allowance: ContextVar[_Allowance] = ContextVar("json_schema_allowance")

Keyword = Callable[[Any, Any, Any, Any], Iterator[ValidationError]]


def _charged(keyword: Keyword) -> Keyword:
    def check(validator: Any, value: Any, instance: Any, schema: Any) -> Iterator[ValidationError]:
        _allowance.get().charge(value, instance)
        yield from keyword(validator, value, instance, schema) or ()

    return check


def _pattern(validator: Any, value: Any, instance: Any, schema: Any) -> Iterator[ValidationError]:
    if isinstance(instance, str) and not _allowance.get().match(value, instance):
        yield ValidationError("does not match the pattern")


def _unique_items(validator: Any, value: Any, instance: Any, schema: Any) -> Iterator[ValidationError]:
    # The library compares every item with every other one, which a long reply would turn into minutes.
    if value and isinstance(instance, list) and len({_canonical(item) for item in instance}) < len(instance):
        yield ValidationError("has items that are not unique")


def _canonical(value: Any) -> str:
    def number(text: str) -> float:
        parsed = float(text)
        return int(parsed) if parsed.is_integer() else parsed

    return json.dumps(json.loads(json.dumps(value), parse_float=number), sort_keys=True)


_Bounded = extend(  # type: ignore[no-untyped-call]
    Draft202012Validator,
    {
        key: _charged(keyword)
        for key, keyword in {
            **Draft202012Validator.VALIDATORS,
            "pattern": _pattern,
            "uniqueItems": _unique_items,
        }.items()
    },
)


@lru_cache(maxsize=64)
def _validator(schema_text: str) -> Any:
    # An empty registry never fetches; the library's own default would go to the network.
    return _Bounded(json.loads(schema_text), registry=referencing.Registry())
