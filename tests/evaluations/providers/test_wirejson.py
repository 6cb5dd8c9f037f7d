"""Any bytes, read into values that every database can hold (RELIABILITY.md B26, B30)."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evaluations.providers.wirejson import decode, encode


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (b'{"a": [1, 2.5, null, true, "x"]}', {"a": [1, 2.5, None, True, "x"]}),
        (b'"nul \\u0000"', "nul \\u0000"),
        (b'"lone \\ud800 high"', "lone \\ud800 high"),
        (b'"bad byte \xff"', "bad byte \\udcff"),
        (b'{"\\u0000": ["\\udc00"]}', {"\\u0000": ["\\udc00"]}),
        (b'"pair \\ud83d\\ude00"', "pair \N{GRINNING FACE}"),
        ('"bidi \u202e and \u001b[31m"'.encode(), "bidi \u202e and \u001b[31m"),
        (b"\xef\xbb\xbf[1]", [1]),
    ],
)
def test_values(body: bytes, value: Any) -> None:
    assert decode(body) == value


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b'{"a":',
        b"NaN",
        b"[Infinity]",
        b"[1e400]",
        b'["\xff", 1e400]',
        b"9" * 10_000,
        b"<html>",
        b"[" * 100_000,
        b"[" * 100_000 + b"]" * 100_000,
        b'["\xff",' + b"[" * 100_000 + b"]" * 100_001,
        b'{"a":' * 5_000 + b"1" + b"}" * 5_000,
    ],
)
def test_what_is_not_json(body: bytes) -> None:
    with pytest.raises(ValueError):
        decode(body)


@given(st.binary(max_size=60))
def test_any_bytes_give_a_storable_value_or_a_value_error(body: bytes) -> None:
    try:
        value = decode(body)
    except ValueError:
        return
    assert decode(encode(value)) == value


@given(st.text(st.characters(codec=None)))
def test_text_survives(text: str) -> None:
    import json

    assert decode(json.dumps({"t": text}).encode())["t"] == "".join(
        f"\\u{ord(c):04x}" if c == "\0" or 0xD800 <= ord(c) <= 0xDFFF else c
        for c in text.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")
    )
