"""What personal data and secrets look like in text. Public surface: ``Detector``, ``built_in``, ``of_patterns``,
``of_names``, ``KINDS``, and for ``suspicion`` some of the marks.

A detector yields spans; its cheap necessary condition runs first, because most prompts contain none of this. Checksums
and numbering plans decide where the shape alone would hit order numbers and sums.
"""

from __future__ import annotations

import ipaddress
import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

import phonenumbers
import regex
from stdnum import iban, luhn
from stdnum.br import cpf
from stdnum.de import idnr
from stdnum.es import dni, nie
from stdnum.fr import nir
from stdnum.in_ import aadhaar
from stdnum.it import codicefiscale
from stdnum.nl import bsn
from stdnum.pl import pesel
from stdnum.se import personnummer

Span = tuple[int, int]

PRIVATE_KEY = re.compile(r"-----BEGIN [A-Z ]{0,20}PRIVATE KEY-----")
_PRIVATE_KEY_END = re.compile(r"-----END [A-Z ]{0,20}PRIVATE KEY-----")
TOKEN_MARKS = (
    "sk-",
    "AKIA",
    "ASIA",
    "gh",
    "github_pat_",
    "xox",
    "AIza",
    "glpat-",
    "eyJ",
    "earer ",
    "EARER ",
    "PRIVATE KEY",
)
TOKEN = re.compile(
    r"(?<![A-Za-z0-9])(?:"
    r"sk-[A-Za-z0-9_-]{16,}"  # OpenAI, Anthropic
    r"|(?:AKIA|ASIA)[0-9A-Z]{16}"  # AWS
    r"|gh[pousr]_[A-Za-z0-9]{20,}|github_pat_[A-Za-z0-9_]{20,}"
    r"|xox[abeoprs]-[A-Za-z0-9-]{10,}"  # Slack
    r"|AIza[0-9A-Za-z_-]{30,}"  # Google
    r"|glpat-[A-Za-z0-9_-]{16,}"  # GitLab
    r"|eyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]*"  # JSON web token
    r"|(?<=[Bb]earer )[A-Za-z0-9._~+/-]{16,}=*|(?<=BEARER )[A-Za-z0-9._~+/-]{16,}=*"
    r")"
)
ASSIGNED_MARKS = ("key", "secret", "token", "passw", "pwd")
_ASSIGNED = (
    r"(?:(?:api|access|auth|private|secret)[_ -]?key|secret|token|password|passwd|pwd)"
    r"[\"']?\s{0,3}[:=]\s{0,3}[\"']?([^\s\"',;<>(){}\[\]]{8,200})"
)
_ASSIGNED_LOWER, _ASSIGNED_ANY_CASE = re.compile(_ASSIGNED), re.compile(_ASSIGNED, re.IGNORECASE)
_EMAIL = re.compile(r"(?<![\w.%+-])[\w.%+'-]{1,64}@(?:[\w-]{1,63}\.){1,8}[^\W\d_]{2,24}(?![\w-])")
# What may not stand before a match is looked at after its first character: the search can then skip to that character.
_CARD = re.compile(r"[2-6](?<![\d.,+-].)(?:[ -]?\d){12,18}(?![\d-])")
_IBAN = re.compile(r"[A-Z](?<![A-Za-z0-9].)[A-Z]\d{2}(?: ?[A-Z0-9]{1,4}){3,8}(?![A-Za-z0-9])")
_PHONE = re.compile(r"[+(\d](?<![\w.,$€£%/*=-].)[\d(]?[\d ().\u00a0/-]{5,22}\d(?![\w%*=])")
_IPV4 = re.compile(r"\d(?<![\w.].)\d{0,2}(?:\.\d{1,3}){3}(?!\w|\.\d)")
_IPV6 = re.compile(r"(?<![\w:])(?:[0-9A-Fa-f]{0,4}:){2,7}[0-9A-Fa-f]{0,4}(?![\w:])")
_TWO_COLONS = re.compile(r":[0-9A-Fa-f]{0,4}:")
_SHAPED_ID_MARK = re.compile(r"\d\d(?: ?\d\d ?\d\w|\d-\d\d-\d|[A-Z]\d\d[A-Z]|\d\.\d{3}\.)")  # in each of them
_WORD = re.compile(r"[^\W\d_]+(?:['’-][^\W\d_]+)*")


def _any(text: str) -> bool:
    return True


_NO_NINO = frozenset({"BG", "GB", "KN", "NK", "NT", "TN", "ZZ"})
# Numbers of persons that their shape and check digits tell from others.
_SHAPED_IDS: tuple[tuple[re.Pattern[str], Callable[[str], bool]], ...] = (
    (re.compile(r"(?<![\w.-])(?!000|666|9)\d{3}-(?!00)\d{2}-(?!0000)\d{4}(?![\w-])"), _any),
    (
        re.compile(r"(?<!\w)[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z](?: ?\d{2}){3} ?[A-D](?!\w)"),
        lambda text: text[:2] not in _NO_NINO,
    ),
    (re.compile(r"(?<![\w.-])\d{8}-?[A-Z](?!\w)"), dni.is_valid),
    (re.compile(r"(?<!\w)[XYZ]-?\d{7}-?[A-Z](?!\w)"), nie.is_valid),
    (re.compile(r"(?<!\w)[A-Z]{6}\d{2}[A-Z]\d{2}[A-Z]\d{3}[A-Z](?!\w)"), codicefiscale.is_valid),
    (re.compile(r"(?<![\w.-])[12] ?\d{2} ?\d{2} ?\d[\dAB] ?\d{3} ?\d{3} ?\d{2}(?![\w-])"), nir.is_valid),
    (re.compile(r"(?<![\w.-])\d{3}\.\d{3}\.\d{3}-\d{2}(?![\w-])"), cpf.is_valid),
)
# Numbers of persons that could be any number: only beside the word that says so.
_NAMED_IDS: tuple[tuple[str, Callable[[str], bool]], ...] = (
    (r"ssn|social security", lambda text: len(text) in (9, 11)),
    (r"steuer-?id|identifikationsnummer|idnr", idnr.is_valid),
    (r"bsn|burgerservicenummer", bsn.is_valid),
    (r"cpf", cpf.is_valid),
    (r"pesel", pesel.is_valid),
    (r"personnummer", personnummer.is_valid),
    (r"aadhaar", aadhaar.is_valid),
)
NAMED_ID_MARKS = ("ssn", "social sec", "steuer", "nummer", "idnr", "bsn", "cpf", "pesel", "aadhaar")
_NAMED_ID = re.compile(
    "|".join(rf"\b(?P<kind{place}>{words})\b" for place, (words, _) in enumerate(_NAMED_IDS)), re.IGNORECASE
)
_NUMBER_AFTER = re.compile(r"[^\d\n]{0,24}?(?<!\d)(\d(?:[ ./-]?\d){7,12})(?!\d)")
_DIGITS_7 = re.compile(r"\d[\d ().\u00a0/-]{5,}\d")
_DIGITS_13 = re.compile(r"\d[\d -]{11,}\d")

ENTROPY_BITS = 3.0  # per character; words and repeated letters stay below, random keys above
CUSTOM_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Detector:
    kind: str
    find: Callable[[str], Iterator[Span]]


def _secrets(text: str) -> Iterator[Span]:
    if any(mark in text for mark in TOKEN_MARKS):
        for begin in PRIVATE_KEY.finditer(text):
            end = _PRIVATE_KEY_END.search(text, begin.end())
            yield begin.start(), end.end() if end else len(text)
        yield from (found.span() for found in TOKEN.finditer(text))
    lowered = text.lower()
    if any(mark in lowered for mark in ASSIGNED_MARKS):
        # Searching the lowered text is much faster, unless lowering moved the letters.
        same_places = len(lowered) == len(text)
        for found in _ASSIGNED_LOWER.finditer(lowered) if same_places else _ASSIGNED_ANY_CASE.finditer(text):
            value = text[found.start(1) : found.end(1)]
            if _entropy(value) >= ENTROPY_BITS and not value.isalpha():
                yield found.span(1)


def _entropy(text: str) -> float:
    return -sum(n / len(text) * math.log2(n / len(text)) for n in Counter(text).values())


def _emails(text: str) -> Iterator[Span]:
    if "@" in text:
        yield from (found.span() for found in _EMAIL.finditer(text))


def _cards(text: str) -> Iterator[Span]:
    if _DIGITS_13.search(text):
        for found in _CARD.finditer(text):
            digits = re.sub(r"[ -]", "", found[0])
            if len(set(digits)) > 1 and luhn.is_valid(digits):
                yield found.span()


def _ibans(text: str) -> Iterator[Span]:
    for found in _IBAN.finditer(text):
        # The words behind an account number look like more of it: shorten until the checksum holds.
        candidate = found[0]
        while len(candidate) >= 15 and not iban.is_valid(candidate):
            candidate = candidate.rpartition(" ")[0]
        if len(candidate) >= 15:
            yield found.start(), found.start() + len(candidate)


def _phones(region: str | None) -> Callable[[str], Iterator[Span]]:
    trunk = phonenumbers.ndd_prefix_for_region(region, True) if region else None

    def national(number: str) -> bool:
        """Written like a number of the region, not like a sum: with its leading 0, or else long and in groups."""
        digits = re.sub(r"\D", "", number)
        if trunk == "0":
            return digits.startswith("0")
        return len(digits) >= 9 and len(digits) < len(number)

    def find(text: str) -> Iterator[Span]:
        if not _DIGITS_7.search(text):
            return
        for found in _PHONE.finditer(text):
            number = "+" + found[0][2:] if found[0].startswith("00") else found[0]
            if " - " in number or " / " in number or not (number.startswith("+") or (region and national(number))):
                continue
            try:
                if phonenumbers.is_valid_number(phonenumbers.parse(number, region)):
                    yield found.span()
            except phonenumbers.NumberParseException:
                continue

    return find


def _addresses(text: str) -> Iterator[Span]:
    candidates: list[re.Match[str]] = []
    if text.count(".") >= 3:
        candidates += _IPV4.finditer(text)
    if _TWO_COLONS.search(text):
        # Slices and times have colons too, but hardly any digits.
        candidates += (found for found in _IPV6.finditer(text) if len(found[0]) >= 7)
    for found in candidates:
        try:
            address = ipaddress.ip_address(found[0])
        except ValueError:
            continue
        if not address.is_loopback and not address.is_unspecified:
            yield found.span()


def _national_ids(text: str) -> Iterator[Span]:
    if _SHAPED_ID_MARK.search(text):
        for shape, is_valid in _SHAPED_IDS:
            yield from (found.span() for found in shape.finditer(text) if is_valid(found[0]))
    if _DIGITS_7.search(text):
        lowered = text.lower()
        if any(mark in lowered for mark in NAMED_ID_MARKS):
            yield from _named_ids(text)


def _named_ids(text: str) -> Iterator[Span]:
    for word in _NAMED_ID.finditer(text):
        number = _NUMBER_AFTER.match(text, word.end())
        is_valid = next(check for place, (_, check) in enumerate(_NAMED_IDS) if word[f"kind{place}"])
        if number and is_valid(number[1]):
            yield number.span(1)


def _names(names: Iterable[str]) -> Callable[[str], Iterator[Span]]:
    """Whole words with a capital letter; a name of several words matches as a sequence. The longest match wins."""
    known = {tuple(word.casefold() for word in _WORD.findall(name)) for name in names} - {()}
    longest = max(map(len, known), default=0)

    def find(text: str) -> Iterator[Span]:
        words = list(_WORD.finditer(text)) if known else []
        at = 0
        while at < len(words):
            step = 1
            if words[at][0][0].isupper():
                for length in range(min(longest, len(words) - at), 0, -1):
                    if tuple(word[0].casefold() for word in words[at : at + length]) in known:
                        yield words[at].start(), words[at + length - 1].end()
                        step = length
                        break
            at += step

    return find


def _custom(pattern: str) -> Callable[[str], Iterator[Span]]:
    compiled = regex.compile(pattern)

    def find(text: str) -> Iterator[Span]:
        for found in compiled.finditer(text, timeout=CUSTOM_SECONDS):
            if found.end() > found.start():
                yield found.span()

    return find


KINDS = ("secret", "email", "card", "iban", "national_id", "ip", "phone")


def built_in(kinds: Iterable[str], region: str | None) -> tuple[Detector, ...]:
    """The chosen ones of ``KINDS``. ``ValueError`` for an unknown kind."""
    built: dict[str, Callable[[str], Iterator[Span]]] = {
        "secret": _secrets,
        "email": _emails,
        "card": _cards,
        "iban": _ibans,
        "national_id": _national_ids,
        "ip": _addresses,
        "phone": _phones(region),
    }
    chosen = set(kinds)
    if unknown := chosen - built.keys():
        raise ValueError(f"unknown redaction kind {sorted(unknown)[0]!r} (known: {', '.join(KINDS)})")
    return tuple(Detector(kind, built[kind]) for kind in KINDS if kind in chosen)


def of_patterns(patterns: Mapping[str, str]) -> tuple[Detector, ...]:
    """The user's own expressions by kind. ``ValueError`` for a broken one."""
    found = []
    for kind, pattern in patterns.items():
        if len(pattern) > 500:
            raise ValueError(f"the pattern for {kind!r} is longer than 500 characters")
        try:
            found.append(Detector(kind, _custom(pattern)))
        except regex.error as error:
            raise ValueError(f"the pattern for {kind!r} is not a regular expression: {error}") from None
    return tuple(found)


def of_names(names: Iterable[str]) -> tuple[Detector, ...]:
    """The user's dictionary; none where it is empty."""
    names = list(names)
    return (Detector("name", _names(names)),) if names else ()
