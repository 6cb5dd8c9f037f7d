"""Files and bodies that people write, YAML or JSON, as typed values. Public surface: ``read_document``,
``parse_json``, ``shaped``.

Safe on hostile input: bounded size, depth and number of values, no tags, no repeated keys, no text that a database
would not take. Every error is a ``Refused`` that names the line or the path of the value at fault.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Hashable
from datetime import date
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import yaml

from evaluations.services.errors import Refused

T = TypeVar("T")

MAX_BYTES = 5 * 1024 * 1024
MAX_DEPTH = 32
MAX_VALUES = 500_000  # an alias counts each time it is used
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


def read_document(path: Path, kind: type[T]) -> T:
    """The file as a ``kind``, a msgspec Struct. Raises ``Refused`` with the path of the value as its ``field``."""
    document = _load(path)
    _check_tree(document, "", [MAX_VALUES], 1)
    return shaped(document, kind)


def parse_json(raw: bytes) -> Any:
    """The one JSON value in ``raw``. Raises ``Refused``."""
    try:
        document = _load_json(raw.decode())
    except UnicodeDecodeError as error:
        raise Refused(f"the JSON is not UTF-8 (byte {error.start})") from None
    except json.JSONDecodeError as error:
        raise Refused(f"this is not JSON: line {error.lineno}, column {error.colno}: {error.msg}") from None
    except ValueError:  # more digits than Python reads
        raise Refused("the JSON holds too large a number") from None
    except RecursionError:
        raise Refused(f"the JSON is nested deeper than {MAX_DEPTH} levels") from None
    _check_tree(document, "", [MAX_VALUES], 1)
    return document


def shaped(document: Any, kind: type[T], *, strict: bool = True) -> T:
    """``document`` as a ``kind``; unless ``strict``, numbers may be written as text. Raises ``Refused``."""
    try:
        return msgspec.convert(document, kind, strict=strict)
    except msgspec.ValidationError as error:
        raise _explained(str(error), kind) from None


def _load(path: Path) -> Any:
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise Refused(f"cannot be read ({error.strerror})") from None
    if len(raw) > MAX_BYTES:
        raise Refused("is larger than 5 MB")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Refused(f"is not UTF-8 (byte {error.start})") from None
    if not text.strip():
        raise Refused("is empty")
    try:
        return _load_json(text) if path.suffix.lower() == ".json" else _load_yaml(text)
    except json.JSONDecodeError as error:
        raise Refused(f"line {error.lineno}: {error.msg}") from None
    except yaml.MarkedYAMLError as error:
        raise Refused(f"{_line(error.problem_mark)}{error.problem}") from None
    except (yaml.YAMLError, ValueError) as error:
        raise Refused(" ".join(str(error).split())) from None
    except RecursionError:
        raise Refused(f"is nested deeper than {MAX_DEPTH} levels") from None


def _load_json(text: str) -> Any:
    def distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            keys = [key for key, _ in pairs]
            raise Refused(f"the key {next(key for key in keys if keys.count(key) > 1)!r} occurs twice in one object")
        return found

    return json.loads(text, object_pairs_hook=distinct)


def _line(mark: Any) -> str:
    return "" if mark is None else f"line {mark.line + 1}: "


class _Loader(yaml.CSafeLoader):
    """PyYAML lets the last of two equal keys win in silence."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.tag != "tag:yaml.org,2002:merge":
                if key.value in seen:
                    raise Refused(f"{_line(key.start_mark)}the key {key.value!r} occurs twice in one mapping")
                seen.add(key.value)
        return super().construct_mapping(node, deep)


def _date(loader: _Loader, node: yaml.ScalarNode) -> Any:
    try:
        return loader.construct_yaml_timestamp(node)
    except ValueError:
        raise Refused(f"{_line(node.start_mark)}{node.value} is not a date") from None


_Loader.add_constructor("tag:yaml.org,2002:timestamp", _date)


def _load_yaml(text: str) -> Any:
    # The C loader composes by recursion and would crash on a deep file; its event stream does not.
    depth = 0
    for event in yaml.parse(text, Loader=yaml.CSafeLoader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > MAX_DEPTH:
                raise Refused(f"{_line(event.start_mark)}is nested deeper than {MAX_DEPTH} levels")
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
    return yaml.load(text, Loader=_Loader)  # noqa: S506 - a safe loader


def _check_tree(value: Any, path: str, left: list[int], depth: int) -> None:
    """Only values that a database and a later page can take; bounded, whatever aliases make of the file."""
    left[0] -= 1
    if left[0] < 0:
        raise Refused(f"holds more than {MAX_VALUES} values")
    if depth > MAX_DEPTH:
        raise Refused(f"is nested deeper than {MAX_DEPTH} levels", field=path)
    if isinstance(value, dict):
        for key, item in value.items():
            if not isinstance(key, str):
                raise Refused(f"the key {key!r} is not text; put it in quotes", field=path)
            _check_tree(key, path, left, depth + 1)
            _check_tree(item, f"{path}.{key}" if path else key, left, depth + 1)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            _check_tree(item, f"{path}[{index}]", left, depth + 1)
    elif isinstance(value, str):
        if _UNSTORABLE.search(value):
            raise Refused("holds a character that cannot be stored", field=path)
    elif isinstance(value, float):
        if not math.isfinite(value):
            raise Refused("is not a finite number", field=path)
    elif isinstance(value, int):
        if abs(value) >= 2**63:
            raise Refused("is too large a number", field=path)
    elif value is not None and type(value) is not date:
        raise Refused("is not text, a number, true, false, null or a date", field=path)


_WHERE = re.compile(r"(?P<what>.*?)(?: - at (?:`key` in )?`\$\.?(?P<path>.*)`)?", re.DOTALL)
_STEP = re.compile(r"\[[^\]]*\]|[^.\[\]]+")
_QUOTED = re.compile(r"`([^`]*)`")
_CHOICES = (msgspec.inspect.EnumType, msgspec.inspect.LiteralType)
_SENTENCES = {
    "Invalid RFC3339 encoded date": "is not a date like 2026-01-31",
    "Invalid decimal string": "is not a number",
    "Invalid RFC3339 encoded datetime": "is not an instant like 2026-01-31T09:30:00Z",
    "Expected `datetime` with a timezone component": "needs a time zone: Z, or +02:00",
}
_WORDS = {
    "str": "text",
    "int": "a whole number",
    "float": "a number",
    "decimal": "a number",
    "bool": "true or false",
    "array": "a list",
    "object": "a mapping",
    "date": "a date",
    "datetime": "an instant",
}


def _explained(error: str, root: type) -> Refused:
    """msgspec's words as a path and a sentence."""
    match = _WHERE.fullmatch(error)
    what, path = (match["what"], match["path"] or "") if match else (error, "")
    name = _QUOTED.search(what)
    if what in _SENTENCES:
        return Refused(_SENTENCES[what], field=path)
    if what.startswith("Object missing required field") and name:
        return Refused("is missing", field=f"{path}.{name[1]}".lstrip("."))
    kind = _type_at(path, root)
    if what.startswith("Object contains unknown field") and name:
        known = ", ".join(field.encode_name for field in getattr(kind, "fields", ()))
        return Refused(f"is not a known key (known: {known})", field=f"{path}.{name[1]}".lstrip("."))
    if what.startswith("Invalid enum value") and isinstance(
        kind, msgspec.inspect.EnumType | msgspec.inspect.LiteralType
    ):
        known = ", ".join(kind.cls if isinstance(kind, msgspec.inspect.EnumType) else map(str, kind.values))
        return Refused(f"{what[19:]} is not one of {known}", field=path)
    sentence = _QUOTED.sub(lambda found: " or ".join(_WORDS.get(word, word) for word in found[1].split(" | ")), what)
    return Refused(sentence[:1].lower() + sentence[1:], field=path)


def _type_at(path: str, root: type) -> Any:
    """What the document may hold at ``path``, without null and absence."""
    kind: Any = msgspec.inspect.type_info(root)
    for step in _STEP.findall(path):
        if step.startswith("["):
            kind = kind.item_type if hasattr(kind, "item_type") else kind.value_type
        else:
            kind = next(field.type for field in kind.fields if field.encode_name == step)
        if isinstance(kind, msgspec.inspect.UnionType):
            kind = kind.types[0]
    return kind
