"""Log files as a stream of JSON values: gzip, byte order marks, line limits and bad bytes are dealt with here, once.

Public surface: ``open_log``, ``head``, ``lines``, ``decode``, ``read_values``, ``read_groups``, ``first_keys`` and
``FieldError``. Memory does not grow with the file: it holds one block, and one line of at most ``MAX_LINE_BYTES``.
"""

from __future__ import annotations

import gzip
import io
import json
import math
import re
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, TypeVar, cast

import msgspec

from evaluations.capture.base import BadLine, CapturedSample, CaptureError

MAX_LINE_BYTES = 8 * 1024 * 1024
MAX_DEPTH = 32
HEAD_BYTES = 64 * 1024
_BLOCK_BYTES = 1024 * 1024
_BOMB_BYTES = 16 * 1024 * 1024  # below this, no compression ratio is suspicious
_BOMB_RATIO = 200
_DECODER = msgspec.json.Decoder()
MAX_DOCUMENT_BYTES = 64 * 1024 * 1024
_PAGE = re.compile(rb'"data"\s*:\s*\[\s*(?=\{)')
_PRETTY = re.compile(rb'(?:\xef\xbb\xbf)?\s*(?:\[\s*\n|\{\s*\n\s*")')  # a document over several lines
_JSON_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*"|[\[\]{}\n]|:')

Line = tuple[int, bytes | BadLine]
T = TypeVar("T")


class FieldError(ValueError):
    """One value of a line is wrong: ``field`` is its path (``request.messages[0].role``), ``reason`` says why."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field}: {reason}" if field else reason)
        self.field = field
        self.reason = reason


class _Unfolding(io.RawIOBase):
    """A gzip file's content; refuses damaged files and files that unfold far beyond their size."""

    def __init__(self, path: Path) -> None:
        self._name = path.name
        self._packed_bytes = path.stat().st_size
        self._unpacked_bytes = 0
        self._gzip = gzip.GzipFile(path)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        try:
            block = self._gzip.read(len(buffer))
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise CaptureError(f"{self._name}: damaged gzip file ({error})") from error
        self._unpacked_bytes += len(block)
        if self._unpacked_bytes > _BOMB_BYTES and self._unpacked_bytes > _BOMB_RATIO * self._packed_bytes:
            raise CaptureError(f"{self._name}: unfolds to more than {_BOMB_RATIO} times its size")
        buffer[: len(block)] = block
        return len(block)

    def close(self) -> None:
        self._gzip.close()
        super().close()


def open_log(path: Path) -> BinaryIO:
    """The decompressed bytes of a log file; gzip is recognised by its content, not by its name."""
    try:
        with path.open("rb") as handle:
            packed = handle.read(2) == b"\x1f\x8b"
        return cast(BinaryIO, io.BufferedReader(_Unfolding(path), _BLOCK_BYTES)) if packed else path.open("rb")
    except OSError as error:
        raise CaptureError(f"{path.name}: cannot be opened ({error.strerror})") from error


def head(path: Path, size: int = HEAD_BYTES) -> bytes:
    """The first decompressed bytes of a file."""
    with open_log(path) as stream:
        return stream.read(size)


def lines(path: Path) -> Iterator[Line]:
    """Numbered lines without their ends, blank ones left out; a line over ``MAX_LINE_BYTES`` comes as a ``BadLine``."""
    number = 0
    carried: list[bytes] = []  # the beginning of a line whose end is in a later block
    carried_bytes = 0
    with open_log(path) as stream:
        block = stream.read(_BLOCK_BYTES)
        if block.startswith((b"\xff\xfe", b"\xfe\xff")):
            raise CaptureError(f"{path.name}: is UTF-16, JSON lines must be UTF-8")
        block = block.removeprefix(b"\xef\xbb\xbf")
        while block:
            *ended, open_end = block.split(b"\n")
            for line in ended:
                number += 1
                if carried_bytes:
                    carried.append(line)
                    carried_bytes += len(line)
                    yield from _joined(number, carried, carried_bytes)
                    carried, carried_bytes = [], 0
                elif stripped := line.strip():
                    yield number, stripped
            carried_bytes += len(open_end)
            # An oversized line keeps its length only, never its bytes.
            carried = [*carried, open_end] if carried_bytes <= MAX_LINE_BYTES else []
            block = stream.read(_BLOCK_BYTES)
        yield from _joined(number + 1, carried, carried_bytes)


def _joined(number: int, parts: list[bytes], size: int) -> Iterator[Line]:
    if size > MAX_LINE_BYTES:
        yield number, BadLine(number, "", f"the line is longer than {MAX_LINE_BYTES // (1024 * 1024)} MB")
    elif line := b"".join(parts).strip():
        yield number, line


def decode(text: bytes | str, at: str = "") -> Any:
    """One JSON value; ``FieldError`` for anything a database or a later page could not take.

    Refused: bad JSON or UTF-8, NaN and infinities, NUL characters, lone surrogates, nesting deeper than ``MAX_DEPTH``.
    Of duplicate keys the last one wins. ``at`` prefixes the field path of errors.
    """
    raw = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
    try:
        value = _DECODER.decode(raw)
    except RecursionError:
        raise FieldError(at, f"nested deeper than {MAX_DEPTH} levels") from None
    except UnicodeDecodeError:
        raise FieldError(at, "not valid UTF-8") from None
    except msgspec.MsgspecError as error:
        raise _explained(raw, at, error) from None
    # Cheap necessary conditions first: nearly every line skips the walk.
    if rb"\u0000" in raw or raw.count(b"{") + raw.count(b"[") > MAX_DEPTH:
        _check(value, at, 1)
    return value


def _explained(raw: bytes, at: str, error: msgspec.MsgspecError) -> FieldError:
    """The standard library reads some of what msgspec refuses, which lets the error name the field."""
    try:
        _check(json.loads(raw), at, 1)
    except FieldError as found:
        return found
    except RecursionError:
        return FieldError(at, f"nested deeper than {MAX_DEPTH} levels")
    except ValueError:
        pass
    return FieldError(at, str(error))


def _check(value: Any, at: str, depth: int) -> None:
    if isinstance(value, str):
        if "\x00" in value:
            raise FieldError(at, "contains a NUL character")
        if not value.isascii():
            try:
                value.encode()
            except UnicodeEncodeError:
                raise FieldError(at, "contains a lone surrogate") from None
    elif isinstance(value, float):
        if not math.isfinite(value):
            raise FieldError(at, "is not a finite number")
    elif isinstance(value, dict | list):
        if depth > MAX_DEPTH:
            raise FieldError(at, f"nested deeper than {MAX_DEPTH} levels")
        if isinstance(value, dict):
            for key, child in value.items():
                _check(key, at, depth)
                _check(child, f"{at}.{key}" if at else key, depth + 1)
        else:
            for index, child in enumerate(value):
                _check(child, f"{at}[{index}]", depth + 1)


def read_values(path: Path, parse: Callable[[int, Any], CapturedSample]) -> Iterator[CapturedSample | BadLine]:
    """Decode and parse every line; a ``FieldError`` of either becomes that line's ``BadLine``."""
    return read_groups(path, lambda number, value: (parse(number, value),))


def read_groups(path: Path, parse: Callable[[int, Any], Iterable[T | BadLine]]) -> Iterator[T | BadLine]:
    """The same for formats with several items a line, samples or others."""
    for number, value in _values(path):
        if isinstance(value, BadLine):
            yield value
            continue
        try:
            yield from parse(number, value)
        except FieldError as error:
            yield BadLine(number, error.field, error.reason)


def _values(path: Path) -> Iterator[tuple[int, Any]]:
    """Decoded lines; of a file that is one JSON document (an API page saved as it came) its items, numbered from 1."""
    if _PRETTY.match(head(path, 256)):
        yield from enumerate(_document(path), 1)
        return
    for number, line in lines(path):
        if isinstance(line, BadLine):
            yield number, line
            continue
        try:
            value = decode(line)
        except FieldError as error:
            yield number, BadLine(number, error.field, error.reason)
        else:
            yield from ((number, item) for item in _items(value))


def _document(path: Path) -> list[Any]:
    with open_log(path) as stream:
        text = stream.read(MAX_DOCUMENT_BYTES + 1)
    if len(text) > MAX_DOCUMENT_BYTES:
        raise CaptureError(f"{path.name}: one JSON document of more than 64 MB; save it as JSON lines")
    try:
        return _items(decode(text.removeprefix(b"\xef\xbb\xbf")))
    except FieldError as error:
        raise CaptureError(f"{path.name}: not JSON lines and not a JSON document ({error})") from None


def _items(value: Any) -> list[Any]:
    """What a list or a page of an API (``{"data": [...]}``) holds; anything else is one item."""
    held = value.get("data") if isinstance(value, dict) else value
    return held if isinstance(held, list) and held else [value]


def first_keys(head: bytes) -> frozenset[str]:
    """Top-level keys of the first JSON object, or of the first in a list or API page, as far as ``head`` shows it."""
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip().removeprefix(b"[").lstrip()
    if not text.startswith(b"{"):
        return frozenset()
    keys = _keys(text)
    page = _PAGE.search(text) if "data" in keys else None
    return _keys(text[page.end() :]) if page else keys


def _keys(text: bytes) -> frozenset[str]:
    keys: set[str] = set()
    depth = 0
    last = b""
    for token in _JSON_TOKEN.findall(text):
        if token in b"{[":
            depth += 1
        elif token in b"}]":
            depth -= 1
            if depth == 0:
                break
        elif token == b":" and depth == 1 and last.startswith(b'"'):
            keys.add(last[1:-1].decode("utf-8", "replace"))
        last = token
    return frozenset(keys)
