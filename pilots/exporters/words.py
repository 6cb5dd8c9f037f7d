"""What several exports say in the same words.

Public surface: ``NOT_YET``, ``NO_CONTENT_LEFT_OUT``, ``DEFINITIONS``, ``filter_words``, ``stem``, ``digest_of``,
``label``, ``verdict_word``, ``PERIOD_TONES``, ``STATUS_TONES``.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import date
from typing import Any

from evaluations.enums import Decision
from pilots.enums import PilotStatus, Reason, SpellStatus
from pilots.exporters.base import FULL, Tone
from pilots.selectors.filters import ReportFilters

# For what has not happened: an empty cell. What happened and is not known is None, and says "unknown".
NOT_YET = ""
NO_CONTENT_LEFT_OUT = "Prompts, references, answers, and what scorers and vendors quoted of them."

PERIOD_TONES: Mapping[str, Tone] = {
    SpellStatus.STILL_SWITCHED.label: Tone.GOOD,
    SpellStatus.ROLLED_BACK.label: Tone.BAD,
    SpellStatus.SUPERSEDED.label: Tone.CAUTION,
    SpellStatus.ENDED.label: Tone.UNKNOWN,
    SpellStatus.IN_CONFLICT.label: Tone.BAD,
    SpellStatus.LOST_TO_FOLLOW_UP.label: Tone.UNKNOWN,
}
STATUS_TONES: Mapping[str, Tone] = {
    PilotStatus.SWITCHED.label: Tone.GOOD,
    PilotStatus.ROLLED_BACK.label: Tone.BAD,
    PilotStatus.SUPERSEDED.label: Tone.CAUTION,
    PilotStatus.ALONGSIDE.label: Tone.CAUTION,
}

DEFINITIONS: Mapping[str, str] = {
    "Incumbent, candidate": "The model in production when the pilot was opened, and the model under trial.",
    "Period": "One unbroken time on the candidate, from the cutover to its end or to the last confirmation. "
    "A workload that went back and switched again has two.",
    "Attempt": "One period, or a pilot that has none. The funnel counts every attempt once.",
    "Chosen, forced": "A switch is forced if it came after the incumbent's retirement was announced, shortly before "
    "its shutdown, or for that reason. Retention speaks of chosen switches only.",
    "Retention": "Share of chosen switches not gone after so many days (Kaplan-Meier; competing ends by "
    "Aalen-Johansen), with a 95 % interval. A period counts up to its last confirmation, never to today.",
    "At risk": "Periods that were under observation just before that day.",
    "Measured, declared": "Known from observed traffic, or from what somebody confirmed.",
    "Moved to a third model": "Left the candidate for a model that is neither the incumbent nor a successor of "
    "the candidate.",
    "Withheld, unknown": "Too few at risk for a percentage; not known, which is never the same as zero.",
}


def label(word: str) -> str:
    """A reason code as people read it."""
    return Reason(word).label


def verdict_word(value: str | None) -> str | None:
    """The words for a decision's stored value; None stays None."""
    return None if value is None else Decision(value).label


def filter_words(filters: ReportFilters) -> dict[str, str]:
    """The filters as the cover lists them."""
    given = filters.to_document()
    words = {
        name.replace("_", " "): ", ".join(map(str, value)) if isinstance(value, list) else str(value)
        for name, value in given.items()
    }
    if not filters.present:
        words["known at"] = filters.known_at.isoformat(timespec="seconds")
    return words


def stem(what: str, as_of: date, audience: str) -> str:
    """A file name without its ending: what it is, of which day, and for whom if not for everybody."""
    return "-".join([what, as_of.isoformat(), *([] if audience == FULL else [audience.replace(":", "-")])])


def digest_of(data: Any) -> str:
    """sha256 over the data behind a document, in canonical JSON."""
    text = json.dumps(data, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()
