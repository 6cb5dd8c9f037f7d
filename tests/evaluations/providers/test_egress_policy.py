"""Where calls may go. The lists of addresses are RELIABILITY.md's B51, B52 and B54."""

from __future__ import annotations

import ipaddress

import pytest

from evaluations.enums import Outcome
from evaluations.providers.egress import EgressPolicy, EgressRefused, check_base_url

OPEN = EgressPolicy()
LOOPBACK = EgressPolicy.from_environment({"PILOTS_EGRESS_ALLOW": "127.0.0.0/8, ::1/128,10.0.0.0/8"})

LOOPBACK_SPELLINGS = (
    "http://127.0.0.1",
    "https://127.0.0.1",
    "https://localhost",
    "https://LOCALHOST",
    "https://api.localhost",
    "https://127.1",
    "https://2130706433",
    "https://0x7f.1",
    "https://0X7F.0.0.1",
    "https://017700000001",
    "https://0",
    "https://[::1]",
    "https://[::ffff:127.0.0.1]",
    "https://[::]",
    "https://10.1.2.3",
    "https://192.168.0.1",
    "https://172.31.0.1",
    "https://100.64.0.1",
    "https://224.0.0.1",
    "https://255.255.255.255",
    "https://[fe80::1]",
    "https://[fc00::1]",
    "https://[ff02::1]",
    "https://printer.local",
    "https://db.internal",
)
ALWAYS_REFUSED = (
    "https://169.254.169.254",
    "http://169.254.169.254/latest/meta-data",
    "https://2852039166",
    "https://[::ffff:169.254.169.254]",
    "https://[fd00:ec2::254]",
    "https://metadata.google.internal",
    "https://metadata",
    "https://100.100.100.200",
    "https://168.63.129.16",
    "https://[64:ff9b::a9fe:a9fe]",
    "https://[2002:7f00:1::]",
    "https://[2001:0:1::1]",
    "https://192.0.0.192",
)
MALFORMED = (
    "https://user:pass@api.example.com",
    "https://user@api.example.com",
    "https://api.example.com#@evil.example",
    "https://api.example.com?x=1",
    "https://api.example.com\\@evil.example",
    "https://api.example.com/\tv1",
    "https://api.example.com/\r\nHost: evil",
    "https://api.example.com/ v1",
    "https://api.example.com:22",
    "https://api.example.com:6379",
    "https://api.example.com:99999",
    "http://api.example.com",
    "gopher://api.example.com",
    "file:///etc/passwd",
    "ftp://api.example.com",
    "https://аpi.example.com",
    "https://api.example.com.",
    "https://",
    "https:///v1",
    "https://[::1%25lo]",
    "https://999.1.1.1",
    "api.example.com",
    "",
)


@pytest.mark.parametrize("url", [*LOOPBACK_SPELLINGS, *ALWAYS_REFUSED, *MALFORMED])
def test_refused_by_default(url: str) -> None:
    with pytest.raises(EgressRefused) as refused:
        check_base_url(url, OPEN)
    assert refused.value.outcome is Outcome.UNREACHABLE
    assert len(str(refused.value)) > 20


@pytest.mark.parametrize(
    "url",
    [
        "https://api.openai.com/v1",
        "https://api.openai.com:443/v1",
        "https://API.OpenAI.com/v1",
        "https://gateway.example.com:8443",
        "https://8.8.8.8",
        "https://[2606:4700::1111]/v1",
        "https://eu-aiplatform.googleapis.com",
    ],
)
def test_the_public_internet_is_open_over_https(url: str) -> None:
    check_base_url(url, OPEN)


@pytest.mark.parametrize("url", [*ALWAYS_REFUSED])
def test_metadata_and_translated_addresses_stay_closed_whatever_is_listed(url: str) -> None:
    everything = EgressPolicy.from_environment(
        {"PILOTS_EGRESS_ALLOW": "0.0.0.0/0,::/0,169.254.169.254:443,metadata.google.internal:443,metadata:443"}
    )
    with pytest.raises(EgressRefused):
        check_base_url(url, everything)


def test_a_listed_door_opens_exactly_that_door() -> None:
    policy = EgressPolicy.from_environment({"PILOTS_EGRESS_ALLOW": "127.0.0.1:9100,vllm.internal:8000,[::1]:9"})
    for url in ("http://127.0.0.1:9100", "http://127.1:9100/v1", "http://vllm.internal:8000/v1", "http://[::1]:9"):
        check_base_url(url, policy)
    for url in ("http://127.0.0.1:9101", "http://127.0.0.2:9100", "http://vllm.internal:8001", "http://localhost:9100"):
        with pytest.raises(EgressRefused):
            check_base_url(url, policy)


def test_a_listed_network_opens_its_addresses_on_every_port() -> None:
    for url in ("http://127.0.0.1:9100", "http://127.8.8.8", "http://[::1]:5000", "https://10.1.2.3:8000"):
        check_base_url(url, LOOPBACK)
    for url in ("http://192.168.0.1", "http://example.com", "http://localhost:9100"):
        with pytest.raises(EgressRefused):
            check_base_url(url, LOOPBACK)


@pytest.mark.parametrize(
    ("address", "allowed"),
    [
        ("93.184.216.34", True),
        ("2606:4700::1111", True),
        ("127.0.0.1", False),
        ("10.0.0.1", False),
        ("100.64.0.1", False),
        ("::ffff:10.0.0.1", False),
        ("::", False),
        ("fe80::1", False),
        ("64:ff9b::808:808", False),
        ("224.0.0.1", False),
        ("168.63.129.16", False),
        ("198.18.0.1", False),
    ],
)
def test_the_address_a_name_leads_to_is_judged(address: str, allowed: bool) -> None:
    def check() -> None:
        OPEN.check_address(ipaddress.ip_address(address), host="api.example.com", port=443)

    if allowed:
        check()
    else:
        with pytest.raises(EgressRefused, match=r"api\.example\.com"):
            check()


def test_a_listed_name_may_lead_to_a_private_address_but_not_to_metadata() -> None:
    policy = EgressPolicy.from_environment({"PILOTS_EGRESS_ALLOW": "vllm.internal:8000"})
    policy.check_address(ipaddress.ip_address("10.0.0.7"), host="vllm.internal", port=8000)
    for address, port in (("10.0.0.7", 8001), ("169.254.169.254", 8000), ("2002:7f00:1::", 8000)):
        with pytest.raises(EgressRefused):
            policy.check_address(ipaddress.ip_address(address), host="vllm.internal", port=port)


@pytest.mark.parametrize("entry", ["vllm.internal", "host:notaport", "10.0.0.0/99", "user@host:1", "http://x:1"])
def test_an_unusable_entry_is_named(entry: str) -> None:
    with pytest.raises(ValueError, match="PILOTS_EGRESS_ALLOW"):
        EgressPolicy.from_environment({"PILOTS_EGRESS_ALLOW": entry})


def test_the_environment_is_read_whole() -> None:
    policy = EgressPolicy.from_environment(
        {"PILOTS_EGRESS_ALLOW": "", "PILOTS_EGRESS_PROXY": "http://proxy:3128", "PILOTS_CA_BUNDLE": "ca.pem"}
    )
    assert (policy.allowed_doors, policy.allowed_networks) == (frozenset(), ())
    assert (policy.proxy, policy.ca_bundle) == ("http://proxy:3128", "ca.pem")
    assert EgressPolicy.from_environment({}) == EgressPolicy()
