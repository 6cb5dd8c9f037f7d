"""Server-sent events. Examples: HTML standard, section 9.2.6."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evaluations.providers.sse import Event, EventParser

STREAM = (
    b": a comment\n\n"
    b'event: message_start\r\ndata: {"a":\r\ndata: 1}\r\n\r\n'
    b"data:no blank\ndata\ndata:  two blanks\n\n"
    b"event: nameless data is dropped\n\n"
    b"id: 7\nretry: 10\ndata: caf\xc3\xa9\r\r"
    b"data: [DONE]\n\n"
)
EVENTS = [
    Event("message_start", b'{"a":\n1}'),
    Event("", b"no blank\n\n two blanks"),
    Event("", "café".encode()),
    Event("", b"[DONE]"),
]


def _read(*chunks: bytes) -> list[Event]:
    parser = EventParser()
    events = [event for chunk in chunks for event in parser.feed(chunk)]
    return events + parser.close()


def test_lines_fields_and_events() -> None:
    assert _read(STREAM) == EVENTS


@given(st.lists(st.integers(0, len(STREAM)), max_size=12))
def test_it_does_not_matter_where_the_bytes_are_cut(cuts: list[int]) -> None:
    edges = [0, *sorted(cuts), len(STREAM)]
    assert _read(*(STREAM[a:b] for a, b in pairwise(edges))) == EVENTS


def test_byte_by_byte() -> None:
    assert _read(*(bytes([byte]) for byte in STREAM)) == EVENTS


@pytest.mark.parametrize("end", [b"", b"\n", b"\r", b"\r\n"])
def test_the_last_event_counts_without_its_blank_line(end: bytes) -> None:
    assert _read(b"data: last" + end) == [Event("", b"last")]


@given(st.lists(st.binary(max_size=20)))
def test_any_bytes_can_be_fed(chunks: list[bytes]) -> None:
    assert _read(*chunks) == _read(b"".join(chunks))
