"""From what a vendor answered to one ``CompletionResult``.

Public surface: ``answered``, ``finish_reason``, ``tool_call``.

Every dialect reads its own JSON and hands the same few facts to ``answered``, so the outcome rules exist once.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from evaluations.enums import FinishReason, Outcome
from evaluations.providers.base import JSON, CompletionResult, Usage
from evaluations.providers.wirejson import name, obj

# The words of all vendors; none of them means two things.
_FINISH_WORDS = {
    FinishReason.COMPLETE: ("stop", "end_turn", "stop_sequence", "completed", "complete", "eos", "eos_token"),
    FinishReason.TOOL_CALL: ("tool_calls", "tool_call", "tool_use", "function_call"),
    FinishReason.LENGTH: ("length", "max_tokens", "max_output_tokens", "model_length", "model_context_window_exceeded"),
    FinishReason.REFUSAL: ("refusal", "refused"),
    FinishReason.CONTENT_FILTER: (
        *("content_filter", "safety", "recitation", "blocklist", "prohibited_content", "spii"),
        *("image_safety", "image_prohibited_content", "image_recitation", "model_armor"),
    ),
    FinishReason.BLOCKED_PROMPT: ("blocked_prompt",),
    FinishReason.MALFORMED_TOOL_CALL: (
        *("malformed_tool_call", "malformed_function_call", "unexpected_tool_call", "too_many_tool_calls"),
    ),
}
# Servers that broke off and say so where others say why the model stopped (vLLM, SGLang, OpenRouter, DeepSeek).
_BROKEN_OFF = frozenset({"abort", "error", "insufficient_system_resource"})
_FINISH_BY_WORD = {word: reason for reason, words in _FINISH_WORDS.items() for word in words}
_OUTCOME_BY_FINISH = {
    FinishReason.BLOCKED_PROMPT: Outcome.CONTENT_FILTERED,
    FinishReason.CONTENT_FILTER: Outcome.CONTENT_FILTERED,
    FinishReason.REFUSAL: Outcome.REFUSED,
    FinishReason.LENGTH: Outcome.TRUNCATED,
    FinishReason.MALFORMED_TOOL_CALL: Outcome.MALFORMED_TOOL_CALL,
}


def finish_reason(word: str | None) -> FinishReason | None:
    """The neutral reason for a vendor's word; ``UNKNOWN`` for a word not on any list, ``None`` for none."""
    return None if word is None else _FINISH_BY_WORD.get(word.lower().replace(" ", "_"), FinishReason.UNKNOWN)


def tool_call(call_id: str | None, function: str | None, arguments: Any) -> JSON:
    """One tool call in OpenAI chat form; ``arguments`` is text as the model wrote it, or a value to be written out."""
    written = arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False)
    return {"id": call_id or "", "type": "function", "function": {"name": function or "", "arguments": written}}


def answered(
    *,
    text: str | None,
    tool_calls: Sequence[JSON] = (),
    refusal: str | None = None,
    finish_word: str | None,
    finish: FinishReason | None = None,
    served_model: Any = None,
    request_id: Any = None,
    usage: Usage,
) -> CompletionResult:
    """An answer that arrived whole; no text is ``None``. ``finish`` overrides what ``finish_word`` would mean.

    The stop reason decides first, a refusal next; then an answer with tool calls is ``ok`` if their arguments
    can be read, and an answer without any visible character is ``empty``.
    """
    text = text or None
    reason = finish or finish_reason(finish_word)
    if refusal and reason in (FinishReason.COMPLETE, FinishReason.UNKNOWN, None):
        reason = FinishReason.REFUSAL
    if tool_calls and reason in (FinishReason.COMPLETE, FinishReason.UNKNOWN, None):
        reason = FinishReason.TOOL_CALL  # MAI and Gemini say "stop" all the same
    outcome = _OUTCOME_BY_FINISH.get(reason) if reason else None
    if finish_word in _BROKEN_OFF:
        outcome = Outcome.VENDOR_ERROR
    if outcome is None and tool_calls:
        outcome = Outcome.OK if all(map(_readable, tool_calls)) else Outcome.MALFORMED_TOOL_CALL
    if outcome is None:
        outcome = Outcome.OK if text and text.strip() else Outcome.EMPTY
    message: JSON = {"role": "assistant", "content": text}
    if tool_calls:
        message["tool_calls"] = list(tool_calls)
    if refusal:
        message["refusal"] = refusal
    return CompletionResult(
        outcome=outcome,
        text=text,
        message=message,
        finish_reason=reason,
        vendor_finish_reason=name(finish_word),
        served_model=name(served_model),
        request_id=name(request_id),
        usage=usage,
        error=f"the server ended the answer with {finish_word!r}" if finish_word in _BROKEN_OFF else None,
    )


def _readable(call: JSON) -> bool:
    """Whether the arguments are a JSON object; no arguments at all count as an empty one."""
    arguments = obj(call.get("function")).get("arguments")
    if arguments == "":
        return True
    try:
        return isinstance(json.loads(arguments), dict) if isinstance(arguments, str) else False
    except (ValueError, RecursionError):
        return False
