"""What each scoring rule says about a reply. Cases are written by hand from the rules in the docstrings."""

from __future__ import annotations

from typing import Any

import pytest

from evaluations.scorers.base import Answer, Score, Scored, Unscored
from evaluations.scorers.registry import SCORERS


def score(key: str, text: str, reference: Any = None, **config: Any) -> Score:
    scorer = SCORERS.get(key)
    scorer.validate(config)
    return scorer.score(Answer(text=text, reference=reference), config)


def value(key: str, text: str, reference: Any = None, **config: Any) -> float:
    result = score(key, text, reference, **config)
    assert isinstance(result, Scored), result
    return result.value


@pytest.mark.parametrize(
    ("text", "reference", "plain", "normalise"),
    [
        ("billing", "billing", 1, 1),
        ("Billing.", "billing", 0, 1),
        ("  **Billing**\n", "billing", 0, 1),
        ("ﬁne", "fine", 0, 1),
        ("STRASSE", "straße", 0, 1),
        ("two  words", "two words", 0, 1),
        ("-5", "5", 0, 0),
        ("billing issue", "billing", 0, 0),
        ("5", 5, 1, 1),
        ("true", True, 1, 1),
    ],
)
def test_exact(text: str, reference: Any, plain: int, normalise: int) -> None:
    assert value("exact", text, reference) == plain
    assert value("exact", text, reference, normalise=True) == normalise


@pytest.mark.parametrize(
    ("reference", "match", "expected"),
    [("refund", "all", 1), (["refund", "invoice"], "all", 0), (["refund", "invoice"], "any", 1), (["tax"], "any", 0)],
)
def test_contains(reference: Any, match: str, expected: int) -> None:
    assert value("contains", "We send a refund today", reference, match=match) == expected


@pytest.mark.parametrize("reference", ["", [], [None], ["refund", ""]])
def test_contains_nothing_proves_nothing(reference: Any) -> None:
    assert score("contains", "We send a refund", reference) == Unscored("no_reference")


@pytest.mark.parametrize(
    ("text", "reference", "tolerance", "expected"),
    [
        ("$1,234 in all", "1234", 0, 1),
        ("It is 3/4 of it", 0.75, 0, 1),
        ("-7", "7", 0, 0),
        ("18.0", 18, 0, 1),
        ("18.5", 18, 0.5, 1),
        ("18.51", 18, 0.5, 0),
        ("0.30000000000000004", "0.3", 0, 0),
        ("1e3", 1000, 0, 1),
        ("3/0", 3, 0, 1),
        ("first 2, then 3", 3, 0, 0),
        ("none", 3, 0, 0),
        (".5", "1/2", 0, 1),
        ("1/3", 0.33, "0.01", 1),
    ],
)
def test_numeric(text: str, reference: Any, tolerance: Any, expected: int) -> None:
    assert value("numeric", text, reference, tolerance=tolerance) == expected


def test_a_reference_without_a_number_is_unscored() -> None:
    assert score("numeric", "3", "three") == Unscored("reference_not_numeric")
    assert score("json_field", '{"a": 3}', True, field="a", compare="numeric") == Unscored("reference_not_numeric")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"answer": "18"}', 1),
        ('Sure:\n```json\n{"reasoning": "a {b} \\"c\\"\nd", "answer": "18"}\n```', 1),  # raw line break in a string
        ('{"answer": "17"} {"answer": "18"}', 0),  # the first object counts
        ('{"x": 1} {"answer": "18"}', 1),  # it has no such field: by pattern
        ('set {1, 2} then {"answer": "18"}', 1),
        ('{ unclosed {"answer": "18"}', 1),
        ('{"reasoning": "cut", "answer": "18", "more', 1),
        ('"answer": 18,', 1),
        ('{"reasoning": \'bad\', "answer": "$18"}', 0),  # compared as text
        ('{"inner": {"other": 1}, "answer": "18"}', 1),
        ('{"Answer": "18"}', 0),
        ("18", 0),
        ('{"answer": null}', 0),
    ],
)
def test_json_field_finds_the_field(text: str, expected: int) -> None:
    assert value("json_field", text, "18", field="answer") == expected


@pytest.mark.parametrize("reference", ["billing", {"category": "billing"}, '{"category": "billing", "why": "x"}'])
def test_json_field_reads_the_reference_the_same_way(reference: Any) -> None:
    assert value("json_field", '{"category": "billing"}', reference, field="category") == 1
    assert value("json_field", '{"category": "sales"}', reference, field="category") == 0


@pytest.mark.parametrize(
    ("given", "reference", "expected"),
    [
        ('{"b": 1, "a": [1, 2.0]}', {"a": [1.0, 2], "b": 1}, 1),
        ('{"b": 1, "a": [2, 1]}', {"a": [1, 2], "b": 1}, 0),
        ('["x"]', '["x"]', 1),
        ("true", 1, 0),
        ("1", "1", 1),
        ('"1"', 1, 0),
        ('{"a": 1}', {"a": 1, "b": None}, 0),
    ],
)
def test_json_field_compares_json(given: str, reference: Any, expected: int) -> None:
    assert value("json_field", f'{{"f": {given}}}', reference, field="f", compare="json") == expected


def test_an_object_reference_without_the_field_is_no_reference() -> None:
    assert score("json_field", '{"a": 1}', {"b": 1}, field="a") == Unscored("no_reference")


def test_regex_searches() -> None:
    assert value("regex", "ticket AB-12 closed", pattern=r"\b[A-Z]{2}-\d+\b") == 1
    assert value("regex", "ticket AB-12 closed", pattern=r"^[A-Z]{2}-\d+$") == 0


@pytest.mark.parametrize(
    ("pattern", "text"), [(r"(x+x+)+y", "x" * 1000), (r"(a|aa)+$", "a" * 100_000 + "b"), (r"(?R)", "a" * 100)]
)
def test_an_evil_pattern_is_stopped_and_says_nothing(pattern: str, text: str) -> None:
    """Without the limit these run for years; that they end at all is the proof."""
    assert score("regex", text, pattern=pattern) == Unscored("scorer_timeout")
    assert score("json_schema", f'"{text}"', schema={"pattern": pattern}) == Unscored("scorer_timeout")


TICKET = {
    "type": "object",
    "required": ["category"],
    "properties": {"category": {"enum": ["billing", "sales"]}, "tags": {"$ref": "#/$defs/tags"}},
    "$defs": {"tags": {"type": "array", "uniqueItems": True, "items": {"type": "string", "pattern": "^[a-z]+$"}}},
}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"category": "billing"}', 1),
        ('```json\n{"category": "billing", "tags": ["a", "b"]}\n```', 1),
        ('Here it is: {"category": "sales"} - done', 1),
        ('{"category": "other"}', 0),
        ('{"category": "sales", "tags": ["A"]}', 0),
        ('{"category": "sales", "tags": ["a", "a"]}', 0),
        ("[]", 0),
        ("no JSON at all", 0),
    ],
)
def test_json_schema(text: str, expected: int) -> None:
    assert value("json_schema", text, schema=TICKET) == expected


@pytest.mark.parametrize(("text", "expected"), [("[1, 1.0]", 0), ("[1, true]", 1), ('[{"a": 1}, {"a": 2}]', 1)])
def test_unique_items_as_the_standard_counts_them(text: str, expected: int) -> None:
    assert value("json_schema", text, schema={"uniqueItems": True}) == expected


def test_a_schema_that_costs_too_much_is_unscored() -> None:
    doubling = {f"d{n}": {"anyOf": [{"$ref": f"#/$defs/d{n + 1}"}] * 2} for n in range(30)}
    exploding = {"$ref": "#/$defs/d0", "$defs": {**doubling, "d30": {"not": {}}}}
    assert score("json_schema", "1", schema=exploding) == Unscored("scorer_timeout")
    assert score("json_schema", "1", schema={"$ref": "#"}) == Unscored("scorer_timeout")
    many = {"items": {"pattern": "(a|aa)+$"}}
    assert score("json_schema", str(["a" * 27 + "b"] * 1000).replace("'", '"'), schema=many) == Unscored(
        "scorer_timeout"
    )
