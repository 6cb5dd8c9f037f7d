"""One token ledger. Field meanings: VENDORS.md 4.0; real usage objects: tests/reference/test_vendor_http.py."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evaluations.pricing import input_at_full_price, total_input
from evaluations.providers.base import Usage
from evaluations.providers.usage import usage_from_raw, usage_of_body


def _counts(raw: Any) -> tuple[int | None, ...]:
    usage = usage_from_raw(raw)
    return (
        *(usage.input_uncached, usage.cache_read, usage.cache_write),
        *(usage.output_total, usage.output_visible, usage.reasoning),
    )


def test_openai_input_includes_cached_and_output_includes_reasoning() -> None:
    raw = {
        "prompt_tokens": 100,
        "prompt_tokens_details": {"cached_tokens": 30, "cache_write_tokens": 20},
        "completion_tokens": 50,
        "completion_tokens_details": {"reasoning_tokens": 40},
    }
    assert _counts(raw) == (50, 30, 20, 50, 10, 40)
    responses = {
        "input_tokens": 100,
        "input_tokens_details": {"cached_tokens": 30, "cache_write_tokens": 20},
        "output_tokens": 50,
        "output_tokens_details": {"reasoning_tokens": 40},
    }
    assert _counts(responses) == (50, 30, 20, 50, 10, 40)


def test_anthropic_input_excludes_the_cache() -> None:
    raw = {
        "input_tokens": 3,
        "cache_read_input_tokens": 9511,
        "cache_creation_input_tokens": 1956,
        "cache_creation": {"ephemeral_5m_input_tokens": 1956, "ephemeral_1h_input_tokens": 0},
        "output_tokens": 44,
        "output_tokens_details": {"thinking_tokens": 4},
    }
    assert _counts(raw) == (3, 9511, 1956, 44, 40, 4)
    del raw["cache_creation_input_tokens"]
    assert _counts(raw) == (3, 9511, 1956, 44, 40, 4)


def test_gemini_output_is_candidates_and_thoughts() -> None:
    raw = {
        "promptTokenCount": 345,
        "cachedContentTokenCount": 191,
        "candidatesTokenCount": 64,
        "thoughtsTokenCount": 40,
        "toolUsePromptTokenCount": 90,
        "totalTokenCount": 539,
    }
    assert _counts(raw) == (154, 191, None, 104, 64, 40)
    usage = usage_from_raw(raw)
    assert (usage.input_tool_use, input_at_full_price(usage), total_input(usage)) == (90, 244, 435)
    assert _counts({"promptTokenCount": 9, "thoughtsTokenCount": 1024}) == (9, None, None, 1024, None, 1024)


def test_gemini_without_candidates_has_the_output_that_its_total_leaves() -> None:
    """Total = prompt + candidates + tool-use prompt + thoughts (the SDK's own type comment)."""
    assert _counts({"promptTokenCount": 9, "totalTokenCount": 9}) == (9, None, None, 0, None, None)
    total = {"promptTokenCount": 9, "toolUsePromptTokenCount": 2, "totalTokenCount": 15}
    assert _counts(total) == (9, None, None, 4, None, None)
    assert _counts({"promptTokenCount": 9}) == (9, None, None, None, None, None)
    assert _counts({"promptTokenCount": 9, "totalTokenCount": 5}) == (9, None, None, None, None, None)


def test_anthropic_says_what_is_kept_in_the_cache_for_an_hour() -> None:
    def an_hour(**raw) -> int | None:
        return usage_from_raw({"input_tokens": 1, "output_tokens": 1, **raw}).cache_write_1h

    split = {"ephemeral_5m_input_tokens": 100, "ephemeral_1h_input_tokens": 20}
    assert an_hour(cache_creation_input_tokens=120, cache_creation=split) == an_hour(cache_creation=split) == 20
    assert an_hour(cache_creation_input_tokens=120) is None
    assert an_hour(cache_creation_input_tokens=10, cache_creation=split) is None  # more than all


def test_audio_and_generated_images_are_counted_apart() -> None:
    def apart(raw) -> tuple[int | None, ...]:
        usage = usage_from_raw(raw)
        return usage.audio_input, usage.audio_cache_read, usage.audio_output, usage.image_output, usage.priced_apart

    openai = {"prompt_tokens": 9, "completion_tokens": 4}
    assert apart(openai) == (None,) * 5
    assert apart(openai | {"prompt_tokens_details": {"audio_tokens": 0}})[0] == 0
    heard = {"cached_tokens": 4, "audio_tokens": 3, "cached_tokens_details": {"audio_tokens": 1, "text_tokens": 3}}
    both = {"prompt_tokens_details": heard, "completion_tokens_details": {"audio_tokens": 2}}
    assert apart(openai | both) == (3, 1, 2, None, None)
    gemini = {"promptTokenCount": 9, "candidatesTokenCount": 4}
    text, image, audio, video = ({"modality": kind, "tokenCount": 3} for kind in ("TEXT", "IMAGE", "AUDIO", "VIDEO"))
    assert apart(gemini) == (None,) * 5
    assert apart(gemini | {"promptTokensDetails": [text, image]}) == (0, None, None, None, None)
    details = {
        "promptTokensDetails": [text, audio],
        "toolUsePromptTokensDetails": [audio],
        "cacheTokensDetails": [audio],
        "candidatesTokensDetails": [image, video],
    }
    assert apart(gemini | details) == (6, 3, 0, 3, 3)


@pytest.mark.parametrize(
    ("raw", "tier"),
    [
        ({"prompt_tokens": 1}, ""),
        ({"input_tokens": 1, "service_tier": "standard"}, ""),
        ({"input_tokens": 1, "service_tier": "batch"}, "batch"),
        ({"promptTokenCount": 1, "trafficType": "ON_DEMAND"}, ""),
        ({"promptTokenCount": 1, "trafficType": "ON_DEMAND_FLEX"}, "flex"),
        ({"promptTokenCount": 1, "trafficType": "PROVISIONED_THROUGHPUT"}, "provisioned_throughput"),
        ({"prompt_tokens": 1, "service_tier": 5}, ""),
    ],
)
def test_a_vendor_says_in_which_tier_it_served_a_call(raw, tier) -> None:
    assert usage_from_raw(raw).service_tier == tier


def test_openai_says_the_tier_beside_the_usage_and_it_is_kept_with_it() -> None:
    raw = {"prompt_tokens": 1, "completion_tokens": 2}
    assert usage_of_body({"usage": raw, "service_tier": "default"}).raw is raw
    flex = usage_of_body({"usage": raw, "service_tier": "flex"})
    assert (flex.service_tier, usage_from_raw(flex.raw)) == ("flex", flex)
    assert usage_of_body({"service_tier": "flex"}) == Usage()


def test_the_neutral_spelling_is_read_too() -> None:
    raw = {"input_uncached": 1, "cache_read": 2, "output_total": 3, "output_visible": None}
    assert _counts(raw) == (1, 2, None, 3, None, None)


def test_missing_is_unknown_and_not_zero() -> None:
    assert _counts({"prompt_tokens": 5, "completion_tokens": 2}) == (5, None, None, 2, None, None)
    assert _counts({"completion_tokens": 2}) == (None, None, None, 2, None, None)
    assert usage_from_raw(None) == Usage()
    assert usage_from_raw({}) == Usage()
    assert usage_from_raw({"tokens": 5}) == Usage(raw={"tokens": 5})


@pytest.mark.parametrize("value", [-1, "5", 5.0, True, 10**12, 10**400, None, [], {}])
def test_a_count_that_cannot_be_is_unknown(value: Any) -> None:
    assert _counts({"prompt_tokens": value, "completion_tokens": value}) == (None,) * 6
    assert _counts({"promptTokenCount": value, "candidatesTokenCount": value}) == (None,) * 6
    assert _counts({"input_tokens": value, "cache_read_input_tokens": value}) == (None,) * 6


def test_more_cached_than_there_was_makes_the_rest_unknown_never_negative() -> None:
    raw = {"prompt_tokens": 10, "prompt_tokens_details": {"cached_tokens": 11}, "completion_tokens": 1}
    assert _counts(raw) == (None, 11, None, 1, None, None)
    assert _counts({"promptTokenCount": 10, "cachedContentTokenCount": 11})[:2] == (None, 11)
    over = {"completion_tokens": 10, "completion_tokens_details": {"reasoning_tokens": 11}}
    assert _counts(over) == (None, None, None, 10, None, 11)


def test_the_raw_object_is_kept_untouched_unless_it_is_nested_beyond_reason() -> None:
    raw = {"prompt_tokens": 1, "extra": [{"a": {"b": 1}}]}
    assert usage_from_raw(raw).raw is raw
    deep: Any = 1
    for _ in range(10_000):
        deep = [deep]
    assert usage_from_raw({"prompt_tokens": 1, "extra": deep}) == Usage(input_uncached=1)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
_NAMES = st.sampled_from(
    ["prompt_tokens", "completion_tokens", "input_tokens", "output_tokens", "promptTokenCount", "candidatesTokenCount"]
    + ["cachedContentTokenCount", "cache_read_input_tokens", "cache_creation", "prompt_tokens_details", "output_total"]
)


@given(st.dictionaries(_NAMES, _JSON))
def test_no_object_raises_or_gives_a_negative_count(raw: dict[str, Any]) -> None:
    assert all(value is None or value >= 0 for value in _counts(raw))
