"""One field of a JSON reply equals the reference. Public surface: ``JsonField``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from evaluations.scorers.base import Answer, Score, Unscored
from evaluations.scorers.config import choice, known_keys, text_of_length
from evaluations.scorers.jsontext import MISSING, find_field, loads, same
from evaluations.scorers.numbers import close, first_number
from evaluations.scorers.text import as_text, shown, verdict

_COMPARE = ("exact", "numeric", "json")


class JsonField:
    """``{field, compare: exact | numeric | json}``: the named field of the reply equals the reference.

    The field is that of the first complete JSON object of the reply, failing that the first ``"field": value``; a reply
    without it fails. A reference that is itself an object with the field is read the same way; for ``json`` an object
    without it is the value to equal.
    """

    key = "json_field"
    version = "1"
    binary = True
    scores_truncated = False

    def validate(self, config: Mapping[str, Any]) -> None:
        known_keys(config, "field", "compare")
        text_of_length(config, "field", 200)
        choice(config, "compare", _COMPARE)

    def score(self, answer: Answer, config: Mapping[str, Any]) -> Score:
        field = config["field"]
        compare = choice(config, "compare", _COMPARE)
        expected = _reference(answer.reference, field, compare)
        if expected is None:
            return Unscored("no_reference")
        if compare == "numeric" and first_number(expected) is None:
            return Unscored("reference_not_numeric")
        given = find_field(answer.text, field)
        if given is MISSING:
            return verdict(False, f"no field {field!r} in the reply")
        return verdict(_equal(given, expected, compare), f"{shown(given)} against {shown(expected)}")


def _reference(reference: Any, field: str, compare: str) -> Any:
    """The value that the field should have; ``None`` when the sample does not say."""
    if isinstance(reference, Mapping):
        return reference.get(field, reference if compare == "json" else None)
    if isinstance(reference, str):
        inner = find_field(reference, field)
        return reference if inner is MISSING else inner
    return reference


def _equal(given: Any, expected: Any, compare: str) -> bool:
    if compare == "exact":
        return as_text(given) == as_text(expected)
    if compare == "numeric":
        left, right = first_number(given), first_number(expected)
        return left is not None and right is not None and close(left, right)
    if isinstance(expected, str) and not isinstance(given, str):
        parsed = loads(expected)  # a reference column in a spreadsheet holds its JSON as text
        expected = expected if parsed is MISSING else parsed
    return same(given, expected)
