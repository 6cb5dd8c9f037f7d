"""One call in, what the simulated model makes of it out. Public surface: ``reply_to``.

The reply carries every fault that shows in an answer; faults of errors and of the transport are the server's.
"""

from __future__ import annotations

from dataclasses import replace

from evaluations.simulator.answers import conversation_key, from_schema, invented
from evaluations.simulator.behaviours import Decision, ModelBehaviour
from evaluations.simulator.config import SimulatorConfig
from evaluations.simulator.dialects.base import Call, Failure, Reply, ToolCall, cut, dumps
from evaluations.simulator.judges import judgement
from evaluations.simulator.transport import INVALID_UTF8

REFUSAL = "I'm sorry, but I can't help with that request."
# NUL, bidirectional override, terminal colours and half of a surrogate pair: text that nobody may choke on.
ODD_TEXT = "odd \x00 \u202egnp.exe\u202c \x1b[31mred\x1b[0m \ud83d end"


def reply_to(call: Call, config: SimulatorConfig, behaviour: ModelBehaviour, decision: Decision) -> Reply | Failure:
    """The model's answer; a ``Failure`` when neither a recording nor a behaviour covers the request."""
    key = conversation_key(call.model, call.conversation)
    recorded = config.recordings.by_key.get(key)
    if recorded is None and config.behaviour(call.model) is None:
        return Failure("model_not_found", f"The model '{call.model}' has no recorded answer to this request.")
    tool_calls: tuple[ToolCall, ...] = ()
    if recorded is not None:
        text = recorded.text
    elif call.tool is not None:
        text = ""
        tool_calls = (ToolCall(call.tool.name, from_schema({"type": "object", **call.tool.schema}, key)),)
    elif behaviour.judge is not None and (said := judgement(behaviour.judge, call.conversation)) is not None:
        text = said
    else:
        known = config.answers.answer(call.conversation, accuracy=decision.accuracy, luck=decision.luck)
        if known is not None:
            text = known
        else:
            text = invented(key) if call.schema is None else dumps(from_schema(call.schema, key))
    input_tokens = recorded.input_tokens if recorded else None
    if input_tokens is None:
        input_tokens = 3 + sum(_tokens(part) for _, part in call.conversation)
    output_tokens = recorded.output_tokens if recorded else None
    if output_tokens is None:
        output_tokens = _tokens(text) + sum(_tokens(dumps(tool.arguments)) for tool in tool_calls)
    reply = Reply(
        model=behaviour.served_model or call.model,
        text=text,
        input_tokens=input_tokens,
        output_tokens=output_tokens + behaviour.reasoning_tokens,
        reasoning_tokens=behaviour.reasoning_tokens,
        cached_tokens=int(input_tokens * behaviour.cached_input_share),
        tool_calls=tool_calls,
        id=key,
    )
    return cut(_with_fault(reply, decision.fault), call.max_output_tokens)


def _tokens(text: str) -> int:
    return -(-len(text) // 4)  # four characters a token, the usual rule of thumb for English


def _with_fault(reply: Reply, fault: str | None) -> Reply:
    match fault:
        case "refusal":
            return replace(reply, text=REFUSAL, tool_calls=(), output_tokens=_tokens(REFUSAL), finish="refusal")
        case "content_filter":
            return replace(reply, tool_calls=(), finish="content_filter")
        case "blocked_prompt":
            return replace(reply, text="", tool_calls=(), output_tokens=0, reasoning_tokens=0, finish="blocked_prompt")
        case "length":
            limit = reply.reasoning_tokens + max(1, (reply.output_tokens - reply.reasoning_tokens) // 2)
            return replace(cut(reply, limit), finish="length")
        case "empty":
            return replace(reply, text="", tool_calls=(), output_tokens=reply.reasoning_tokens)
        case "odd_text":
            return replace(reply, text=ODD_TEXT, tool_calls=())
        case "invalid_utf8":
            return replace(reply, text=f"bytes {INVALID_UTF8} end", tool_calls=())
        case "other_model":
            return replace(reply, model=f"{reply.model}-other")
        case "cached_above_input":
            return replace(reply, cached_tokens=reply.input_tokens + 100)
        case "usage_missing":
            return replace(reply, usage_fault="missing")
        case "usage_zero":
            return replace(reply, usage_fault="zero")
        case "usage_negative":
            return replace(reply, usage_fault="negative")
        case "usage_text":
            return replace(reply, usage_fault="text")
        case "usage_huge":
            return replace(reply, usage_fault="huge")
        case _:
            return reply
