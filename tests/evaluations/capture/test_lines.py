import gzip
import json

import pytest

from evaluations.capture.base import BadLine, CapturedSample, CaptureError
from evaluations.capture.lines import MAX_LINE_BYTES, FieldError, decode, first_keys, head, lines, read_values


def write(tmp_path, content, name="log.jsonl"):
    path = tmp_path / name
    path.write_bytes(content)
    return path


def test_lines_are_numbered_from_one_and_blank_ones_are_counted_but_left_out(tmp_path):
    path = write(tmp_path, b'\xef\xbb\xbf{"a":1}\r\n\n  \n{"a":2}')
    assert list(lines(path)) == [(1, b'{"a":1}'), (4, b'{"a":2}')]


def test_gzip_is_recognised_by_content_whatever_the_name(tmp_path):
    path = write(tmp_path, gzip.compress(b'{"a":1}\n{"a":2}\n'))
    assert list(lines(path)) == [(1, b'{"a":1}'), (2, b'{"a":2}')]
    assert head(path, 5) == b'{"a":'


def test_lines_survive_block_boundaries(tmp_path):
    rows = [json.dumps({"n": n, "pad": "x" * 70_000}).encode() for n in range(40)]
    assert [line for _, line in lines(write(tmp_path, b"\n".join(rows)))] == rows


def test_an_oversized_line_is_one_bad_line_and_the_rest_is_read(tmp_path):
    path = write(tmp_path, b"1\n" + b"x" * (MAX_LINE_BYTES + 1) + b"\n3\n")
    assert list(lines(path)) == [(1, b"1"), (2, BadLine(2, "", "the line is longer than 8 MB")), (3, b"3")]


def test_a_line_of_exactly_the_limit_is_read(tmp_path):
    path = write(tmp_path, b"x" * MAX_LINE_BYTES + b"\n")
    assert [len(line) for _, line in lines(path)] == [MAX_LINE_BYTES]


@pytest.mark.parametrize("damage", [lambda packed: packed[:-12], lambda packed: packed[:20] + b"\0" * 20])
def test_a_damaged_gzip_file_is_refused_by_name(tmp_path, damage):
    path = write(tmp_path, damage(gzip.compress(b'{"a":1}\n' * 1000)), "log.gz")
    with pytest.raises(CaptureError, match=r"^log\.gz: damaged gzip file"):
        list(lines(path))


def test_a_gzip_bomb_is_refused(tmp_path):
    path = write(tmp_path, gzip.compress(b"\n" * (17 * 1024 * 1024)), "log.gz")
    with pytest.raises(CaptureError, match="unfolds to more than 200 times its size"):
        list(lines(path))


def test_utf16_json_lines_are_refused(tmp_path):
    with pytest.raises(CaptureError, match="UTF-16"):
        list(lines(write(tmp_path, '{"a":1}'.encode("utf-16"))))


@pytest.mark.parametrize(
    ("text", "field", "reason"),
    [
        (b'{"a":{"b":[1,NaN]}}', "a.b[1]", "is not a finite number"),
        (b'{"a":-Infinity}', "a", "is not a finite number"),
        (b'{"a":1e400}', "a", "is not a finite number"),
        (b'{"a":["x","\\u0000"]}', "a[1]", "contains a NUL character"),
        (b'{"a":"\\ud800"}', "a", "contains a lone surrogate"),
        (b'{"a\\u0000":1}', "", "contains a NUL character"),
        (b'{"a":"\xff"}', "", "not valid UTF-8"),
        (b"[" * 40 + b"]" * 40, "[0]" * 32, "nested deeper than 32 levels"),
        (b"[" * 5000 + b"]" * 5000, "", "nested deeper than 32 levels"),
        (b"[" * 100_000 + b"]" * 100_000, "", "nested deeper than 32 levels"),
        (b'{"a":1', "", "Input data was truncated"),
        (b"{'a':1}", "", "JSON is malformed: object keys must be strings (byte 1)"),
        (b'{"a":1}{"b":2}', "", "JSON is malformed: trailing characters (byte 8)"),
    ],
)
def test_values_no_database_can_take_are_refused_with_their_field(text, field, reason):
    with pytest.raises(FieldError) as caught:
        decode(text)
    assert (caught.value.field, caught.value.reason) == (field, reason)


def test_depth_32_is_read_and_33_is_not():
    assert decode(b"[" * 32 + b"]" * 32) == json.loads("[" * 32 + "]" * 32)
    with pytest.raises(FieldError):
        decode(b"[" * 33 + b"]" * 33)


def test_a_ten_thousand_digit_number_is_refused():
    with pytest.raises(FieldError):
        decode(b'{"a":' + b"9" * 10_000 + b"}")


def test_an_escaped_backslash_before_u0000_is_text_not_a_nul():
    assert decode(rb'{"a":"\\u0000"}') == {"a": r"\u0000"}


def test_the_last_of_duplicate_keys_wins():
    assert decode(b'{"a":1,"a":2}') == {"a": 2}


def test_first_keys_sees_only_the_top_level_and_works_on_a_cut_line():
    text = b'{"id":"a:{","request":{"messages":[{"role":"user"}]},"reference":"' + b"x" * 100
    assert first_keys(text) == {"id", "request", "reference"}
    assert first_keys(b'{"a":1}\n{"b":2}\n') == {"a"}
    assert first_keys(b"prompt,response\n") == frozenset()


def parsed(path):
    def sample(number, value):
        if not isinstance(value, dict):
            raise FieldError("", "not an object")
        return CapturedSample(line=number, external_id=value["id"], request=None)

    return [
        result.external_id if isinstance(result, CapturedSample) else result for result in read_values(path, sample)
    ]


@pytest.mark.parametrize("indent", [None, 1])
@pytest.mark.parametrize("wrap", [lambda rows: rows, lambda rows: {"object": "list", "data": rows, "has_more": False}])
def test_lists_and_api_pages_give_their_items(tmp_path, indent, wrap):
    rows = [{"id": "a", "input_messages": [{"data": []}]}, {"id": "b"}]
    path = write(tmp_path, json.dumps(wrap(rows), indent=indent).encode())
    assert parsed(path) == ["a", "b"]
    assert first_keys(head(path)) == {"id", "input_messages"}


def test_a_single_pretty_printed_object_is_one_item(tmp_path):
    assert parsed(write(tmp_path, json.dumps({"id": "a"}, indent=2).encode())) == ["a"]


def test_a_document_that_breaks_off_is_refused_as_a_whole(tmp_path):
    with pytest.raises(CaptureError, match=r"log\.jsonl: not JSON lines and not a JSON document"):
        parsed(write(tmp_path, b'{\n"id": "a"'))


def test_a_document_beyond_the_limit_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("evaluations.capture.lines.MAX_DOCUMENT_BYTES", 20)
    with pytest.raises(CaptureError, match="one JSON document of more than 64 MB"):
        parsed(write(tmp_path, b'[\n{"id": "a"}, {"id": "b"}\n]'))


def test_an_empty_list_is_a_bad_line(tmp_path):
    assert parsed(write(tmp_path, b"[]\n")) == [BadLine(1, "", "not an object")]
