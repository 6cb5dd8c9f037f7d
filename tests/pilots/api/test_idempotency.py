"""A POST with an Idempotency-Key is one request, however often it is sent and whoever dies in between."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from pilots.models import Claim, IdempotentRequest, PilotEvent
from pilots.services import idempotency
from pilots.services.idempotency import AnotherBody, Begun, InFlight, Kept, begin, forget, keep
from tests import factories as make
from tests.pilots.api.programs import Program, manager

pytestmark = pytest.mark.django_db
CLAIM = {"model": "gpt-4", "words": "matches leading models"}


def _send(program: Program, body: Any = None, key: str = "k1", path: str = "claims") -> Any:
    return program.send("POST", path, CLAIM if body is None else body, Idempotency_Key=key)


@pytest.fixture
def program() -> Program:
    make.model("gpt-4")
    return manager()


def test_the_same_request_again_gets_the_same_answer(program: Program) -> None:
    first = _send(program)
    Claim.objects.all().delete()
    again = _send(program)
    assert (first.status_code, again.status_code) == (201, 201)
    assert again.json() == first.json()
    assert again.headers["Location"] == first.headers["Location"]
    assert ("Idempotent-Replayed" in first.headers, again.headers["Idempotent-Replayed"]) == (False, "true")
    assert not Claim.objects.exists()


def test_another_body_or_query_under_the_key_is_refused(program: Program) -> None:
    _send(program)
    other = _send(program, {**CLAIM, "words": "trained on clean data"})
    assert (other.status_code, other.json()["detail"]) == (422, "this Idempotency-Key was used with another body")
    assert Claim.objects.count() == 1


def test_while_it_is_worked_on_the_same_request_is_a_conflict(program: Program) -> None:
    _send(program)
    IdempotentRequest.objects.update(status=None)
    response = _send(program)
    assert (response.status_code, response.headers["Retry-After"]) == (409, "5")


def test_a_request_that_was_refused_leaves_no_trace(program: Program) -> None:
    assert _send(program, {"model": "gpt-9", "words": "x"}).status_code == 400
    assert not IdempotentRequest.objects.exists()
    assert _send(program).status_code == 201


def test_a_key_belongs_to_a_person_and_a_route(program: Program) -> None:
    first = _send(program)
    other = manager("legal")
    assert "Idempotent-Replayed" not in _send(other).headers
    pilot = make.pilot(workload=make.workload("triage", "support"))
    event = _send(program, {"kind": "cutover"}, path=f"pilots/{pilot.slug}/events")
    assert (first.status_code, event.status_code) == (201, 201)
    assert IdempotentRequest.objects.count() == 3


@pytest.mark.parametrize("key", ["", " ", "a b", "ä", "x" * 201])
def test_a_key_is_short_and_visible(program: Program, key: str) -> None:
    response = _send(program, key=key)
    assert (response.status_code, Claim.objects.count()) == (400, 0)


def test_the_answer_and_the_change_are_one_transaction(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the answer cannot be kept, what it reports has not happened, and the request may be sent again."""
    from pilots.api import base

    def broken(*args: object, **kwargs: object) -> None:
        raise RuntimeError("the disk is full")

    monkeypatch.setattr(base, "keep", broken)
    pilot = make.pilot(workload=make.workload("triage", "support"))
    path = f"pilots/{pilot.slug}/events"
    assert _send(program, {"kind": "cutover"}, path=path).status_code == 500
    assert (PilotEvent.objects.count(), IdempotentRequest.objects.count()) == (1, 0)
    monkeypatch.undo()
    assert _send(program, {"kind": "cutover"}, path=path).status_code == 201


def _begin(at: Any, digest: str = "d") -> Begun | Kept:
    return begin(user=_begin.user, route="POST /x", key="k", digest=digest, at=at)  # type: ignore[attr-defined]


def test_a_request_whose_process_died_is_taken_over_and_its_late_answer_is_refused() -> None:
    _begin.user = make.user()  # type: ignore[attr-defined]
    now = timezone.now()
    first = _begin(now)
    assert isinstance(first, Begun)
    with pytest.raises(InFlight):
        _begin(now + timedelta(minutes=1))
    later = now + idempotency.GIVEN_UP_AFTER + timedelta(seconds=1)
    second = _begin(later)
    assert isinstance(second, Begun)
    with pytest.raises(InFlight):  # whoever comes third waits for the second
        _begin(later)
    with pytest.raises(InFlight):
        keep(first, status=201, document={}, headers={})
    forget(first)  # no longer its own to forget
    keep(second, status=201, document={"id": 1}, headers={})
    assert _begin(later) == Kept(201, {"id": 1}, {})
    with pytest.raises(AnotherBody):
        _begin(later, digest="other")


def test_answers_are_kept_for_more_than_a_day() -> None:
    _begin.user = make.user()  # type: ignore[attr-defined]
    now = timezone.now()
    begun = _begin(now)
    assert isinstance(begun, Begun)
    keep(begun, status=201, document={"id": 1}, headers={})
    assert isinstance(_begin(now + timedelta(hours=24)), Kept)
    assert isinstance(_begin(now + timedelta(hours=49)), Begun)


@pytest.mark.django_db(transaction=True)
def test_of_many_at_once_one_acts() -> None:
    """Eight clients send the same request in the same instant; the event is recorded once."""
    pilot = make.pilot(workload=make.workload("triage", "support"))
    program = Program(make.member(make.team("support")))
    gate, found = threading.Barrier(8), []

    def send() -> None:
        gate.wait()
        response = _send(program, {"kind": "cutover"}, path=f"pilots/{pilot.slug}/events")
        found.append((response.status_code, response.headers.get("Idempotent-Replayed")))
        connection.close()

    threads = [threading.Thread(target=send) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    acted = [one for one in found if one == (201, None)]
    assert (len(found), len(acted)) == (8, 1)
    assert set(found) <= {(201, None), (201, "true"), (409, None)}
    assert PilotEvent.objects.filter(kind="cutover").count() == 1
