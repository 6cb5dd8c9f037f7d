import gzip
import json
import time
from collections import Counter

import pytest

from evaluations.capture.base import CapturedResponse, CapturedSample
from evaluations.capture.redaction import RedactionError, Redactor
from tests.shared_data import shared_data

# Test numbers that their issuers publish: Visa, Mastercard, American Express; IBANs of the registry's examples.
CARDS = ["4111 1111 1111 1111", "5555-5555-5555-4444", "378282246310005"]
IBANS = ["GB29 NWBK 6016 1331 9268 19", "DE89370400440532013000", "NO93 8601 1117 947"]
PEM = "-----BEGIN RSA PRIVATE KEY-----\nMIIBOgIBAAJBAK\nxyz\n-----END RSA PRIVATE KEY-----"
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U"


def found(text, **options):
    redacted, counts = Redactor(**options).redact_text(text)
    return redacted, dict(counts)


@pytest.mark.parametrize(
    ("text", "redacted"),
    [
        ("Mail ana.ortiz+x@example.co.uk, please.", "Mail [EMAIL], please."),
        ("jürgen@müller.de", "[EMAIL]"),
        *((f"Card {card}.", "Card [CARD].") for card in CARDS),
        *((f"Pay to {number} today", "Pay to [IBAN] today") for number in IBANS),
        ("IBAN GB29 NWBK 6016 1331 9268 19 AND THEN", "IBAN [IBAN] AND THEN"),
        ("Call +44 20 7946 0958 or 0044 20 7946 0958", "Call [PHONE] or [PHONE]"),
        ("from 203.0.113.7:443 and 2001:db8::ff00:42:8329", "from [IP]:443 and [IP]"),
        ("key sk-ant-api03-abcdefghijklmnop1234", "key [SECRET]"),
        ("AKIAIOSFODNN7EXAMPLE and ghp_16C7e42F292c6912E7710c838347Ae178B4a", "[SECRET] and [SECRET]"),
        ("github_pat_11ABCDEFG0abcdefghijklmn", "[SECRET]"),
        ("Authorization: Bearer abcDEF123._~+/-xyz789==", "Authorization: Bearer [SECRET]"),
        (f"a {PEM} b", "a [SECRET] b"),
        ("a -----BEGIN PRIVATE KEY-----\nMIIB", "a [SECRET]"),
        (JWT, "[SECRET]"),
        ('api_key = "q7Zp91xLm2Rt"', 'api_key = "[SECRET]"'),
        ("password: Tr0ub4dor&3x", "password: [SECRET]"),
        ("İ PASSWORD: Tr0ub4dor&3x", "İ PASSWORD: [SECRET]"),
        # Whichever of a kind comes first.
        ("2001:db8::ff00:42:8329 and 203.0.113.7", "[IP] and [IP]"),
        (f"sk-ant-api03-abcdefghijklmnop1234 {PEM}", "[SECRET] [SECRET]"),
        # Numbers of persons as their authorities publish them for examples.
        ("SSN 078-05-1120, ssn: 078051120", "SSN [NATIONAL_ID], ssn: [NATIONAL_ID]"),
        ("NI number AB 12 34 56 C", "NI number [NATIONAL_ID]"),
        ("DNI 54362315K, NIE X2482300W", "DNI [NATIONAL_ID], NIE [NATIONAL_ID]"),
        ("RCCMLD83S18D969H", "RCCMLD83S18D969H"),
        ("RCCMNL83S18D969H", "[NATIONAL_ID]"),
        ("2 95 10 99 126 111 93", "[NATIONAL_ID]"),
        ("CPF 390.533.447-05", "CPF [NATIONAL_ID]"),
        ("Steuer-ID: 36 574 261 809", "Steuer-ID: [NATIONAL_ID]"),
        ("her BSN is 111222333", "her BSN is [NATIONAL_ID]"),
        ("PESEL 44051401359", "PESEL [NATIONAL_ID]"),
        ("personnummer 811228-9874", "personnummer [NATIONAL_ID]"),
    ],
)
def test_personal_data_and_secrets_go(text, redacted):
    assert found(text)[0] == redacted


@pytest.mark.parametrize(
    "text",
    [
        "order 4111111111111112 and 1234567890123456",  # 16 digits, wrong check digit
        "0000 0000 0000 0000",
        "3.1415926535897932",
        "GB29 NWBK 6016 1331 9268 18",  # wrong checksum
        "the price is $1,234,567.89, or 12 x 34 = 408; 10 - 4 = 6",
        "2026-03-01 10:30:15, 10:30:15.123456, version 1.2.3",
        "values[1::2], a::b, std::vector, 12:34",
        "user @ home, @mention, a@b",
        "token: the shared word, secret = something",
        "127.0.0.1 and ::1 are this machine, 999.1.1.1 is nothing",
        "sk-short, AKIA123, Bearer token",
        "555-2671 or 20 7946 0958",  # no country code, and no region was chosen
        "1+1=2 +12 +345678",
        "order 36574261809, item 111222333, lot 54362315A, ref 000-12-3456 and 900-12-3456",
    ],
)
def test_ordinary_text_stays(text):
    assert found(text) == (text, {})


def test_a_region_finds_national_numbers_but_not_sums():
    assert found("Call (415) 555-2671 now", region="US") == ("Call [PHONE] now", {"phone": 1})
    assert found("Ruf 030 901820 an", region="DE") == ("Ruf [PHONE] an", {"phone": 1})
    for region in ("US", "DE"):
        text = "750 - 250 = 500 and 2920 - 3000, 9907692 in all"
        assert found(text, region=region) == (text, {})


def test_names_come_from_the_users_dictionary_only():
    text = "Ana Maria Ortiz met Will; ana will see Ortiz's will. JÜRGEN came."
    assert found(text) == (text, {})
    names = ["Ana", "Ana Maria Ortiz", "Jürgen", "will"]
    assert found(text, names=names) == ("[NAME] met [NAME]; ana will see Ortiz's will. [NAME] came.", {"name": 3})


def test_custom_patterns_have_their_own_label_and_come_first():
    assert found("ticket T-1234 of a@b.com", patterns={"ticket no": r"T-\d+"}) == (
        "ticket [TICKET_NO] of [EMAIL]",
        {"ticket no": 1, "email": 1},
    )


def test_a_pattern_that_never_ends_is_stopped(monkeypatch):
    monkeypatch.setattr("evaluations.capture.detectors.CUSTOM_SECONDS", 0.05)
    redactor = Redactor(patterns={"evil": r"(a|aa)+$"})
    with pytest.raises(RedactionError, match="'evil' takes too long"):
        redactor.redact_text("a" * 60 + "b")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kinds": ["email", "shoe"]}, "unknown redaction kind 'shoe'"),
        ({"patterns": {"x": "("}}, "the pattern for 'x' is not a regular expression"),
        ({"patterns": {"x": "a" * 501}}, "longer than 500 characters"),
    ],
)
def test_bad_settings_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        Redactor(**options)


def test_only_the_chosen_kinds_are_redacted():
    assert found("a@b.com 203.0.113.7", kinds=["ip"]) == ("a@b.com [IP]", {"ip": 1})


def test_json_values_keep_their_shape_structure_and_images():
    value = {
        "messages": [
            {
                "role": "user",
                "content": [{"type": "text", "text": "I am a@b.com"}, {"type": "image", "url": "data:a@b.com"}],
            },
            {"role": "tool", "tool_call_id": "call_a@b.com", "content": '{"ip": "203.0.113.7"}'},
        ],
        "n": 4111111111111111,
        "none": None,
    }
    redacted, counts = Redactor().redact(value)
    assert counts == Counter(email=1, ip=1)
    assert redacted["messages"][0]["content"] == [
        {"type": "text", "text": "I am [EMAIL]"},
        {"type": "image", "url": "data:a@b.com"},
    ]
    assert redacted["messages"][1] == {"role": "tool", "tool_call_id": "call_a@b.com", "content": '{"ip": "[IP]"}'}
    assert (redacted["n"], redacted["none"]) == (4111111111111111, None)
    assert value["messages"][0]["content"][0]["text"] == "I am a@b.com"


def test_a_sample_is_redacted_everywhere_and_its_labels_stay_joinable():
    def sample(line):
        return CapturedSample(
            line=line,
            external_id="order-7",
            cluster="ana@example.com",
            request={"messages": [{"role": "user", "content": "ana@example.com"}]},
            reference={"mail": "ana@example.com"},
            segments={"who": "ana@example.com", "language": "de"},
            response=CapturedResponse(text="ana@example.com", message={"content": "ana@example.com"}),
        )

    redactor = Redactor(secret=b"s")
    redacted, counts = redactor.redact_sample(sample(1))
    assert "ana" not in repr(redacted)
    assert counts == Counter(email=6)
    assert redacted.external_id == "order-7"
    assert redacted.segments == {"who": "[EMAIL]", "language": "de"}
    assert redactor.redact_sample(sample(2))[0].cluster == redacted.cluster
    assert Redactor(secret=b"s").redact_sample(sample(1))[0].cluster == redacted.cluster
    assert Redactor(secret=b"t").redact_sample(sample(1))[0].cluster != redacted.cluster


@pytest.mark.parametrize("region", [None, "US", "DE", "GB"])
def test_a_thousand_maths_questions_are_left_alone(region):
    with gzip.open(shared_data("gsm8k", "items.jsonl.gz"), "rt") as lines:
        items = [json.loads(line) for line in lines]
    redactor = Redactor(region=region)
    assert len(items) == 1319
    assert [redactor.redact(item["messages"]) for item in items] == [(item["messages"], Counter()) for item in items]


def test_five_thousand_samples_a_second():
    sentence = "A customer in room 12 asks at 10:30 for 3 invoices over $1,250.75; please answer politely and briefly. "
    value = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": (sentence * 11)[:1024]}]
    redactor = Redactor(region="US")
    assert redactor.redact(value)[1] == Counter()
    best = min(_cpu_seconds(lambda: [redactor.redact(value) for _ in range(200)]) for _ in range(3))
    assert 200 / best > 5_000


def _cpu_seconds(work):
    start = time.process_time()
    work()
    return time.process_time() - start
