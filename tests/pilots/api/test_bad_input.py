"""What no client should send: RELIABILITY.md, "Bad inputs", B27 to B46, on this API's bodies and addresses."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.db import OperationalError
from django.test import Client, override_settings

from evaluations.models import Workload
from pilots.models import Claim, PilotEvent
from tests import factories as make
from tests.pilots.api.programs import ROOT, Program, administrator, manager

pytestmark = pytest.mark.django_db
CLAIM = {"model": "gpt-4", "words": "matches leading models"}


def _nested(levels: int) -> str:
    return '{"model": "gpt-4", "words": ' + "[" * levels + "]" * levels + "}"


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        ('{"model": "gpt-4", "words": "a\\u0000b"}', "words holds a character that cannot be stored"),  # B27
        ('{"model": "gpt-4", "wo\\u0000rds": "a"}', "holds a character that cannot be stored"),
        ('{"model": "gpt-4", "words": "\\ud800"}', "words holds a character that cannot be stored"),  # B28
        (_nested(64), "words"),  # B29
        (_nested(900), ""),  # near the interpreter's own limit: either says so
        (_nested(100_000), "the JSON is nested deeper than 32 levels"),
        ('{"model": "gpt-4", "words": NaN}', "words is not a finite number"),  # B30
        ('{"model": "gpt-4", "words": -Infinity}', "words is not a finite number"),
        ('{"model": "gpt-4", "words": 1e400}', "words is not a finite number"),
        ('{"model": "gpt-4", "words": ' + "1" * 10_000 + "}", "the JSON holds too large a number"),
        ('{"model": "gpt-4", "words": 9223372036854775808}', "words is too large a number"),
        ('{"model": "gpt-4", "words": "a", "words": "b"}', "the key 'words' occurs twice in one object"),  # B31
        ("", "model is missing"),
        ("null", "expected a mapping, got null"),
        ("[]", "expected a mapping, got a list"),
        ('"text"', "expected a mapping, got text"),
        ("{", "this is not JSON"),
        ('{"model": "gpt-4", "words": "a"} trailing', "this is not JSON"),
        (b'\xef\xbb\xbf{"model": "gpt-4", "words": "a"}', "this is not JSON"),  # B33
        ('{"model": "gpt-4", "words": "a"}'.encode("utf-16"), "the JSON is not UTF-8 (byte 0)"),
        (b'{"model": "gpt-4", "words": "\xff"}', "the JSON is not UTF-8 (byte 29)"),
        ('{"model": "gpt-4", "words": "a", "id": 7}', "id is not a known key"),  # B37
        ('{"model": "gpt-4", "words": 5}', "expected text, got a whole number"),
        ('{"model": "gpt-9", "words": "a"}', "there is no model version gpt-9"),
    ],
)
def test_a_body_that_nothing_can_be_made_of_is_refused(body: Any, detail: str) -> None:
    make.model("gpt-4")
    status, said = manager().refused("POST", "claims", body)
    assert (status, said[: len(detail)]) == (400, detail)
    assert not Claim.objects.exists()


def test_a_list_that_held_something_odd_still_opens() -> None:
    """The deepest body that is taken comes back (C24: depth 900 was stored and broke the list for ever)."""
    deep: Any = "leaf"
    for _ in range(25):
        deep = {"a": deep}
    program = administrator()
    make.model("gpt-4")
    parameters = {"thinking": deep, "text": "<script>alert(1)</script> {{7*7}} \u202e x"}
    program.post(
        "endpoints",
        {"slug": "odd", "model": "gpt-4", "protocol": "openai_chat", "base_url": "https://x.example/v1"}
        | {"parameters": parameters},
    )
    assert program.get("endpoints")["results"][0]["parameters"] == parameters


@pytest.mark.parametrize(
    ("content_type", "status"),
    [
        ("application/json; charset=bogus", 415),
        ("application/json; charset=utf-16", 415),
        ("application/json; charset=UTF-8", 201),
        ('application/json; charset="utf-8"', 201),
        ("application/x-www-form-urlencoded", 415),
        ("multipart/form-data; boundary=x", 415),
        ("text/plain", 415),
        ("", 415),
    ],
)
def test_only_json_in_utf8_is_read(content_type: str, status: int) -> None:
    make.model("gpt-4")
    client = manager().client
    response = client.generic("POST", f"{ROOT}claims", json.dumps(CLAIM), content_type=content_type)
    assert response.status_code == status, response.content


def test_a_body_that_is_too_large_is_not_read_to_its_end() -> None:
    with override_settings(PILOTS_API_MAX_BODY_BYTES=1024 * 1024):
        status, said = manager().refused("POST", "claims", json.dumps({**CLAIM, "source": "x" * 1024 * 1024}))
    assert (status, said) == (413, "The body is larger than 1 MB.")


def test_json_without_a_length_is_refused() -> None:
    status, said = manager().refused("POST", "claims", "{}", Transfer_Encoding="chunked")
    assert (status, said) == (400, "send a Content-Length with JSON")


@pytest.mark.parametrize("given", ["-1", "9223372036854775808", "1e3", "%00", "\N{PILE OF POO}", "0", "1.0", "a" * 300])
@pytest.mark.parametrize(
    "path", ["replay-runs/{}", "pilots/{}", "pilots/{}/events", "exports/{}/file", "teams/{}/members"]
)
def test_an_id_that_is_none_is_as_absent_as_one_of_another_team(path: str, given: str) -> None:
    assert manager().refused("GET", path.format(given)) == (404, "There is nothing here.")


@pytest.mark.parametrize("method", ["PUT", "DELETE", "TRACE"])
def test_methods_that_are_not_there_are_said_so(method: str) -> None:
    status, said = manager().refused(method, "pilots")
    assert (status, said) == (405, f'Method "{method}" not allowed.')


def test_an_address_that_is_not_there_is_a_problem_document_too() -> None:
    assert manager().refused("GET", "no/such/thing") == (404, "There is nothing here.")
    assert Client().get("/api/v1/no/such/thing").status_code == 401


@pytest.mark.parametrize(
    ("event", "detail"),
    [
        (
            {"kind": "cutover", "occurred_at": "2999-01-01T00:00:00Z"},
            "an event in the future cannot be recorded",
        ),  # B42
        ({"kind": "cutover", "occurred_at": "0001-01-01T00:00:00Z"}, "occurred_at lies outside the years"),
        ({"kind": "cutover", "occurred_at": "0001-01-01T00:00:00+14:00"}, "occurred_at lies outside the years"),
        ({"kind": "cutover", "occurred_at": "9999-12-31T23:59:59-14:00"}, "occurred_at lies outside the years"),
        ({"kind": "cutover", "occurred_at": "2026-03-29T02:30:00"}, "occurred_at needs a time zone"),
        ({"kind": "cutover", "occurred_at": "2026-02-30T00:00:00Z"}, "occurred_at is not an instant"),
        ({"kind": "cutover", "occurred_at": "yesterday"}, "occurred_at is not an instant"),
        ({"kind": "cutover", "traffic_share": "1.01"}, "a traffic share lies between 0 and 1"),  # B43
        ({"kind": "cutover", "traffic_share": "NaN"}, "traffic_share is not a usable number"),
        ({"kind": "cutover", "traffic_share": "1e999999999"}, "traffic_share is not a usable number"),
        ({"kind": "ramp", "traffic_share": -0.5}, "a traffic share lies between 0 and 1"),
        ({"kind": "ramp", "traffic_share": "0.12345"}, "a traffic share lies between 0 and 1"),
        ({"kind": "ramp"}, "traffic_share is needed"),
        ({"kind": "rollback", "reason": "cost", "attachments": ["incident:1"]}, ""),  # B41: never cut over
        ({"kind": "ended"}, ""),
        ({"kind": "gone"}, "'gone' is not one of opened"),
        ({"kind": "planned"}, "planned is recorded by the system"),
        ({"kind": "opened"}, "the pilot is open already"),
        ({"kind": "corrected", "note": "x"}, "corrects names the event to correct"),
        ({"kind": "alongside", "traffic_share": "0.5"}, "review_on is needed"),
        ({"kind": "abandoned", "traffic_share": "0.5"}, "traffic_share has no meaning for abandoned"),
        ({"kind": "cutover", "attachments": ["url:javascript:alert(1)"]}, "only http and https links"),  # B45
        ({"kind": "cutover", "attachments": ["data:text/html,x"]}, "an attachment is kind:reference"),
        ({"kind": "superseded"}, "a move to a third model names that model"),
        ({"kind": "superseded", "to_model": "gpt-9"}, "there is no model version gpt-9"),
    ],
)
def test_an_event_that_breaks_a_rule_names_it_and_is_not_stored(event: dict[str, Any], detail: str) -> None:
    pilot = make.pilot(workload=make.workload("triage", "support"))
    program = Program(make.member(make.team("support")))
    status, said = program.refused("POST", f"pilots/{pilot.slug}/events", event)
    assert (status, said[: len(detail)]) == (400, detail)
    assert PilotEvent.objects.count() == 1


@pytest.mark.parametrize(
    ("name", "status"),
    [("<script>alert(1)</script>", 201), ("{{7*7}}", 201), ("\u202etxt", 201), ("  ", 400), ("x" * 201, 400)],
)
def test_names_are_kept_as_text_or_refused(name: str, status: int) -> None:  # B44
    make.team("support")
    program = manager()
    response = program.send("POST", "workloads", {"slug": "triage", "team": "support", "name": name})
    assert response.status_code == status, response.content
    assert list(Workload.objects.values_list("name", flat=True)) == ([name] if status == 201 else [])


@pytest.mark.parametrize("slug", ["../../x", "a b", "CON/", "\u200bx", ""])
def test_a_slug_has_letters_digits_hyphens_and_underscores(slug: str) -> None:
    status, _ = manager().refused("POST", "workloads", {"slug": slug, "team": "support"})
    assert (status, Workload.objects.count()) == (400, 0)


def test_a_database_that_is_away_is_said_so_without_its_words(monkeypatch: pytest.MonkeyPatch) -> None:
    from pilots.api import catalogue

    def away(*args: object, **kwargs: object) -> None:
        raise OperationalError("could not connect to server at 10.1.2.3")

    make.vendor("openai")
    program = administrator()
    monkeypatch.setattr(catalogue, "save_vendor", away)
    response = program.send("PATCH", "vendors/openai", {"name": "X"})
    assert (response.status_code, response.headers["Retry-After"]) == (503, "5")
    assert b"10.1.2.3" not in response.content
    monkeypatch.setattr(catalogue, "save_vendor", lambda **kwargs: 1 / 0)
    broken = program.send("PATCH", "vendors/openai", {"name": "X"}, X_Request_ID="mine-1")
    assert (broken.status_code, broken.json()["request_id"], b"division" in broken.content) == (500, "mine-1", False)
