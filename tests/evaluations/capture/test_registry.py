import gzip

import pytest

from evaluations.capture.base import CaptureError
from evaluations.capture.registry import READERS, detect


@pytest.mark.parametrize(
    ("name", "content", "key"),
    [
        ("a.jsonl", b'{"id":"1","request":{"messages":[]}}', "native"),
        ("a.jsonl", b'\xef\xbb\xbf{"request":{"messages":[{"content":"' + b"x" * 200_000 + b'"}]}}', "native"),
        ("a.jsonl", b'{"id":"c","choices":[],"created":1,"model":"m","object":"chat.completion"}', "openai_stored"),
        ("a.jsonl", b'{"custom_id":"1","method":"POST","url":"/v1","body":{}}', "openai_batch"),
        ("a.jsonl", b'{"id":"r","custom_id":"1","response":null,"error":null}', "openai_batch"),
        ("a.jsonl", b'{"custom_id":"1","params":{}}', "anthropic_batch"),
        ("a.jsonl", b'{"custom_id":"1","result":{"type":"expired"}}', "anthropic_batch"),
        ("a.jsonl", b'{"call_type":"acompletion","messages":[],"response":null,"startTime":1.5}', "litellm"),
        ("a.jsonl", b'{"observations":[{"traceId":"t","output":"' + b"x" * 100_000 + b'"}],"trace":{}}', "langfuse"),
        ("a.jsonl", b'{"traceId":"t","type":"GENERATION","input":"","output":""}', "langfuse"),
        ("a.jsonl", b'{"resourceSpans":[]}', "otel_genai"),
        ("a.jsonl", b'{"attributes":{"gen_ai.operation.name":"chat"}}', "otel_genai"),
        (
            "a.jsonl",
            b'{"category":"RequestResponse","operationName":"x","resultSignature":"200","durationMs":1}',
            "azure_diagnostic",
        ),
        ("a.csv", b"id,prompt\n1,hi\n", "tabular"),
        ("a.txt", b'\xef\xbb\xbf"Prompt";"Reference"\n', "tabular"),
        ("a.tsv", "prompt\treference\n".encode("utf-16"), "tabular"),
        ("a.xlsx", b"PK\x03\x04", "tabular"),
    ],
)
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_formats_are_told_apart(tmp_path, name, content, key, pack):
    path = tmp_path / name
    path.write_bytes(pack(content))
    assert detect(path).key == key


def test_an_unknown_format_names_the_known_ones(tmp_path):
    path = tmp_path / "x.log"
    path.write_bytes(b"GET /index.html 200\n")
    with pytest.raises(CaptureError) as caught:
        detect(path)
    assert str(caught.value).startswith("x.log: unknown format; known are native (Native samples (JSON lines)), ")
    assert all(reader.label in str(caught.value) for reader in READERS)


@pytest.mark.parametrize("content", [b"", b"\n \n"])
def test_an_empty_file_is_said_to_be_empty(tmp_path, content):
    path = tmp_path / "x.jsonl"
    path.write_bytes(content)
    with pytest.raises(CaptureError, match=r"x\.jsonl: the file is empty"):
        detect(path)


def test_a_missing_file_is_a_capture_error(tmp_path):
    with pytest.raises(CaptureError, match=r"nothing\.jsonl: cannot be opened"):
        detect(tmp_path / "nothing.jsonl")


@pytest.mark.parametrize(
    ("name", "content", "key"),
    [
        ("a.jsonl", b'{bad\n{"id":"2","request":{"messages":[]}}\n', "native"),
        ("a.jsonl", b'\n{"id":"1"}\n\n{"id":"2","request":{"messages":[]}}', "native"),
        ("a.jsonl", b'{"id":"1","request":{},"referense":"x"}\n', "native"),
        ("a.jsonl", b'{"custom_id":1\n{"custom_id":"2","method":"POST","url":"/v1","body":{}}', "openai_batch"),
        ("a.csv", b"question,answer\n1,2\n", "tabular"),
    ],
)
def test_a_bad_first_line_hides_no_format_so_that_its_reader_can_name_what_is_wrong(tmp_path, name, content, key):
    path = tmp_path / name
    path.write_bytes(content)
    assert detect(path).key == key
