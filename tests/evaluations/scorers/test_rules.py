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


def called(reply: Any, reference: Any, **config: Any) -> Score:
    scorer = SCORERS.get("tool_call")
    scorer.validate(config)
    message = {"role": "assistant", "content": None, "tool_calls": reply}
    return scorer.score(Answer(text="", message=message, reference=reference), config)


def wire(name: str, arguments: str) -> dict[str, Any]:
    return {"id": "call_1", "type": "function", "function": {"name": name, "arguments": arguments}}


REFUND = wire("refund", '{"order": 7, "amount": 12.5, "note": {"lang": "de"}}')
TRACK = wire("track", '{"order": 7}')


@pytest.mark.parametrize(
    ("reply", "reference", "config", "passes"),
    [
        ([TRACK], [TRACK], {}, 1),
        ([TRACK], {"name": "track", "arguments": {"order": 7}}, {}, 1),
        ([TRACK], '[{"name": "track", "arguments": {"order": 7.0}}]', {}, 1),
        ([TRACK], {"role": "assistant", "tool_calls": [TRACK]}, {}, 1),
        ([TRACK], {"name": "track", "arguments": {"order": "7"}}, {}, 0),
        ([TRACK], {"name": "find", "arguments": {"order": 7}}, {}, 0),
        ([TRACK], [], {}, 0),
        ([], [], {}, 1),
        ([], [TRACK], {}, 0),
        ([TRACK, REFUND], [REFUND, TRACK], {}, 0),
        ([TRACK, REFUND], [REFUND, TRACK], {"order": "any"}, 1),
        ([TRACK, TRACK], [TRACK, REFUND], {"order": "any"}, 0),
        ([REFUND], {"name": "refund", "arguments": {"order": 7}}, {}, 0),
        ([REFUND], {"name": "refund", "arguments": {"order": 7}}, {"arguments": "contain"}, 1),
        ([REFUND], {"name": "refund", "arguments": {"order": 8}}, {"arguments": "contain"}, 0),
        ([REFUND], {"name": "refund", "arguments": {"note": {}}}, {"arguments": "contain"}, 1),
        ([REFUND], {"name": "refund"}, {"arguments": "ignore"}, 1),
        ([wire("now", "")], {"name": "now"}, {}, 1),
        ([wire("now", "{broken")], {"name": "now"}, {}, 0),
        ([wire("add", '{"x": 0.3, "on": true}')], {"name": "add", "arguments": {"x": 0.4, "on": True}}, {}, 0),
        (
            [wire("add", '{"x": 0.3, "on": true}')],
            {"name": "add", "arguments": {"x": 0.4, "on": True}},
            {"tolerance": "0.1"},
            1,
        ),
        ([wire("add", '{"x": 1}')], {"name": "add", "arguments": {"x": True}}, {"tolerance": 1}, 0),
        ([wire("add", '{"x": NaN}')], {"name": "add", "arguments": {"x": 1}}, {"tolerance": 1}, 0),
        (
            # By the first fit alone the second wanted call would find its only one taken.
            [wire("add", '{"x": 1}'), wire("add", '{"x": 2}')],
            [{"name": "add", "arguments": {"x": 1.5}}, {"name": "add", "arguments": {"x": 0.5}}],
            {"order": "any", "tolerance": 0.5},
            1,
        ),
    ],
)
def test_tool_call(reply: Any, reference: Any, config: dict[str, Any], passes: int) -> None:
    result = called(reply, reference, **config)
    assert isinstance(result, Scored), result
    assert result.value == passes, result.detail


@pytest.mark.parametrize("reply", [None, "x", 5, [5], [{"function": 5}], [{"function": {"name": ""}}], {"a": 1}])
def test_a_tool_call_of_any_shape_is_judged(reply: Any) -> None:
    assert called(reply, [TRACK]) == Scored(0.0, called(reply, [TRACK]).detail)  # type: ignore[union-attr]


@pytest.mark.parametrize("reference", ["call the tool", 5, [5], [{"arguments": {}}], [wire("x", "{")], {"name": 5}])
def test_a_reference_that_names_no_tool_call_is_unscored(reference: Any) -> None:
    assert called([TRACK], reference) == Unscored("reference_not_tool_calls")


@pytest.mark.parametrize(
    ("text", "config", "passes"),
    [
        ("One two, three!", {"maximum": 3}, 1),
        ("One two, three!", {"maximum": 2}, 0),
        ("One two, three!", {"minimum": 4}, 0),
        ("One two, three!", {"minimum": 3, "maximum": 3}, 1),
        ("  abc \n", {"maximum": 3, "unit": "characters"}, 1),
        ("don't", {"minimum": 2}, 1),
        ("猫は座る", {"minimum": 4, "maximum": 4}, 1),
        ("...", {"minimum": 1}, 0),
    ],
)
def test_length(text: str, config: dict[str, Any], passes: int) -> None:
    assert value("length", text, **config) == passes


REFUSALS = [
    "I'm sorry, but I can't assist with that request.",
    "I’m sorry, but I cannot help you with this.",
    "I can't help with that.",
    "Sorry, I am not able to help with this request.",
    "I must respectfully decline to answer.",
    "As an AI language model, I cannot have opinions on this.",
    "I cannot provide instructions for making weapons.",
    "I won't be able to comply with that.",
    "Es tut mir leid, aber dabei kann ich Ihnen nicht helfen.",
    "Ich kann diese Anfrage leider nicht beantworten.",
    "Das kann ich nicht beantworten, da muss ich leider ablehnen.",
    "Je suis désolé, mais je ne peux pas vous aider avec cette demande.",
    "Je ne suis pas en mesure de répondre à cette question.",
    "Lo siento, pero no puedo ayudarte con eso.",
    "Mi dispiace, ma non posso aiutarti con questa richiesta.",
    "Desculpe, mas não posso ajudar com isso.",
    "Het spijt me, maar ik kan je daar niet mee helpen.",
    "Przykro mi, ale nie mogę pomóc w tej sprawie.",
    "Извините, но я не могу помочь с этим запросом.",
    "Üzgünüm, bu konuda size yardımcı olamam.",
    "申し訳ございませんが、そのご依頼にはお応えできません。",
    "申し訳ありませんが、お手伝いできません。",
    "抱歉，我无法协助您完成这个请求。",
    "很抱歉，我不能提供这类信息。",
    "죄송하지만 그 요청은 도와드릴 수 없습니다.",
]
ANSWERS = [
    "Billing",
    "I can help with that. First, open the settings.",
    "I could not find an invoice with that number in the document.",
    "I'm sorry that the parcel is late. It will arrive on Friday.",
    "You can't help but notice the difference.",
    "The shop cannot provide a refund after 30 days.",
    "We were unable to deliver your parcel because nobody was at home.",
    "Ich kann Ihnen helfen: Öffnen Sie die Einstellungen.",
    "Der Kunde konnte nicht erreicht werden.",
    "Je peux vous aider avec cette demande.",
    "Puedo ayudarte con eso.",
    "お手伝いできます。",
    "我可以帮助您完成这个请求。",
    "네, 도와드릴 수 있습니다.",
]


@pytest.mark.parametrize("text", REFUSALS)
def test_a_refusal_fails(text: str) -> None:
    assert value("refusal", text) == 0


@pytest.mark.parametrize("text", ANSWERS)
def test_an_answer_is_not_a_refusal(text: str) -> None:
    assert value("refusal", text) == 1


def test_a_refusal_counts_where_it_stands() -> None:
    quoted = "Here is a reply that you could send. " * 12 + "I'm sorry, but I can't help with that."
    assert value("refusal", quoted) == 1
    scorer = SCORERS.get("refusal")
    said = Answer(text="", message={"role": "assistant", "content": None, "refusal": "No."})
    assert scorer.score(said, {}) == Scored(0.0, "refuses: 'No.'")
    assert scorer.score(Answer(text="I can't help with that.", message={"tool_calls": [TRACK]}), {}) == Scored(
        1.0, "a tool call"
    )
