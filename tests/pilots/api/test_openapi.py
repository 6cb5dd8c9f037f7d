"""The API describes itself: every route and method, in a document that a validator takes, on a page of ours."""

from __future__ import annotations

import re
from typing import Any

import jsonschema
import pytest
from django.test import Client
from django.urls import reverse

from pilots.api.base import ApiView
from pilots.api.events import KINDS
from pilots.api.openapi import document
from pilots.api.urls import described
from pilots.enums import EventKind
from tests import factories as make
from tests.pilots.api.programs import manager
from tests.pilots.views.people import session

VERBS = ("get", "post", "put", "patch", "delete")
# The contract's "REST, under /api/v1/".
CONTRACT = """
    vendors models endpoints prices teams workloads sample-sets pilots replay-runs traffic claims exports
    workloads/{slug}/samples pilots/{slug}/events pilots/{slug}/plan pilots/{slug}/replays
    replay-runs/{id}/completions replay-runs/{id}/comparisons reports/{name} exports/{id}/file schema/reports/{name}
"""


def _operations() -> dict[tuple[str, str], dict[str, Any]]:
    return {
        (path, verb): operation for path, methods in document()["paths"].items() for verb, operation in methods.items()
    }


def test_every_route_of_the_contract_is_there() -> None:
    assert set(CONTRACT.split()) - {path[1:] for path in document()["paths"]} == set()


def test_every_method_of_every_route_is_described_under_its_own_name() -> None:
    methods = sum(
        hasattr(route.callback.cls, verb)  # type: ignore[attr-defined]
        for route in described
        for verb in VERBS
    )
    operations = _operations()
    assert len(operations) == methods
    assert len({operation["operationId"] for operation in operations.values()}) == methods
    assert all(operation["summary"] for operation in operations.values())


def test_the_document_is_sound() -> None:
    found = document()
    assert found["openapi"] == "3.1.0"
    text = repr(found)
    references = set(re.findall(r"#/components/schemas/(\w+)", text))
    assert references - set(found["components"]["schemas"]) == set()
    for schema in found["components"]["schemas"].values():
        jsonschema.Draft202012Validator.check_schema(schema)
    assert set(found["components"]["securitySchemes"]) == {"token", "cookieAuth"}


def test_every_operation_says_how_it_refuses() -> None:
    for (path, verb), operation in _operations().items():
        expected = {"400", "401", "403", "404"} | (set() if verb == "get" else {"409"})
        assert expected <= set(operation["responses"]), path
        for code, response in operation["responses"].items():
            if int(code) >= 400:
                assert list(response["content"]) == ["application/problem+json"], path


def test_an_amount_is_answered_as_text_and_may_be_sent_as_a_number() -> None:
    schemas = document()["components"]["schemas"]
    assert schemas["Money"]["properties"]["amount"] == {"type": "string", "format": "decimal"}
    assert schemas["MoneyEntry"]["properties"]["amount"] == {"type": ["string", "number"], "format": "decimal"}


def test_every_kind_of_event_is_recorded_or_the_systems_own() -> None:
    assert set(EventKind) - set(KINDS) == {EventKind.PLANNED, EventKind.EVALUATING}


@pytest.mark.django_db
def test_the_document_names_this_sites_address() -> None:
    found = manager().get("schema")
    assert found["servers"] == [{"url": "http://testserver/api/v1"}]
    assert manager().get("schema/")["paths"] == found["paths"]


@pytest.mark.django_db
def test_the_root_leads_to_every_list() -> None:
    program = manager()
    root = program.get("")
    assert set(CONTRACT.split()[:12]) <= set(root)
    for name, address in root.items():
        if name != "docs":
            program.get(address)


@pytest.mark.django_db
def test_every_route_answers_with_a_slash_at_its_end_too() -> None:
    make.pilot("one", workload=make.workload("triage", "support"))
    program = manager()
    for path in ("pilots", "pilots/one", "pilots/one/events", "reports/portfolio", "schema/reports/portfolio"):
        with_slash = program.get(f"{path}/")
        assert list(with_slash) == list(program.get(path))


@pytest.mark.django_db
def test_the_page_has_no_script_or_style_of_its_own() -> None:
    page = session(make.user()).get(reverse("pilots:api-docs"))
    text = page.content.decode()
    assert page.status_code == 200
    assert re.findall(r"<script(?![^>]*\bsrc=)|<style|\son\w+=|style=", text) == []
    assert set(re.findall(r'data-schema="([^"]+)"', text)) == {"/api/v1/schema"}
    assert Client().get(reverse("pilots:api-docs")).status_code == 302


def test_nothing_of_a_hosts_settings_reaches_a_route() -> None:
    """Who is asked, what is read and what is answered is set on the views."""
    for route in described:
        view: type[ApiView] = route.callback.cls  # type: ignore[attr-defined]
        assert issubclass(view, ApiView)
        assert [cls.__name__ for cls in view.authentication_classes] == ["TokenAuthentication", "SessionAuthentication"]
        assert [cls.__name__ for cls in view.permission_classes] == ["IsAuthenticated"]
        assert [cls.__name__ for cls in view.renderer_classes] == ["JSONRenderer"]
