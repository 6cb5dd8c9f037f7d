"""Text as scorers compare it. Public surface: ``as_text``, ``normalised``, ``verdict``, ``shown``."""

from __future__ import annotations

import json
import unicodedata
from typing import Any

from evaluations.scorers.base import Scored

_EDGES = " \t\r\n.,;:!?\"'`*“”‘’"


def as_text(value: Any) -> str:
    """A reference or JSON value as text: a string as it is, anything else as JSON (``True`` gives ``true``)."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, sort_keys=True, default=str)


def normalised(text: str) -> str:
    """Unicode NFKC, case folded, runs of white space as one space, quotes and end marks stripped from both ends."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    return " ".join(folded.split()).strip(_EDGES)


def verdict(passed: bool, detail: str) -> Scored:
    """The result of a pass/fail scorer: exactly 1 or 0."""
    return Scored(1.0 if passed else 0.0, detail)


def shown(value: Any) -> str:
    """``value`` quoted and cut to 60 characters, for a detail line: control characters and surrogates escaped."""
    text = repr(as_text(value)[:61])
    return text if len(text) <= 60 else f"{text[:57]}..."
