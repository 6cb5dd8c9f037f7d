import gzip
import json
from datetime import UTC, datetime

import pytest

from evaluations.capture.base import BadLine, CapturedResponse, CapturedSample
from evaluations.capture.native_jsonl import NativeJsonl

REQUEST = {"messages": [{"role": "user", "content": "2 + 2?"}]}
READER = NativeJsonl()


def read(tmp_path, *rows):
    path = tmp_path / "samples.jsonl"
    path.write_text("\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows))
    return list(READER.read(path))


def test_a_full_line_arrives_whole(tmp_path):
    row = {
        "id": "t-1",
        "occurred_at": "2026-03-01T10:00:00+02:00",
        "cluster": "conversation-7",
        "segments": {"language": "de"},
        "request": REQUEST | {"model": "gpt-4", "stream": True, "user": "u1", "temperature": 0, "tools": None},
        "reference": {"answer": "4"},
        "response": {
            "message": {"role": "assistant", "content": "4", "reasoning": {"encrypted_content": "x"}, "refusal": None},
            "model": "gpt-4-0613",
            "latency_ms": 812,
            "finish_reason": "stop",
        },
    }
    assert read(tmp_path, row) == [
        CapturedSample(
            line=1,
            external_id="t-1",
            request=REQUEST | {"temperature": 0},
            occurred_at=datetime(2026, 3, 1, 8, tzinfo=UTC),
            cluster="conversation-7",
            segments={"language": "de"},
            reference={"answer": "4"},
            response=CapturedResponse(
                text="4",
                message={"role": "assistant", "content": "4"},
                model="gpt-4-0613",
                latency_ms=812.0,
                finish_reason="stop",
            ),
        )
    ]


def test_reasoning_of_earlier_answers_is_not_kept(tmp_path):
    """Encrypted or shown, it is no part of the conversation that others can be asked to go on with."""
    answer = {"role": "assistant", "content": "4"}
    sealed = {"reasoning": {"encrypted_content": "SEALED"}, "reasoning_content": "hm", "thinking_blocks": [{}]}
    messages = [{"role": "user", "content": "2+2?"}, answer | sealed, {"role": "user", "content": "Sure?"}]
    [sample] = read(tmp_path, {"request": {"messages": messages}})
    assert sample.request == {"messages": [messages[0], answer, messages[2]]}


def test_only_the_request_is_required_and_unknown_stays_none(tmp_path):
    assert read(tmp_path, {"request": REQUEST, "segments": None, "response": None}) == [
        CapturedSample(line=1, external_id=None, request=REQUEST)
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-03-01", datetime(2026, 3, 1, tzinfo=UTC)),
        ("2026-03-01T12:30:00", datetime(2026, 3, 1, 12, 30, tzinfo=UTC)),
        ("2026-03-01T12:30:00Z", datetime(2026, 3, 1, 12, 30, tzinfo=UTC)),
        (1772368200, datetime(2026, 3, 1, 12, 30, tzinfo=UTC)),
    ],
)
def test_instants_without_zone_are_utc(tmp_path, text, expected):
    (sample,) = read(tmp_path, {"request": REQUEST, "occurred_at": text})
    assert sample.occurred_at == expected


def request_with(**message):
    return {"request": {"messages": [{"role": "user", "content": "hi"} | message]}}


@pytest.mark.parametrize(
    ("row", "field"),
    [
        ("[1]", ""),
        ("{", ""),
        ({}, "request"),
        ({"request": {"messages": []}}, "request.messages"),
        ({"request": {"messages": ["hi"]}}, "request.messages[0]"),
        (request_with(role="robot"), "request.messages[0].role"),
        (request_with(role=None), "request.messages[0].role"),
        (request_with(content=None), "request.messages[0].content"),
        (request_with(content=5), "request.messages[0].content"),
        (request_with(content=["hi"]), "request.messages[0].content[0]"),
        (request_with(tool_calls={}), "request.messages[0].tool_calls"),
        ({"request": REQUEST | {"tools": ["x"]}}, "request.tools"),
        ({"request": REQUEST | {"response_format": "json"}}, "request.response_format"),
        ({"request": REQUEST, "refrence": "4"}, "refrence"),
        ({"request": REQUEST, "id": 1.5}, "id"),
        ({"request": REQUEST, "cluster": ["c"]}, "cluster"),
        ({"request": REQUEST, "segments": {"a": 1}}, "segments.a"),
        ({"request": REQUEST, "occurred_at": "yesterday"}, "occurred_at"),
        ({"request": REQUEST, "occurred_at": "0001-01-01T00:00:00+10:00"}, "occurred_at"),
        ({"request": REQUEST, "occurred_at": True}, "occurred_at"),
        ({"request": REQUEST, "response": {}}, "response"),
        ({"request": REQUEST, "response": {"text": 5}}, "response.text"),
        ({"request": REQUEST, "response": {"text": "4", "latency_ms": -1}}, "response.latency_ms"),
        ({"request": REQUEST, "response": {"text": "4", "usage": 5}}, "response.usage"),
        ({"request": REQUEST, "response": {"text": "4", "tokens": 5}}, "response.tokens"),
        ({"request": REQUEST, "response": {"message": {"role": "user", "content": "4"}}}, "response.message.role"),
        ('{"request": {"messages": [{"role": "user", "content": "\\u0000"}]}}', "request.messages[0].content"),
    ],
)
def test_a_bad_line_names_its_field_and_the_next_line_is_read(tmp_path, row, field):
    bad, good = read(tmp_path, row, {"request": REQUEST})
    assert isinstance(bad, BadLine)
    assert (bad.line, bad.field) == (1, field)
    assert good == CapturedSample(line=2, external_id=None, request=REQUEST)


def test_one_bad_line_in_many_is_found_by_number(tmp_path):
    rows = [{"id": str(n), "request": REQUEST} for n in range(2000)]
    rows[1234] = {"id": "1234", "request": {}}
    results = read(tmp_path, *rows)
    assert [r for r in results if isinstance(r, BadLine)] == [
        BadLine(1235, "request.messages", "must be a list with at least one message")
    ]
    assert len(results) == 2000


def test_gzip_with_a_byte_order_mark_is_read(tmp_path):
    path = tmp_path / "samples.jsonl.gz"
    path.write_bytes(gzip.compress(b"\xef\xbb\xbf" + json.dumps({"request": REQUEST}).encode()))
    assert list(READER.read(path)) == [CapturedSample(line=1, external_id=None, request=REQUEST)]
