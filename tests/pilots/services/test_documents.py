"""Hostile and broken files: one line, no crash, bounded work."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from evaluations.services.errors import Refused
from pilots.services.documents import MAX_BYTES, read_document


class Part(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    size: int = 0


class Whole(msgspec.Struct, forbid_unknown_fields=True):
    parts: list[Part] = []
    extra: dict[str, object] = {}


ALIASES = "".join(
    f"{letter}: &{letter} [{', '.join([f'*{before}'] * 9)}]\n"
    for before, letter in zip("abcdefgh", "bcdefghi", strict=True)
)
BOMB = f"a: &a [{', '.join('x' * 9)}]\n{ALIASES}parts: *i\n"


def read(folder: Path, content: str | bytes, name: str = "file.yaml") -> Whole:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return read_document(path, Whole)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.yaml", "parts: [{name: x, size: 2}]\nextra: {k: [1, 0.5, true, null, y-z]}"),
        ("a.yml", "\ufeffparts:\n- &p {name: x, size: 2}\nextra:\n  k: [1, 0.5, true, null, y-z]\n"),
        ("a.json", '{"parts":\t[{"name": "x", "size": 2}], "extra": {"k": [1, 0.5, true, null, "y-z"]}}'),
    ],
)
def test_yaml_and_json_say_the_same(tmp_path: Path, name: str, content: str) -> None:
    whole = read(tmp_path, content, name)
    assert whole == Whole(parts=[Part("x", 2)], extra={"k": [1, 0.5, True, None, "y-z"]})


def test_json_text_beyond_the_basic_plane_is_kept(tmp_path: Path) -> None:
    assert read(tmp_path, '{"parts": [{"name": "\\ud83d\\ude00"}]}', "a.json").parts[0].name == "\U0001f600"


def test_merge_keys_may_be_overridden(tmp_path: Path) -> None:
    whole = read(tmp_path, "parts:\n- &p {name: x, size: 2}\n- {<<: *p, name: z}\n")
    assert whole.parts == [Part("x", 2), Part("z", 2)]


@pytest.mark.parametrize(
    ("content", "field", "message"),
    [
        ("", "", "is empty"),
        ("# nothing\n", "", "expected a mapping, got null"),
        ("[]", "", "expected a mapping, got a list"),
        ("parts: [{name: 1}]", "parts[0].name", "expected text, got a whole number"),
        ("parts: [{name: no}]", "parts[0].name", "expected text, got true or false"),
        ("parts: [{}]", "parts[0].name", "is missing"),
        ("parts: [{name: x, nam: y}]", "parts[0].nam", "is not a known key (known: name, size)"),
        ("part: []", "part", "is not a known key (known: parts, extra)"),
        ("parts: [{name: x, name: y}]", "", "line 1: the key 'name' occurs twice in one mapping"),
        ("extra:\n  a: {b: 1,\n      b: 2}", "", "line 3: the key 'b' occurs twice in one mapping"),
        ("extra: {1: x}", "extra", "the key 1 is not text; put it in quotes"),
        ("extra: {on: x}", "extra", "the key True is not text; put it in quotes"),
        ("extra: {a: .inf}", "extra.a", "is not a finite number"),
        ("extra: {a: 9223372036854775808}", "extra.a", "is too large a number"),
        ('extra: {a: "\\0"}', "extra.a", "holds a character that cannot be stored"),
        ("extra: {a: !!binary aGk=}", "extra.a", "is not text, a number, true, false, null or a date"),
        ("extra: {a: 2026-01-01 10:00:00}", "extra.a", "is not text, a number, true, false, null or a date"),
        ("extra: {a: 2026-02-30}", "", "line 1: 2026-02-30 is not a date"),
        ("parts:\n  - name: x\n bad", "", "line 3: did not find expected key"),
        (
            "extra: !!python/object/apply:os.system [x]",
            "",
            "line 1: could not determine a constructor for the tag 'tag:yaml.org,2002:python/object/apply:os.system'",
        ),
        (b"extra: {a: \xff}", "", "is not UTF-8 (byte 11)"),
        (f"extra: {'[' * 40}{']' * 40}", "", "line 1: is nested deeper than 32 levels"),
        ("extra: " + "[" * 2_000_000, "", "line 1: is nested deeper than 32 levels"),
        (BOMB, "", "holds more than 500000 values"),
        ("x" * (MAX_BYTES + 1), "", "is larger than 5 MB"),
    ],
)
def test_a_bad_file_is_refused_in_one_line(tmp_path: Path, content: str | bytes, field: str, message: str) -> None:
    with pytest.raises(Refused) as refusal:
        read(tmp_path, content)
    assert (refusal.value.field, refusal.value.message) == (field, message)


@pytest.mark.parametrize(
    ("content", "field", "message"),
    [
        ("{", "", "line 1: Expecting property name enclosed in double quotes"),
        ('{"parts": [], "parts": []}', "", "the key 'parts' occurs twice in one object"),
        ('{"extra": {"a": NaN}}', "extra.a", "is not a finite number"),
        ('{"extra": {"a": "\\ud800"}}', "extra.a", "holds a character that cannot be stored"),
        ("[" * 100_000, "", "is nested deeper than 32 levels"),
        ('{"extra": {"a": %s}}' % ("9" * 5000), "", None),
    ],
)
def test_a_bad_json_file_is_refused_in_one_line(tmp_path: Path, content: str, field: str, message: str | None) -> None:
    with pytest.raises(Refused) as refusal:
        read(tmp_path, content, "a.json")
    assert refusal.value.field == field
    assert "\n" not in refusal.value.message
    if message is not None:  # else the words are Python's
        assert refusal.value.message == message


def test_a_folder_is_not_a_file(tmp_path: Path) -> None:
    with pytest.raises(Refused, match=r"^cannot be read \(Is a directory\)$"):
        read_document(tmp_path, Whole)
