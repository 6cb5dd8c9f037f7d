"""P22: every route, found in the URL conf, with every verb, as every role: nothing of another team shows or moves.

An object of another team is answered like one that is not there, letter by letter.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from typing import Any

import pytest
from django.apps import apps
from django.test import Client
from django.urls import URLPattern
from django.utils import timezone

from evaluations.enums import AuditSource, TeamRole
from evaluations.models import AuditEvent, SampleSet, Team
from evaluations.services.audit import Actor
from pilots.api.urls import described
from pilots.models import ApiToken, IdempotentRequest
from pilots.services.exports import ask_for_export
from tests import factories as make
from tests.pilots.api.programs import DEFINITION, ROOT, Program, endpoint
from tests.pilots.views.people import planned_pilot
from tests.replays import start

pytestmark = pytest.mark.django_db

VERBS = ("GET", "POST", "PUT", "PATCH", "DELETE")
ROLES = list(TeamRole)
# Reference data that everybody signed in may read: of no team.
SHARED = {"vendors", "models", "endpoints", "prices", "claims", "schema"}
# A name of each parameter that no object has.
ABSENT = {"slug": "nothing-here", "pk": "999999999", "seq": "999999", "user": "nobody", "name": "nothing"}


def _routes() -> list[str]:
    """Every described route that an address of one team's object can be made for."""
    assert all(isinstance(route, URLPattern) for route in described)
    return [str(route.pattern) for route in described]


def _address(route: str, values: dict[str, str]) -> str:
    filled = route
    for converter, name in (part[1:-1].split(":") for part in _parameters(route)):
        filled = filled.replace(f"<{converter}:{name}>", values[name])
    return filled


def _parameters(route: str) -> list[str]:
    return [f"<{part.partition('>')[0]}>" for part in route.split("<")[1:]]


# Bodies that would do something, were it the caller's own object.
BODIES: dict[str, dict[str, Any]] = {
    "pilots/<api_text:slug>/events": {"kind": "abandoned"},
    "pilots/<api_text:slug>/plan": {"plan": DEFINITION},
    "pilots/<api_text:slug>": {"motive": "cost"},
    "pilots/<api_text:slug>/schedule": {"cron": "0 2 * * *"},
    "workloads/<api_text:slug>": {"name": "taken over"},
    "teams/<api_text:slug>": {"name": "taken over"},
    "teams/<api_text:slug>/members/<api_text:user>": {"role": "admin"},
    "teams/<api_text:slug>/data-agreement": {"vendors": ["openai"], "regions": ["*"], "purposes": ["evaluation"]},
}


class World:
    """Team ``support`` with an object of every kind, and team ``legal`` that must not see any of it."""

    def __init__(self) -> None:
        self.pilot = planned_pilot(n=2)
        assert self.pilot.plan is not None
        self.team: Team = self.pilot.workload.team
        self.run = start(self.pilot.plan)
        self.owner = make.member(self.team, "owner")
        actor = Actor.person(self.owner, AuditSource.API)
        self.export = ask_for_export(key="portfolio", filters={}, by=actor, at=timezone.now())
        make.traffic(self.pilot.workload, "2026-01-01", {self.pilot.incumbent.slug: 4711})
        self.sample_set = SampleSet.objects.get()
        make.workload("memos", "legal")

    def values(self, route: str) -> dict[str, str]:
        kind = route.partition("/")[0]
        slug = {"teams": self.team.slug, "workloads": self.pilot.workload.slug}.get(kind, self.pilot.slug)
        keys = {"sample-sets": self.sample_set.pk, "replay-runs": self.run.pk, "exports": self.export.pk}
        return {"slug": slug, "pk": str(keys.get(kind, 0)), "seq": "1", "user": "owner", "name": "retention"}

    def secrets(self) -> list[str]:
        """What must not appear in an answer to somebody of another team."""
        return ["triage", "support", "4711", self.sample_set.digest]


def _of_a_team(route: str) -> bool:
    return "<" in route and route.partition("/")[0] not in SHARED | {"reports"}


def _state() -> dict[str, list[Any]]:
    """Everything that somebody of another team must not have moved."""
    skipped = {ApiToken, IdempotentRequest}
    found = {}
    for model in apps.get_models():
        if model._meta.app_label in ("pilots", "evaluations") and model not in skipped:
            found[model.__name__] = list(model._default_manager.order_by("pk").values_list())
    return found


def _told(response: Any) -> tuple[int, dict[str, Any] | bytes]:
    """Status and document, without the request's own id."""
    document = json.loads(response.content) if response.content else {}
    return response.status_code, {name: value for name, value in document.items() if name != "request_id"}


def _attempts() -> Iterator[tuple[str, str]]:
    return itertools.product((route for route in _routes() if _of_a_team(route)), VERBS)


def test_the_routes_are_found() -> None:
    routes = _routes()
    assert len(routes) == 45
    assert sum(map(_of_a_team, routes)) == 26
    assert set(BODIES) <= set(routes)


@pytest.mark.parametrize("role", ROLES)
def test_an_object_of_another_team_is_answered_like_none_and_does_not_move(role: TeamRole) -> None:
    world = World()
    foreign = Program(make.member(make.team("legal"), role=role))
    foreign.get("vendors")
    before = _state()
    told = {}
    for route, verb in _attempts():
        body = BODIES.get(route, {})
        own = _told(foreign.send(verb, _address(route, world.values(route)), body))
        none = _told(foreign.send(verb, _address(route, {**world.values(route), **ABSENT}), body))
        told[verb, route] = (own, none)
    different = {key: pair for key, pair in told.items() if pair[0] != pair[1]}
    assert different == {}
    answered = {key: own[0] for key, (own, _) in told.items()}
    assert {status for (verb, _), status in answered.items() if verb == "GET"} <= {404, 405}
    assert set(answered.values()) == {404, 405}
    assert _state() == before


@pytest.mark.parametrize("role", ROLES)
def test_lists_reports_and_counts_of_another_team_are_empty(role: TeamRole) -> None:
    world = World()
    foreign = Program(make.member(make.team("legal"), role=role))
    lists = [route for route in _routes() if "<" not in route and route not in SHARED]
    narrowed = [
        f"pilots?team={world.team.slug}",
        f"pilots?workload={world.pilot.workload.slug}",
        f"workloads?team={world.team.slug}",
        f"sample-sets?workload={world.pilot.workload.slug}",
        f"replay-runs?pilot={world.pilot.slug}",
        f"traffic?workload={world.pilot.workload.slug}",
    ]
    for path in [*lists, *narrowed]:
        text = json.dumps(foreign.get(path)["results"])
        assert [word for word in world.secrets() if word in text] == [], path
    for name in ("retention", "portfolio", "evidence"):
        for query in ("", f"?run={world.run.pk}", f"?set={world.sample_set.pk}"):
            found = foreign.get(f"reports/{name}{query}")
            del found["filters"], found["known_at"]
            assert [word for word in world.secrets() if word in json.dumps(found)] == [], name


def test_an_object_of_another_team_in_a_body_is_absent() -> None:  # B38
    world = World()
    legal = make.team("legal")
    foreign = Program(make.member(legal, role=TeamRole.ADMIN))
    endpoint("gpt-4")
    own = make.pilot(workload=make.workload("memos", "legal"))
    pilot = {
        "slug": "mine",
        "incumbent": {"model": "old", "recorded": True},
        "candidate": {"endpoint": "gpt-4-prod"},
        "plan": DEFINITION,
    }
    for path, body, name in (
        ("pilots", {**pilot, "workload": world.pilot.workload.slug}, "workload"),
        ("pilots", {**pilot, "workload": "memos", "owner": world.owner.username}, "owner"),
        ("workloads", {"slug": "mine", "team": world.team.slug}, "team"),
        (f"pilots/{own.slug}/replays", {"set": world.sample_set.pk}, "set"),
    ):
        response = foreign.send("POST", path, body)
        assert (response.status_code, response.json()["errors"][0]["field"]) == (400, name), response.content
        absent = {**body, name: 10**6 if name == "set" else "nothing-here"}
        said = foreign.send("POST", path, absent).json()["detail"]
        value, other = str(body[name]), str(absent[name])
        assert response.json()["detail"].replace(value, "?") == said.replace(other, "?")


@pytest.mark.parametrize("route", _routes())
def test_without_a_name_nothing_is_answered(route: str) -> None:
    values = {"slug": "x", "pk": "1", "seq": "1", "user": "x", "name": "retention"}
    before = AuditEvent.objects.count()
    statuses = {Client().generic(verb, ROOT + _address(route, values)).status_code for verb in VERBS}
    assert (statuses, AuditEvent.objects.count()) == ({401}, before)


def test_a_role_that_was_taken_away_is_gone_with_the_next_request() -> None:  # B49
    world = World()
    program = Program(world.owner)
    assert program.send("GET", f"pilots/{world.pilot.slug}").status_code == 200
    membership = world.team.memberships.get(user=world.owner)
    membership.role = TeamRole.VIEWER
    membership.save()
    assert program.refused("POST", f"pilots/{world.pilot.slug}/events", {"kind": "abandoned"})[0] == 403
    membership.delete()
    assert program.refused("GET", f"pilots/{world.pilot.slug}")[0] == 404
