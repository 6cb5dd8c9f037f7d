"""The quick look that spares most texts the detectors never spares one that holds something."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from evaluations.capture.detectors import KINDS, built_in
from evaluations.capture.redaction import Redactor
from evaluations.capture.suspicion import may_hold
from tests.evaluations.capture.test_redaction import CARDS, IBANS, JWT, PEM

REGIONS = (None, "DE", "US", "GB")
HELD = [
    *CARDS,
    *IBANS,
    PEM,
    JWT,
    "ana.ortiz+x@example.co.uk",
    "jürgen@müller.de",
    "+44 20 7946 0958",
    "0044 20 7946 0958",
    "(030) 901820",
    "(201) 555-0123",
    "203.0.113.7",
    "2001:db8::ff00:42:8329",
    "dead:beef::",
    "sk-ant-api03-abcdefghijklmnop1234",
    "AKIAIOSFODNN7EXAMPLE",
    "ghp_16C7e42F292c6912E7710c838347Ae178B4a",
    "github_pat_16C7e42F292c6912E7710c838347",
    "xoxb-1234567890-abc",
    "AIzaSyA1234567890abcdefghijklmnopqrstuv",
    "glpat-abcdefghij0123456789",
    "Bearer abcDEF123._~+/-xyz789==",
    "BEARER abcDEF123._~+/-xyz789==",
    'api_key = "q7Zp91xLm2Rt"',
    "PASSWORD:Tr0ub4dor&3x",
    "078-05-1120",
    "ssn: 078051120",
    "AB 12 34 56 C",
    "54362315K",
    "X2482300W",
    "RCCMNL83S18D969H",
    "2 95 10 99 126 111 93",
    "390.533.447-05",
    "Steuer-ID: 36 574 261 809",
    "BSN is 111222333",
    "PESEL 44051401359",
    "personnummer 811228-9874",
    "cpf 39053344705",
    "aadhaar 2341 2341 2346",
    "+٤٤ ٢٠ ٧٩٤٦ ٠٩٥٨",
]
PIECES = st.one_of(
    st.sampled_from(HELD),
    st.sampled_from(["key", "token", "secret", "pwd", "ssn", "İ", "K", "\u00a0", " ", "\n", ": ", "[EMAIL]", "[SSN]"]),
    st.text(alphabet="0123456789 .-:+()/ABCDXYZxabcdef@=_'\"\n\u00a0é٤", max_size=24),
    st.text(max_size=8),
)
TEXTS = st.lists(PIECES, max_size=6).map("".join)


def holds(text: str, region: str | None) -> list[str]:
    return [detector.kind for detector in built_in(KINDS, region) if any(True for _ in detector.find(text))]


@pytest.mark.parametrize("text", HELD)
def test_what_is_looked_for_is_suspicious_wherever_it_stands(text: str) -> None:
    kinds = {region: holds(f"a {text} b", region) for region in REGIONS}
    assert any(kinds.values()), "the example is none"
    for region, found in kinds.items():
        assert not found or (may_hold(f"a {text} b", region) and may_hold(f"x\n{text}\ny", region))


@settings(max_examples=1500, deadline=None)
@given(text=TEXTS, before=TEXTS, region=st.sampled_from(REGIONS))
@example(text="٢٠٣.٠.١١٣.٧", before="", region=None)
def test_no_text_that_a_detector_hits_goes_unsuspected(text: str, before: str, region: str | None) -> None:
    if holds(text, region):
        assert may_hold(text, region)
        assert may_hold(f"{before}\n{text}", region)


@settings(max_examples=500, deadline=None)
@given(text=TEXTS, region=st.sampled_from(REGIONS), patterns=st.sampled_from([{}, {"ssn": r"K-\d"}]))
def test_redaction_is_what_it_is_without_the_quick_look(
    text: str, region: str | None, patterns: dict[str, str]
) -> None:
    quick, thorough = (Redactor(region=region, patterns=patterns, names=["Ana"]) for _ in range(2))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("evaluations.capture.redaction.may_hold", lambda text, region: True)
        expected = thorough.redact_text(text)
    assert quick.redact_text(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "Order 660757 of 2026-05-01: thought through, right and enough; the task-list is public_key free",
        "It costs 1,250.50 EUR, at 10:30 on 3/4, and the ratio is 16:9.",
        "Die Nummer steht auf Seite 12, Größe 38-40",
    ],
)
def test_ordinary_text_is_not_suspected(text: str) -> None:
    assert not may_hold(text, None)
