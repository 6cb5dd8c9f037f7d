"""One suite over every registered scorer, built in or installed: what the engine relies on."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from evaluations.scorers.base import Answer, Scored, Scorer, ScorerConfigError, Unscored
from evaluations.scorers.registry import SCORERS

VALID: Mapping[str, Mapping[str, Any]] = {
    "exact": {"normalise": True},
    "contains": {"normalise": True, "match": "any"},
    "numeric": {"tolerance": 0.5},
    "json_field": {"field": "answer", "compare": "json"},
    "regex": {"pattern": r"(\d+)\s*units"},
    "json_schema": {"schema": {"type": "object", "properties": {"answer": {"type": "string", "pattern": "^[a-z]+$"}}}},
    "tool_call": {"order": "any", "arguments": "contain", "tolerance": "0.5"},
    "language": {"expected": "en"},
    "length": {"minimum": 1, "maximum": 200, "unit": "words"},
    "refusal": {},
    "rouge_l": {"measure": "recall"},
    "chrf": {"words": True},
}
CONTINUOUS = {"rouge_l", "chrf"}
WITHOUT_REFERENCE = {"regex", "json_schema", "language", "length", "refusal"}
# (scorer, bad configuration, the key that the message must name)
BAD: list[tuple[str, Mapping[str, Any], str]] = [
    *((key, {**config, "colour": "red"}, "colour") for key, config in VALID.items()),
    ("exact", {"normalise": "yes"}, "normalise"),
    ("contains", {"match": "some"}, "match"),
    ("contains", {"normalise": 1}, "normalise"),
    *(("numeric", {"tolerance": value}, "tolerance") for value in (-1, "x", True, None, math.nan, math.inf, [], "1 m")),
    ("json_field", {}, "field"),
    ("json_field", {"field": ""}, "field"),
    ("json_field", {"field": "x" * 201}, "field"),
    ("json_field", {"field": "answer", "compare": "fuzzy"}, "compare"),
    ("json_field", {"field": "answer", "compare": []}, "compare"),
    ("regex", {}, "pattern"),
    ("regex", {"pattern": "("}, "pattern"),
    ("regex", {"pattern": r"\L<words>"}, "pattern"),
    ("regex", {"pattern": "a" * 501}, "pattern"),
    ("json_schema", {}, "schema"),
    ("json_schema", {"schema": True}, "schema"),
    ("json_schema", {"schema": {"type": "strnig"}}, "schema"),
    ("json_schema", {"schema": {"$ref": "https://example.com/schema.json"}}, "schema"),
    ("json_schema", {"schema": {"items": {"$dynamicRef": "other.json#x"}}}, "schema"),
    ("json_schema", {"schema": {"$ref": "#/$defs/absent"}}, "schema"),
    ("json_schema", {"schema": {"$ref": "#absent"}}, "schema"),
    ("json_schema", {"schema": {"properties": {"a": {"$id": "b.json"}}}}, "schema"),
    ("json_schema", {"schema": {"patternProperties": {"(a+)+$": {}}}}, "patternProperties"),
    ("json_schema", {"schema": {"properties": {"a": {"pattern": "("}}}}, "pattern"),
    ("json_schema", {"schema": {"const": math.nan}}, "schema"),
    ("json_schema", {"schema": {"const": "x" * 70_000}}, "schema"),
    ("tool_call", {"order": "random"}, "order"),
    ("tool_call", {"arguments": True}, "arguments"),
    ("tool_call", {"tolerance": "-1"}, "tolerance"),
    ("language", {"expected": "xx"}, "expected"),
    ("language", {"expected": None}, "expected"),
    ("length", {}, "minimum"),
    ("length", {"minimum": -1}, "minimum"),
    ("length", {"maximum": "80"}, "maximum"),
    ("length", {"maximum": True}, "maximum"),
    ("length", {"minimum": 9, "maximum": 8}, "maximum"),
    ("length", {"maximum": 8, "unit": "tokens"}, "unit"),
    ("rouge_l", {"measure": "bleu"}, "measure"),
    ("chrf", {"words": 2}, "words"),
]

scorers = pytest.mark.parametrize("scorer", list(SCORERS), ids=lambda scorer: scorer.key)


def nested(depth: int) -> dict[str, Any]:
    schema: dict[str, Any] = {}
    for _ in range(depth):
        schema = {"not": schema}
    return schema


def test_every_scorer_is_registered_once_with_its_version() -> None:
    assert {scorer.key: (scorer.version, scorer.binary, scorer.scores_truncated) for scorer in SCORERS} == {
        key: ("1", key not in CONTINUOUS, False) for key in VALID
    }


@scorers
def test_a_valid_config_is_accepted(scorer: Scorer) -> None:
    scorer.validate(VALID[scorer.key])


@pytest.mark.parametrize(("key", "config", "named"), BAD)
def test_a_bad_config_is_refused_by_name(key: str, config: Mapping[str, Any], named: str) -> None:
    with pytest.raises(ScorerConfigError) as refused:
        SCORERS.get(key).validate(config)
    assert f"'{named}'" in str(refused.value)


@pytest.mark.parametrize("depth", [65, 5_000])
def test_a_schema_nested_too_deep_is_refused(depth: int) -> None:
    with pytest.raises(ScorerConfigError, match="nested deeper"):
        SCORERS.get("json_schema").validate({"schema": nested(depth)})


def check(scorer: Scorer, answer: Answer) -> None:
    result = scorer.score(answer, VALID[scorer.key])
    if isinstance(result, Scored):
        assert 0 <= result.value <= 1
        if scorer.binary:
            assert result.value in (0.0, 1.0)
        detail = result.detail
    else:
        assert isinstance(result, Unscored)
        detail = result.reason
        assert detail
    detail.encode()  # can be stored: no lone surrogate, no NUL
    assert "\x00" not in detail
    assert len(detail) <= 200


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
replies = (
    st.text(st.characters(), max_size=300)
    | st.text('{}[]"\\:,answer0123456789./$-eE\n ', max_size=300)
    | st.builds('```json\n{{"answer": {}}}\n```'.format, st.text('{}[]"\\0123456789./$', max_size=40))
)


@scorers
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=replies, reference=json_values)
def test_any_reply_and_any_reference_give_a_score(scorer: Scorer, text: str, reference: Any) -> None:
    check(scorer, Answer(text=text, reference=reference))


HUGE = {
    "braces": "{" * 100_000,
    "both braces": "{" * 50_000 + "}" * 50_000,
    "pairs": "{x}" * 30_000,
    "nested objects": '{"answer":' * 20_000 + "1" + "}" * 20_000,
    "nested arrays": "[" * 100_000,
    "open strings": '{"' + '\\"' * 50_000,
    "half fields": '"answer":"\\' * 10_000,
    "spaces": '"answer"' + " " * 500_000,
    "digits": "9" * 1_000_000,
    "dots": "1." * 500_000,
    "fractions": "1/0" * 300_000,
    "NULs": "\x00" * 1_000_000,
    "words": "a b " * 200_000,
    "signs": "\u732b" * 100_000,
    "many kinds of words": " ".join(map(str, range(15_000))),
    "open code": "`" * 500_000,
    "open tags": "<" * 500_000,
    "apologies": "I'm sorry but I can't " * 40_000,
    "ligatures": "\ufdfa" * 100_000,
    "surrogate in an escape": '{"answer": "\\ud800\\u0000"}',
    "empty": "",
}


@scorers
@pytest.mark.parametrize("text", HUGE.values(), ids=HUGE)
def test_hostile_replies_take_little_time(scorer: Scorer, text: str) -> None:
    started = time.process_time()
    for reference in ("18", {"answer": "18"}, text):
        check(scorer, Answer(text=text, reference=reference))
    assert time.process_time() - started < 3  # quadratic ways take minutes on these


@scorers
def test_a_missing_reference_is_unscored_where_one_is_needed(scorer: Scorer) -> None:
    result = scorer.score(Answer(text='{"answer": "18"}'), VALID[scorer.key])
    if scorer.key in WITHOUT_REFERENCE:
        assert result != Unscored("no_reference")
    else:
        assert result == Unscored("no_reference")
