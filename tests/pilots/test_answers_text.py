"""Requests as turns of text, and answers compared word by word."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pilots.transcript import Turn, turns
from pilots.word_diff import MAX_WORDS, word_diff


def test_a_request_reads_as_turns() -> None:
    request = {
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": [{"type": "text", "text": "What is this?"}, {"type": "image_url"}]},
            {"role": "assistant", "content": None, "tool_calls": [{"id": "1"}]},
        ],
        "temperature": 0,
    }
    assert turns(request) == (
        Turn("system", "Be brief."),
        Turn("user", "What is this?\n[image_url]"),
        Turn("assistant", '[\n  {\n    "id": "1"\n  }\n]', True),
        Turn("settings", '{\n  "temperature": 0\n}', True),
    )
    assert turns(None) == ()
    assert turns("just text") == (Turn("request", "just text", True),)


def test_changed_words_are_marked() -> None:
    pieces = word_diff("The cat sat, now.", "The dog sat now.")
    assert pieces is not None
    assert [(piece.kind, piece.text) for piece in pieces] == [
        ("same", "The "),
        ("removed", "cat"),
        ("added", "dog"),
        ("same", " sat"),
        ("removed", ","),
        ("same", " now."),
    ]


@given(st.text(max_size=80), st.text(max_size=80))
def test_both_answers_can_be_read_back(before: str, after: str) -> None:
    pieces = word_diff(before, after)
    assert pieces is not None
    assert "".join(piece.text for piece in pieces if piece.kind != "added") == before
    assert "".join(piece.text for piece in pieces if piece.kind != "removed") == after


def test_very_long_answers_are_not_compared() -> None:
    assert word_diff("word " * (MAX_WORDS + 1), "word") is None
