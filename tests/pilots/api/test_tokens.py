"""Programs identify themselves with tokens that can be narrowed, expire and be revoked; browsers with their session."""

from __future__ import annotations

import re
from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import call_command
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from evaluations.enums import AuditSource
from evaluations.models import AuditEvent
from evaluations.services.errors import Conflict
from pilots.enums import TokenScope
from pilots.models import ApiToken
from pilots.services.tokens import create_token, revoke_token
from tests import factories as make
from tests.pilots.api.programs import Program, manager, token_of
from tests.pilots.views.people import session

pytestmark = pytest.mark.django_db
PILOTS = "/api/v1/pilots"


def _status(token: str) -> int:
    return Client().get(PILOTS, headers={"Authorization": f"Bearer {token}"}).status_code


def test_a_token_is_stored_as_its_digest_alone() -> None:
    text = token_of(make.user())
    token = ApiToken.objects.get()
    assert text.startswith(token.prefix)
    assert len(token.prefix) == 10
    assert text not in str(ApiToken.objects.values_list())
    assert text not in str(AuditEvent.objects.values_list())


def test_a_token_works_until_it_expires_is_revoked_or_its_owner_is_disabled() -> None:
    person = make.member(make.team("support"))
    text = token_of(person)
    assert _status(text) == 200
    assert _status(text + "x") == 401
    ApiToken.objects.update(created_at=timezone.now() - timedelta(2), expires_at=timezone.now() - timedelta(1))
    assert _status(text) == 401
    ApiToken.objects.update(expires_at=timezone.now() + timedelta(1))
    person.is_active = False
    person.save()
    assert _status(text) == 401
    person.is_active = True
    person.save()
    token = ApiToken.objects.get()
    revoke_token(token=token, by=make.actor(), at=timezone.now())
    assert _status(text) == 401
    with pytest.raises(Conflict):
        revoke_token(token=token, by=make.actor(), at=timezone.now())


def test_without_a_token_or_session_the_answer_names_the_scheme() -> None:
    response = Client().get(PILOTS)
    assert (response.status_code, response.headers["WWW-Authenticate"]) == (401, "Bearer")
    assert response.headers["Content-Type"] == "application/problem+json"


def test_use_is_noted_to_the_minute() -> None:
    program = manager()
    program.get("pilots")
    first = ApiToken.objects.get().last_used_at
    assert first is not None
    program.get("pilots")
    assert ApiToken.objects.get().last_used_at == first
    ApiToken.objects.update(last_used_at=first - timedelta(minutes=2))
    program.get("pilots")
    assert ApiToken.objects.get().last_used_at >= first  # type: ignore[operator]


@pytest.mark.parametrize(
    ("scopes", "expected"),
    [
        ([TokenScope.READ], [200, 403, 403]),
        ([TokenScope.WRITE], [403, 201, 415]),
        ([TokenScope.SAMPLES], [403, 403, 415]),
        ([TokenScope.CONTENT], [403, 403, 403]),
    ],
)
def test_a_token_is_good_for_its_scopes_alone(scopes: list[TokenScope], expected: list[int]) -> None:
    make.model("gpt-4")
    make.workload("triage", "support")
    program = manager("support", *scopes)
    claim = {"model": "gpt-4", "words": "matches leading models"}
    # Samples are refused for their form, where the scope lets them be looked at.
    sent = [("GET", "pilots", None), ("POST", "claims", claim), ("POST", "workloads/triage/samples", {})]
    assert [program.send(*request).status_code for request in sent] == expected


def test_a_session_may_read_and_with_the_csrf_token_write() -> None:
    make.model("gpt-4")
    client = Client(enforce_csrf_checks=True)
    client.force_login(make.member(make.team("support")))
    assert client.get(PILOTS).status_code == 200
    claim = {"model": "gpt-4", "words": "matches leading models"}
    refused = client.post("/api/v1/claims", claim, content_type="application/json")
    assert (refused.status_code, refused.json()["title"]) == (403, "Forbidden")
    page = client.get(reverse("pilots:api-docs")).content.decode()
    csrf = re.search(r'data-csrf="(\w+)"', page)
    assert csrf is not None
    headers = {"X-CSRFToken": csrf[1]}
    assert client.post("/api/v1/claims", claim, content_type="application/json", headers=headers).status_code == 201


def test_the_page_shows_a_new_token_once() -> None:
    person = make.member(make.team("support"))
    client = session(person)
    address = reverse("pilots:tokens")
    made = client.post(address, {"name": "gateway", "scopes": ["read", "samples"], "days": "30"})
    assert made.status_code == 201
    text = re.search(r"msp_[\w-]{43}", made.content.decode())
    assert text is not None
    assert _status(text[0]) == 200
    again = client.get(address).content.decode()
    assert text[0] not in again
    assert text[0][:10] in again
    token = ApiToken.objects.get()
    assert (token.user, token.scopes, (token.expires_at - token.created_at).days) == (person, ["read", "samples"], 30)


@pytest.mark.parametrize(
    "given",
    [
        {"name": "", "scopes": ["read"], "days": "30"},
        {"name": "x", "days": "30"},
        {"name": "x", "scopes": ["read"], "days": "366"},
    ],
)
def test_the_page_refuses_a_token_without_name_scope_or_end(given: dict[str, object]) -> None:
    response = session(make.user()).post(reverse("pilots:tokens"), given)
    assert (response.status_code, ApiToken.objects.count()) == (400, 0)


def test_tokens_are_revoked_by_their_owner_alone() -> None:
    owner = make.user()
    text = token_of(owner)
    address = reverse("pilots:revoke-token", args=[ApiToken.objects.get().pk])
    assert session(make.user(is_superuser=True)).post(address).status_code == 404
    assert _status(text) == 200
    assert session(owner).post(address).status_code == 302
    assert _status(text) == 401


def test_making_and_revoking_is_audited() -> None:
    person = make.user("ana")
    token, _ = create_token(
        user=person, name="nightly", scopes=[TokenScope.READ], days=1, by=make.actor("ana"), at=timezone.now()
    )
    revoke_token(token=token, by=make.actor("ana"), at=timezone.now())
    events = AuditEvent.objects.order_by("sequence").values_list("action", "object_label", "actor", "source")
    assert list(events)[-2:] == [
        ("token.created", "nightly", "ana", AuditSource.WEB),
        ("token.revoked", "nightly", "ana", AuditSource.WEB),
    ]


def test_the_command_prints_a_token_that_works() -> None:
    make.member(make.team("support"), "ana")
    out = StringIO()
    call_command("create_token", "ana", "--name", "nightly", "--scope", "read", "--scope", "write", stdout=out)
    assert _status(out.getvalue().strip()) == 200
    assert ApiToken.objects.get().scopes == ["read", "write"]


def test_what_is_recorded_over_the_api_says_so() -> None:
    make.model("gpt-4")
    program = Program(make.member(make.team("support"), "ana"))
    program.post("claims", {"model": "gpt-4", "words": "matches leading models"})
    event = AuditEvent.objects.latest("sequence")
    assert (event.action, event.actor, event.source) == ("claim.recorded", "ana", AuditSource.API)
