"""Whether a text may hold anything that the detectors look for, in a fraction of their time. Public surface:
``may_hold``.

Most prompts hold nothing. What is asked here is weaker than what each detector asks, so that a no is certain and a
yes only has them look; where one of them is widened, so must this be (a test compares them).
"""

from __future__ import annotations

import re

from evaluations.capture.detectors import (
    ASSIGNED_MARKS,
    NAMED_ID_MARKS,
    PRIVATE_KEY,
    TOKEN,
    TOKEN_MARKS,
)

_GITHUB = re.compile(r"gh[pousr]_|github_pat_")
_RARE_MARKS = tuple(mark for mark in TOKEN_MARKS if mark != "gh")  # which most English texts hold
_ASSIGNED_VALUE = re.compile(r"[:=]\s{0,3}[\"']?[^\s\"',;<>(){}\[\]]{8}")
_TWO_COLONS = re.compile(r":[0-9A-Fa-f]{0,4}:")
# After a digit. Of each shape only what follows its first digit, or its second where letters come first.
_NUMBERS = (
    r"(?:[ -]?\d){12}"  # card
    r"|(?<=[A-Z]{2}\d)\d(?: ?[A-Z0-9]{1,4}){3}"  # IBAN
    r"|(?:\.\d{1,3}){3}"  # IPv4
    r"|\d{2}-\d{2}-\d{4}"  # US
    r"|\d(?: ?\d{2}){2} ?[A-D]"  # GB
    r"|\d{6}-?[A-Z]"  # ES
    r"|\d[A-Z]\d{2}[A-Z]\d{3}[A-Z]"  # IT
    r"| ?\d{2} ?\d{2} ?\d[\dAB] ?\d{3} ?\d{3} ?\d{2}"  # FR
    r"|\d{2}\.\d{3}\.\d{3}-"  # BR
)
_NAMED_NUMBER = r"\d(?:[ ./-]?\d){7}"
_ABROAD = r"[+0](?<![\w.,$€£%/*=-].)(?:(?<=\+)|0)[\d ().\u00a0/-]{4}"  # a phone number with its country
_AT_HOME = r"\d[\d ().\u00a0/-]{5,}\d"


class _Numbers:
    """The shapes for one idea of what a digit is."""

    def __init__(self, digit: str) -> None:
        def compiled(pattern: str) -> re.Pattern[str]:
            return re.compile(pattern.replace(r"\d", digit))

        inside = digit.strip("[]")
        self.any = re.compile(digit + f"(?:{_NUMBERS})".replace(r"[\dAB]", f"[{inside}AB]").replace(r"\d", digit))
        self.named = compiled(_NAMED_NUMBER)
        self.abroad = re.compile(_ABROAD.replace(r"\d", inside))
        self.at_home = re.compile(_AT_HOME.replace(r"[\d", f"[{inside}").replace(r"\d", digit))


# Nearly all texts are ASCII, where a digit is one of ten and looking for it is several times faster.
_ASCII, _UNICODE = _Numbers("[0-9]"), _Numbers(r"\d")


def may_hold(text: str, region: str | None) -> bool:
    """``text``: one, or several with line ends between them; ``region`` as the detector of phone numbers has it."""
    if "@" in text:
        return True
    numbers = _ASCII if text.isascii() else _UNICODE
    if numbers.any.search(text):
        return True
    if region is not None:
        if numbers.at_home.search(text):
            return True
    elif ("+" in text or "00" in text) and numbers.abroad.search(text):
        return True
    if ":" in text and _TWO_COLONS.search(text):
        return True
    marked = any([mark in text for mark in _RARE_MARKS]) or ("_" in text and _GITHUB.search(text))  # noqa: C419 - faster
    if marked and (TOKEN.search(text) or PRIVATE_KEY.search(text)):
        return True
    lowered = ""
    if (":" in text or "=" in text) and _ASSIGNED_VALUE.search(text):
        lowered = text.lower()
        if any([mark in lowered for mark in ASSIGNED_MARKS]):  # noqa: C419
            return True
    if numbers.named.search(text):
        lowered = lowered or text.lower()
        return any([mark in lowered for mark in NAMED_ID_MARKS])  # noqa: C419
    return False
