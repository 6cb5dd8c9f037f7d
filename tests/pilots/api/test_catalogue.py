"""The catalogue over the API: everybody reads it, site administrators change it, and no key ever passes through."""

from __future__ import annotations

from typing import Any

import pytest

from evaluations.models import AuditEvent, Endpoint, Price
from tests import factories as make
from tests.pilots.api.programs import administrator, endpoint, manager

pytestmark = pytest.mark.django_db

ENDPOINT: dict[str, Any] = {
    "slug": "mai-prod",
    "model": "mai-thinking-1",
    "protocol": "mai_chat",
    "base_url": "https://mai.example.com",
    "region": "eu",
    "credential_env": "MAI_KEY",
    "requests_per_minute": 600,
}


def test_a_vendor_with_its_model_endpoint_and_price() -> None:
    program = administrator()
    assert program.post("vendors", {"slug": "microsoft", "name": "Microsoft"}) == {
        "slug": "microsoft",
        "name": "Microsoft",
    }
    model = {"slug": "mai-thinking-1", "vendor": "microsoft", "family": "mai-thinking", "retires_on": "2028-01-01"}
    assert program.post("models", model) == {**model, "retirement_announced_on": None}
    made = program.post("endpoints", ENDPOINT)
    assert {name: made[name] for name in ENDPOINT} == ENDPOINT
    assert (made["wire_model"], made["version"]) == ("mai-thinking-1", 1)
    price = {
        "model": "mai-thinking-1",
        "endpoint": "mai-prod",
        "effective_from": "2026-06-02",
        "input_per_mtok": "1.10",
        "output_per_mtok": 4.4,
    }
    stored = program.post("prices", price)
    shown = ("kind", "currency", "input_per_mtok", "output_per_mtok", "cache_read_per_mtok")
    assert [stored[name] for name in shown] == ["contract", "USD", "1.1", "4.4", None]
    assert program.get(f"prices/{stored['id']}") == stored
    assert program.get("endpoints/mai-prod") == made
    assert program.get("models/mai-thinking-1")["vendor"] == "microsoft"
    assert program.get("vendors/microsoft")["name"] == "Microsoft"


def test_where_a_new_row_is_found() -> None:
    response = administrator().send("POST", "vendors", {"slug": "microsoft"})
    assert response.headers["Location"] == "/api/v1/vendors/microsoft"


def test_the_same_price_again_corrects_it() -> None:
    make.model("gpt-4")
    program = administrator()
    price = {"model": "gpt-4", "effective_from": "2026-01-01", "input_per_mtok": "30"}
    first = program.post("prices", price)
    second = program.post("prices", {**price, "output_per_mtok": "60"}, status=200)
    assert (second["id"], second["input_per_mtok"], second["output_per_mtok"]) == (first["id"], "30", "60")
    assert Price.objects.count() == 1


@pytest.mark.parametrize("path", ["vendors", "models", "endpoints"])
def test_a_name_that_is_taken_is_a_conflict(path: str) -> None:
    make.model("mai-thinking-1", "microsoft")
    endpoint("mai-thinking-1", "mai-prod")
    body = {
        "vendors": {"slug": "microsoft", "name": "Other"},
        "models": {"slug": "mai-thinking-1", "vendor": "microsoft"},
        "endpoints": ENDPOINT,
    }
    before = AuditEvent.objects.count()
    status, detail = administrator().refused("POST", path, body[path])
    assert (status, detail.partition(" ")[2]) == (409, "is taken")
    assert AuditEvent.objects.filter(sequence__gt=before, action__startswith="catalogue").count() == 0


def test_a_change_leaves_what_it_does_not_name_and_clears_what_it_names_null() -> None:
    make.model("gpt-4", family="gpt", retires_on="2026-10-23")
    program = administrator()
    assert program.patch("models/gpt-4", {"family": "gpt-classic"})["retires_on"] == "2026-10-23"
    assert program.patch("models/gpt-4", {"retires_on": None}) == {
        "slug": "gpt-4",
        "vendor": "openai",
        "family": "gpt-classic",
        "retirement_announced_on": None,
        "retires_on": None,
    }
    assert program.patch("vendors/openai", {"name": "OpenAI, Inc."})["name"] == "OpenAI, Inc."


def test_a_key_stays_with_the_host_it_was_named_for() -> None:  # B55
    make.model("mai-thinking-1", "microsoft")
    program = administrator()
    program.post("endpoints", ENDPOINT)
    moved = {"base_url": "https://elsewhere.example.com"}
    status, detail = program.refused("PATCH", "endpoints/mai-prod", moved)
    assert (status, detail) == (
        400,
        "credential_env was named for mai.example.com; name it again for another host",
    )
    assert Endpoint.objects.get().base_url == "https://mai.example.com"
    assert program.patch("endpoints/mai-prod", {"base_url": "https://mai.example.com/eu"})["version"] == 2
    changed = program.patch("endpoints/mai-prod", {**moved, "credential_env": "OTHER_KEY"})
    assert (changed["base_url"], changed["credential_env"]) == (moved["base_url"], "OTHER_KEY")


def test_a_stale_change_says_the_present_version() -> None:  # B39
    make.model("mai-thinking-1", "microsoft")
    program = administrator()
    program.post("endpoints", ENDPOINT)
    program.patch("endpoints/mai-prod", {"region": "us", "version": 1})
    stale = program.send("PATCH", "endpoints/mai-prod", {"region": "de", "version": 1})
    assert (stale.status_code, stale.json()["current_version"]) == (409, 2)
    assert Endpoint.objects.get().region == "us"


@pytest.mark.parametrize(
    ("base_url", "what"),
    [
        ("http://169.254.169.254/v1", "169.254.169.254 is or leads to the metadata or translated address"),
        ("http://10.0.0.1/v1", "10.0.0.1 leads to the non-public address"),
        ("https://user:pass@api.example.com/v1", ""),
        ("file:///etc/passwd", ""),
        ("gopher://x/", ""),
    ],
)
def test_an_address_that_may_not_be_called_is_refused(base_url: str, what: str) -> None:
    make.model("mai-thinking-1", "microsoft")
    status, detail = administrator().refused("POST", "endpoints", {**ENDPOINT, "base_url": base_url})
    assert (status, detail[: len(what)], Endpoint.objects.count()) == (400, what, 0)


def test_the_value_of_a_key_is_shown_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAI_KEY", "canary-4711")
    make.model("mai-thinking-1", "microsoft")
    program = administrator()
    program.post("endpoints", ENDPOINT)
    assert b"canary" not in program.send("GET", "endpoints").content + program.send("GET", "endpoints/mai-prod").content
    assert program.refused("POST", "endpoints", {**ENDPOINT, "slug": "x", "api_key": "canary"})[0] == 400


def test_others_read_the_catalogue_and_change_nothing() -> None:
    make.model("gpt-4")
    endpoint("gpt-4")
    program = manager()
    assert [row["slug"] for row in program.get("models")["results"]] == ["gpt-4"]
    bodies = {
        "vendors": {"slug": "new"},
        "models": {"slug": "new", "vendor": "openai"},
        "endpoints": {**ENDPOINT, "model": "gpt-4"},
        "prices": {"model": "gpt-4", "effective_from": "2026-01-01"},
    }
    before = AuditEvent.objects.filter(action__startswith="catalogue").count()
    said = "Only a site administrator changes the catalogue."
    assert [program.refused("POST", path, body) for path, body in bodies.items()] == [(403, said)] * 4
    changes = ["vendors/openai", "models/gpt-4", "endpoints/gpt-4-prod"]
    assert [program.refused("PATCH", path, {}) for path in changes] == [(403, said)] * 3
    assert AuditEvent.objects.filter(action__startswith="catalogue").count() == before


def test_claims_are_recorded_once_and_by_managers() -> None:
    make.model("gpt-4")
    program = manager()
    claim = {"model": "gpt-4", "words": "trained on clean data", "kind": "provenance", "stated_on": "2026-06-02"}
    first = program.post("claims", claim)
    assert program.post("claims", claim, status=200) == first
    assert program.get("claims?kind=provenance")["results"] == [first] == [program.get(f"claims/{first['id']}")]
    assert program.get("claims?kind=cost")["results"] == []
