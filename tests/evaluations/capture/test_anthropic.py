import json

from evaluations.capture.anthropic import AnthropicBatch
from evaluations.capture.base import BadLine

PARAMS = {
    "model": "claude",
    "max_tokens": 100,
    "system": [{"type": "text", "text": "Be brief."}],
    "stop_sequences": ["END"],
    "tools": [{"name": "weather", "description": "d", "input_schema": {"type": "object"}}],
    "tool_choice": {"type": "any"},
    "messages": [
        {"role": "user", "content": "Weather?"},
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "secret"},
                {"type": "text", "text": "Let me look."},
                {"type": "tool_use", "id": "c1", "name": "weather", "input": {"city": "Paris"}},
            ],
        },
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "c1", "content": [{"type": "text", "text": "rainy"}]},
                {"type": "text", "text": "And now?"},
            ],
        },
        {
            "role": "user",
            "content": [
                {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AA=="}},
                {"type": "text", "text": "What is it?"},
            ],
        },
    ],
}
CALL = {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Paris"}'}}
CHAT = {
    "messages": [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Weather?"},
        {"role": "assistant", "content": "Let me look.", "tool_calls": [CALL]},
        {"role": "tool", "tool_call_id": "c1", "content": "rainy"},
        {"role": "user", "content": "And now?"},
        {
            "role": "user",
            "content": [
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}},
                {"type": "text", "text": "What is it?"},
            ],
        },
    ],
    "max_completion_tokens": 100,
    "stop": ["END"],
    "tools": [
        {"type": "function", "function": {"name": "weather", "description": "d", "parameters": {"type": "object"}}}
    ],
    "tool_choice": "required",
}


def write(tmp_path, name, *rows):
    path = tmp_path / name
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def succeeded(content, **changes):
    usage = {"input_tokens": 5, "cache_read_input_tokens": 7, "output_tokens": 3}
    body = {"role": "assistant", "model": "claude", "content": content, "stop_reason": "end_turn", "usage": usage}
    return {"custom_id": "a", "result": {"type": "succeeded", "message": body | changes}}


def test_a_request_becomes_a_chat_request(tmp_path):
    (sample,) = AnthropicBatch().read(write(tmp_path, "in.jsonl", {"custom_id": "a", "params": PARAMS}))
    assert (sample.external_id, sample.request) == ("a", CHAT)


def test_a_result_is_joined_and_keeps_no_thinking(tmp_path):
    requests = write(tmp_path, "in.jsonl", {"custom_id": "a", "params": PARAMS})
    content = [
        {"type": "thinking", "thinking": "secret"},
        {"type": "text", "text": "It rains."},
        {"type": "tool_use", "id": "c1", "name": "weather", "input": {"city": "Paris"}},
    ]
    (sample,) = AnthropicBatch().read(write(tmp_path, "out.jsonl", succeeded(content)), requests=requests)
    assert sample.request == CHAT
    assert sample.response.text == "It rains."
    assert sample.response.message == {"role": "assistant", "content": "It rains.", "tool_calls": [CALL]}
    usage = sample.response.usage
    assert (usage.input_uncached, usage.cache_read, usage.cache_write, usage.output_total) == (5, 7, None, 3)


def test_lines_without_an_answer_and_bad_lines(tmp_path):
    rows = [
        {"custom_id": "a", "result": {"type": "expired"}},
        {"custom_id": "b", "result": None},
        succeeded(5),
        {"custom_id": "d", "params": {"messages": []}},
        {"custom_id": "e", "params": {"messages": [{"role": "user", "content": [5]}]}},
    ]
    expired, *bad = AnthropicBatch().read(write(tmp_path, "out.jsonl", *rows))
    assert (expired.request, expired.response) == (None, None)
    assert all(isinstance(line, BadLine) for line in bad)
    assert [(line.line, line.field) for line in bad] == [
        (2, "result"),
        (3, "result.message.content"),
        (4, "params.messages"),
        (5, "params.messages[0].content[0]"),
    ]
