"""Finding JSON in a model's reply.

Public surface: ``loads``, ``first_object``, ``find_field``, ``same``, ``MISSING`` and the limits ``too_deep``,
``children``, ``DEEPEST``.

Everything here takes linear time and never raises on any text: replies are written by machines that nobody controls.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any, Final

MISSING: Final = object()  # "there is no such value", which is not the same as a JSON null

DEEPEST: Final = 64  # levels of nesting; JSON beyond them is not read

_BRACES = re.compile(r'[{}"]|\\.', re.DOTALL)
_SCALAR = r'"((?:[^"\\]|\\.)*)"|(-?\d[\d.,/eE+-]*|true\b|false\b|null\b)'


def loads(text: str) -> Any:
    """The JSON value of the whole text, or ``MISSING``. Raw line breaks in strings are accepted: models write them."""
    try:
        value = json.loads(text, strict=False)
    except (ValueError, RecursionError):
        return MISSING
    return MISSING if too_deep(value) else value


def children(value: Any) -> Iterable[Any]:
    """The values directly inside a JSON object or array; none for anything else."""
    return value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()


def too_deep(value: Any) -> bool:
    """Whether a JSON value is nested deeper than ``DEEPEST`` levels."""
    level = [value]
    for _ in range(DEEPEST):
        level = [child for parent in level for child in children(parent)]
    return bool(level)


def _outermost_objects(text: str) -> Iterator[str]:
    """Every balanced ``{...}`` that lies in no other balanced one, in order of appearance."""
    opened: list[int] = []
    spans: list[tuple[int, int]] = []
    in_string = False
    for token in _BRACES.finditer(text):
        mark = token.group()
        if mark == '"':
            in_string = bool(opened) and not in_string
        elif in_string:
            continue
        elif mark == "{":
            opened.append(token.start())
        elif mark == "}" and opened:
            start = opened.pop()
            while spans and spans[-1][0] > start:
                spans.pop()
            spans.append((start, token.end()))
    for start, end in spans:
        yield text[start:end]


def first_object(text: str) -> dict[str, Any] | None:
    """The first complete JSON object in the text, whatever stands around it; ``None`` without one."""
    for span in _outermost_objects(text):
        value = loads(span)
        if isinstance(value, dict):
            return value
    return None


def find_field(text: str, field: str) -> Any:
    """``field`` of the first complete JSON object, failing that its first appearance as ``"field": value``.

    The second way reads objects that were cut off or badly escaped; it knows strings, numbers, true, false and null.
    Returns ``MISSING`` when neither finds it.
    """
    found = first_object(text)
    if found is not None and field in found:
        return found[field]
    name = re.escape(json.dumps(field, ensure_ascii=False))
    match = re.search(rf"{name}\s*:\s*(?:{_SCALAR})", text, re.DOTALL)
    if match is None:
        return MISSING
    quoted, bare = match.groups()
    raw = bare.rstrip(".,") if quoted is None else quoted
    value = loads(raw if quoted is None else f'"{quoted}"')
    return raw if value is MISSING else value


def same(left: Any, right: Any) -> bool:
    """Equality of JSON values: member order is ignored, 1 equals 1.0, and true is not 1."""
    pairs = [(left, right)]
    while pairs:
        a, b = pairs.pop()
        if isinstance(a, dict) and isinstance(b, dict):
            if a.keys() != b.keys():
                return False
            pairs.extend((a[key], b[key]) for key in a)
        elif isinstance(a, list) and isinstance(b, list):
            if len(a) != len(b):
                return False
            pairs.extend(zip(a, b, strict=True))
        elif isinstance(a, bool) is not isinstance(b, bool) or a != b:
            return False
    return True
