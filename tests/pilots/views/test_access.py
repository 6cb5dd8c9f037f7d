"""Every page answers its own team, does not exist for others, and sends strangers to the sign-in."""

from __future__ import annotations

import pytest
from django.test import Client
from django.urls import URLPattern, reverse

from evaluations.enums import TeamRole
from evaluations.models import Team
from pilots import urls
from pilots.models import Pilot
from tests import factories as make
from tests.pilots.views.people import REPORT_PAGES, evaluated_pilot, session

pytestmark = pytest.mark.django_db

# Name -> how its arguments are found. Together these are all routes of the web UI.
LISTS = {
    "home",
    "attention",
    "list",
    "jump",
    *REPORT_PAGES,
    "reviews",
    "catalogue",
    "end-of-life",
    "endpoints",
    "prices",
    "traffic",
    "exports",
    "audit",
    "tokens",
    "api-docs",
    "notices",
    "bell",
    "notice-settings",
    "webhooks",
    "workloads",
}
OF_A_PILOT = {"pilot", "timeline", "evidence", "periods", "replays"}
MANAGED = {"start-replay", "freeze", "record", "correct", "schedule", "ask-reviews"}
OF_A_RUN = {"run", "progress", "answers"}
MANAGED_RUN = {"cancel", "judge-again", "judging", "resume"}
# Sign-in and sign-out are open to all; the rest have tests of their own.
ELSEWHERE = {"sign-in", "sign-out", "choose-team", "open", "answer", "write-export", "revoke-token", "answer-follow-up"}
# Of a matter that waits: tests/pilots/views/test_attention.py.
ELSEWHERE |= {"snooze", "wake"}
# Of a model that ends: tests/pilots/views/test_end_of_life.py.
ELSEWHERE |= {"prepare"}
# What one person was told, and a team's webhooks: tests/pilots/views/test_notices.py.
OF_NOTICES = {"read-notices", "follow-notice", "webhook", "renew-secret", "end-webhook", "repeat-delivery"}
# Of those who manage any pilots: tests/pilots/views/test_traffic.py.
ELSEWHERE |= {"alarm", "comparison", "import-traffic", "add-traffic-rule", "remove-traffic-rule"}
# By who is asked, and until when: tests/pilots/views/test_reviews.py.
OF_A_REVIEW = {"review-batch", "review", "undo-review", "hand-over", "close-reviews"}
# Of a file that somebody asked for, and theirs alone: tests/pilots/views/test_exports.py.
OF_AN_EXPORT = {"export", "export-state", "export-file", "retry-export"}
# Of a workload and of what was brought for it: tests/pilots/views/test_workloads.py and test_uploads.py.
# Of who brought it: tests/pilots/views/test_history.py.
OF_A_HISTORY = {"bring-history", "history", "history-imports", "undo-import"}
OF_A_WORKLOAD = {"workload", "sample-set", "upload", "upload-state", "upload-rejects"}


def _address(name: str, pilot: Pilot) -> str:
    if name in OF_A_RUN | MANAGED_RUN:
        return reverse(f"pilots:{name}", args=[pilot.plan.versions.get().runs.get().pk])  # type: ignore[union-attr]
    if name == "record":
        return reverse("pilots:record", args=[pilot.slug, "rollback"])
    if name == "correct":
        return reverse("pilots:correct", args=[pilot.slug, 1])
    return reverse(f"pilots:{name}", args=[] if name in LISTS else [pilot.slug])


def test_every_page_is_named_in_one_of_the_tests() -> None:
    names = {route.name for route in urls.urlpatterns if isinstance(route, URLPattern)}
    of_others = OF_A_REVIEW | OF_AN_EXPORT | OF_NOTICES | OF_A_WORKLOAD | OF_A_HISTORY | ELSEWHERE
    assert names == LISTS | OF_A_PILOT | MANAGED | OF_A_RUN | MANAGED_RUN | of_others


@pytest.mark.django_db(transaction=True)
def test_each_page_answers_the_manager_of_its_team_and_nobody_else() -> None:
    pilot, _ = evaluated_pilot()
    team = Team.objects.get()
    own = session(make.member(team))
    viewer = session(make.member(team, role=TeamRole.VIEWER))
    foreign = session(make.member(make.team("legal")))
    stranger = Client()
    found = {}
    for name in sorted(LISTS | OF_A_PILOT | MANAGED | OF_A_RUN | MANAGED_RUN):
        address = _address(name, pilot)
        found[name] = [client.get(address).status_code for client in (own, viewer, foreign, stranger)]
    expected = {name: [200, 200, 200, 302] for name in LISTS}
    expected |= {name: [200, 200, 404, 302] for name in OF_A_PILOT | OF_A_RUN}
    expected |= {name: [200, 403, 404, 302] for name in MANAGED | MANAGED_RUN}
    assert found == expected


def test_strangers_are_sent_to_the_sign_in_and_come_back() -> None:
    make.member(make.team("support"), "ana")
    client = Client()
    wanted = reverse("pilots:retention")
    asked = client.get(wanted)
    assert asked["Location"] == f"{reverse('pilots:sign-in')}?next={wanted}"
    response = client.post(
        reverse("pilots:sign-in"), {"username": "ana", "password": "secret", "next": wanted}, REMOTE_ADDR="10.0.0.1"
    )
    assert (response.status_code, response["Location"]) == (302, wanted)


def test_a_wrong_password_and_a_locked_account_read_the_same() -> None:
    make.member(make.team("support"), "ana")
    client, address = Client(), reverse("pilots:sign-in")
    answers = [client.post(address, {"username": "ana", "password": "guess"}) for _ in range(11)]
    assert [answer.status_code for answer in answers] == [200] * 9 + [429] * 2
    words = [str(answer.content).split("sign-in-error", 1)[1].split("</p>")[0] for answer in (answers[0], answers[-1])]
    assert words[0] == words[1]
    right = client.post(address, {"username": "ana", "password": "secret"})
    assert right.status_code == 429


def test_lists_hold_only_the_persons_own_pilots() -> None:
    make.switched_pilot("ours", workload=make.workload("ours-w", "support"))
    make.switched_pilot("theirs", workload=make.workload("theirs-w", "legal"))
    client = session(make.member(make.team("support")))
    for name in ("home", "list", *REPORT_PAGES, "jump", "audit"):
        text = client.get(reverse(f"pilots:{name}")).content.decode()
        assert "theirs" not in text, name
    assert "ours" in client.get(reverse("pilots:list")).content.decode()


def test_the_chosen_team_starts_the_lists_and_a_foreign_one_does_not() -> None:
    support, claims, legal = make.team("support"), make.team("claims"), make.team("legal")
    person = make.member(support)
    claims.memberships.create(user=person, role=TeamRole.VIEWER)
    client = session(person)
    chosen = client.post(reverse("pilots:choose-team"), {"team": "claims"})
    assert chosen["Location"] == f"{reverse('pilots:home')}?team=claims"
    assert f"{reverse('pilots:list')}?team=claims" in client.get(reverse("pilots:home")).content.decode()
    foreign = client.post(reverse("pilots:choose-team"), {"team": legal.slug})
    assert foreign["Location"] == reverse("pilots:home")
