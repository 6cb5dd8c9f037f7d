"""Programs that use the API: each acts for a person with a token, and speaks JSON."""

from __future__ import annotations

import json
from typing import Any

from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from evaluations.models import Endpoint
from pilots.enums import TokenScope
from pilots.services.tokens import create_token
from tests import factories as make

ROOT = "/api/v1/"
PROBLEM = "application/problem+json"
# A body that a pilot's plan can be frozen from.
DEFINITION: dict[str, Any] = {
    "hypothesis": "as good",
    "scorers": [{"name": "exact"}],
    "criteria": [{"metric": "exact", "margin": "0.03"}],
    "minimum_samples": 1,
    "budget": {"amount": "5"},
}


def token_of(person: User, *scopes: TokenScope, days: int = 30) -> str:
    _, text = create_token(
        user=person,
        name="a program",
        scopes=scopes or list(TokenScope),
        days=days,
        by=make.actor(person.username),
        at=timezone.now(),
    )
    return text


class Program:
    """Requests with a token; answers with a status and a document."""

    def __init__(self, person: User, *scopes: TokenScope) -> None:
        self.person = person
        self.client = Client(headers={"Authorization": f"Bearer {token_of(person, *scopes)}"})

    def send(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        """The response; its document is ``response.json()``."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        address = path if path.startswith(("http", "/")) else ROOT + path
        raw = body if isinstance(body, bytes | str) else "" if body is None else json.dumps(body)
        return self.client.generic(method, address, raw, content_type="application/json", headers=named)

    def get(self, path: str) -> Any:
        """The document of a GET that goes well."""
        response = self.send("GET", path)
        assert response.status_code == 200, response.content
        return response.json()

    def post(self, path: str, body: Any = None, *, status: int = 201, **headers: str) -> Any:
        response = self.send("POST", path, body, **headers)
        assert response.status_code == status, response.content
        return response.json()

    def patch(self, path: str, body: Any, *, status: int = 200) -> Any:
        response = self.send("PATCH", path, body)
        assert response.status_code == status, response.content
        return response.json()

    def put(self, path: str, body: Any, *, status: int = 200) -> Any:
        response = self.send("PUT", path, body)
        assert response.status_code == status, response.content
        return response.json()

    def refused(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, str]:
        """Status and detail of a request that is answered with a problem document."""
        response = self.send(method, path, body, **headers)
        assert response.headers["Content-Type"] == PROBLEM, response.content
        document = response.json()
        assert (document["status"], document["request_id"]) == (response.status_code, response.headers["X-Request-ID"])
        return response.status_code, document["detail"]


def manager(team: str = "support", *scopes: TokenScope) -> Program:
    return Program(make.member(make.team(team)), *scopes)


def administrator() -> Program:
    return Program(make.user(is_superuser=True))


def endpoint(model: str, slug: str = "") -> Endpoint:
    return Endpoint.objects.create(
        slug=slug or f"{model}-prod",
        model=make.model(model),
        protocol="openai_chat",
        base_url="https://api.openai.com/v1",
        wire_model=model,
        region="eu",
    )
