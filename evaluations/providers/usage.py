"""One token ledger for every vendor's usage object. Public surface: ``usage_from_raw``, ``usage_of_body``,
``tier_of``.

The vendors count differently: OpenAI's and Gemini's input includes cache reads, Anthropic's excludes them; Gemini's
``candidatesTokenCount`` excludes thoughts, everybody else's output includes reasoning. Sources: the vendors' SDK types.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any

from evaluations.providers.base import Usage
from evaluations.providers.wirejson import count, items, obj

_MAX_RAW_DEPTH = 6
_NEUTRAL = tuple(field.name for field in fields(Usage) if field.name not in ("raw", "service_tier"))
# What vendors call a call that is served as any other. "auto" is what was asked for, not what was done.
_STANDARD_TIERS = frozenset({"", "standard", "default", "auto", "on_demand", "traffic_type_unspecified"})


def usage_from_raw(raw: Any) -> Usage:
    """Read a usage object in the spelling of OpenAI (chat, responses), Anthropic, Gemini or ``Usage`` itself.

    Counts that are absent, negative, not whole or beyond belief are ``None``; so is an input count that contradicts its
    own cache counts. An unknown spelling gives a ``Usage`` with only ``raw``. Never raises.
    """
    if not isinstance(raw, Mapping) or not raw:
        return Usage()
    usage = _counted(raw, raw if _may_be_kept(raw) else None)
    tier = tier_of(raw.get("service_tier")) or tier_of(raw.get("trafficType"))
    return replace(usage, service_tier=tier) if tier else usage


def usage_of_body(body: Mapping[str, Any]) -> Usage:
    """The usage of an OpenAI answer, which says its service tier beside the usage object and not in it."""
    raw, tier = body.get("usage"), body.get("service_tier")
    if isinstance(raw, Mapping) and raw and tier_of(tier):
        raw = {**raw, "service_tier": tier}
    return usage_from_raw(raw)


def _counted(raw: Mapping[str, Any], kept: Mapping[str, Any] | None) -> Usage:
    if any(key in raw for key in ("input_uncached", "output_total")):
        counts: dict[str, Any] = {key: count(raw.get(key)) for key in _NEUTRAL}
        return Usage(**counts, raw=kept)
    if any(key in raw for key in ("promptTokenCount", "candidatesTokenCount", "totalTokenCount")):
        return _gemini(raw, kept)
    if "prompt_tokens" in raw or "completion_tokens" in raw:
        return _openai(raw, kept, "prompt_tokens", "completion_tokens")
    if any(key in raw for key in ("cache_read_input_tokens", "cache_creation_input_tokens", "cache_creation")):
        return _anthropic(raw, kept)
    if "input_tokens" in raw or "output_tokens" in raw:
        return _openai(raw, kept, "input_tokens", "output_tokens")
    return Usage(raw=kept)


def _openai(raw: Mapping[str, Any], kept: Mapping[str, Any] | None, prompt: str, completion: str) -> Usage:
    inputs, outputs = obj(raw.get(f"{prompt}_details")), obj(raw.get(f"{completion}_details"))
    read, write = count(inputs.get("cached_tokens")), count(inputs.get("cache_write_tokens"))
    total = count(raw.get(completion))
    # "thinking_tokens" is Anthropic's word; its objects without cache counts are read here.
    reasoning = _first(count(outputs.get("reasoning_tokens")), count(outputs.get("thinking_tokens")))
    return Usage(
        input_uncached=_minus(count(raw.get(prompt)), read, write),
        cache_read=read,
        cache_write=write,
        output_total=total,
        output_visible=None if reasoning is None else _minus(total, reasoning),
        reasoning=reasoning,
        audio_input=count(inputs.get("audio_tokens")),
        audio_cache_read=count(obj(inputs.get("cached_tokens_details")).get("audio_tokens")),
        audio_output=count(outputs.get("audio_tokens")),
        raw=kept,
    )


def _anthropic(raw: Mapping[str, Any], kept: Mapping[str, Any] | None) -> Usage:
    split = obj(raw.get("cache_creation"))
    written = _first(count(raw.get("cache_creation_input_tokens")), _sum(*(count(item) for item in split.values())))
    for_an_hour = count(split.get("ephemeral_1h_input_tokens"))
    total = count(raw.get("output_tokens"))
    thinking = count(obj(raw.get("output_tokens_details")).get("thinking_tokens"))
    return Usage(
        input_uncached=count(raw.get("input_tokens")),
        cache_read=count(raw.get("cache_read_input_tokens")),
        cache_write=written,
        output_total=total,
        output_visible=None if thinking is None else _minus(total, thinking),
        reasoning=thinking,
        cache_write_1h=None if _minus(written, for_an_hour) is None else for_an_hour,
        raw=kept,
    )


def _gemini(raw: Mapping[str, Any], kept: Mapping[str, Any] | None) -> Usage:
    """Thoughts are billed as output and tool-use prompts as input, and neither is inside the count beside it.

    An answer without candidates has no output count; what the total leaves for it is its output.
    """
    read, thoughts = count(raw.get("cachedContentTokenCount")), count(raw.get("thoughtsTokenCount"))
    total_prompt, visible = count(raw.get("promptTokenCount")), count(raw.get("candidatesTokenCount"))
    tool_use = count(raw.get("toolUsePromptTokenCount"))
    prompt = _minus(total_prompt, read)
    output = _sum(visible, thoughts)
    if output is None and total_prompt is not None:
        output = _minus(count(raw.get("totalTokenCount")), total_prompt, tool_use)
    return Usage(
        input_uncached=prompt,
        input_tool_use=tool_use,
        cache_read=read,
        output_total=output,
        output_visible=visible,
        reasoning=thoughts,
        audio_input=_sum(
            *_of_modality(raw, "promptTokensDetails", "AUDIO"),
            *_of_modality(raw, "toolUsePromptTokensDetails", "AUDIO"),
        ),
        audio_cache_read=_sum(*_of_modality(raw, "cacheTokensDetails", "AUDIO")),
        audio_output=_sum(*_of_modality(raw, "candidatesTokensDetails", "AUDIO")),
        image_output=_sum(*_of_modality(raw, "candidatesTokensDetails", "IMAGE")),
        priced_apart=_sum(*_of_modality(raw, "candidatesTokensDetails", "VIDEO")),
        raw=kept,
    )


def _of_modality(raw: Mapping[str, Any], key: str, wanted: str) -> list[int | None]:
    """The counts of Gemini's per-modality list that are of the ``wanted`` one, as 0 where the list has others only."""
    details = [obj(item) for item in items(raw.get(key))]
    return [count(item.get("tokenCount")) if item.get("modality") == wanted else 0 for item in details]


def tier_of(word: Any) -> str:
    """A vendor's word for how it serves a call, in one spelling: lower case, '' for its standard."""
    name = word.lower().removeprefix("on_demand_") if isinstance(word, str) else ""
    return "" if name in _STANDARD_TIERS else name[:40]


def _minus(total: int | None, *parts: int | None) -> int | None:
    """What is left of ``total``; unknown when the parts are more than the whole."""
    if total is None:
        return None
    left = total - sum(part or 0 for part in parts)
    return left if left >= 0 else None


def _sum(*parts: int | None) -> int | None:
    """Of what is known; ``None`` where nothing is."""
    known = [part for part in parts if part is not None]
    return sum(known) if known else None


def _first(*values: int | None) -> int | None:
    return next((value for value in values if value is not None), None)


def _may_be_kept(value: Any) -> bool:
    """Whether a later dump and a JSON column take ``value``: nested no deeper than needed, every number finite."""
    level = [value]
    for _ in range(_MAX_RAW_DEPTH):
        inner = [list(item.values()) if isinstance(item, Mapping) else item for item in level]
        values = [x for item in inner if isinstance(item, list) for x in item]
        if any(isinstance(x, float) and not math.isfinite(x) for x in values):
            return False
        level = [x for x in values if isinstance(x, (Mapping, list))]
        if not level:
            return True
    return False
