"""JSON as it comes off the wire: any bytes, read into values that every database and page can hold.

Public surface: ``decode``, ``encode``, ``storable`` and the readers ``obj``, ``items``, ``text``, ``name`` and
``count``, which never raise.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any

import msgspec

MAX_TOKENS = 10**9  # no context window comes near; a larger count is a vendor's mistake
MAX_NAME_CHARACTERS = 200
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


def decode(body: bytes) -> Any:
    """The JSON value in ``body``; raises ``ValueError`` when it is not JSON.

    NUL, lone surrogates and bytes that are not UTF-8 come back as the six characters of their ``\\uXXXX`` escape:
    nothing is lost, and no database refuses the text.
    """
    try:
        value = msgspec.json.decode(body)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        return _decode_leniently(body)
    return _storable(value) if b"\\u0000" in body else value


def encode(value: Any) -> bytes:
    """``value`` as UTF-8 JSON; raises ``ValueError`` (lone surrogates included) or ``TypeError``."""
    return msgspec.json.encode(value)


def _decode_leniently(body: bytes) -> Any:
    try:
        value = json.loads(
            body.decode("utf-8-sig", "surrogateescape"), parse_constant=_not_a_number, parse_float=_finite, strict=False
        )
        return _storable(value)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _not_a_number(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _finite(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise ValueError("number out of range")
    return value


def storable(value: str) -> str:
    """``value`` with NUL and lone surrogates written as their escapes."""
    return _UNSTORABLE.sub(lambda match: f"\\u{ord(match.group()):04x}", value)


def _storable(value: Any) -> Any:
    if isinstance(value, str):
        return storable(value)
    if isinstance(value, dict):
        return {storable(key): _storable(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_storable(item) for item in value]
    return value


def obj(value: Any) -> dict[str, Any]:
    """``value`` if it is a JSON object, else an empty one."""
    return value if isinstance(value, dict) else {}


def items(value: Any) -> list[Any]:
    """``value`` if it is a JSON array, else an empty one."""
    return value if isinstance(value, list) else []


def text(value: Any) -> str | None:
    """``value`` if it is a string, else ``None``."""
    return value if isinstance(value, str) else None


def name(value: Any) -> str | None:
    """An identifier the vendor sent, cut to what a database column holds; ``None`` when absent or empty."""
    return value[:MAX_NAME_CHARACTERS] if isinstance(value, str) and value else None


def count(value: Any) -> int | None:
    """A token count; ``None`` for anything but a plausible whole number, so that it can never make a cost negative."""
    return value if type(value) is int and 0 <= value <= MAX_TOKENS else None
