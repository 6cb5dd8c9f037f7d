"""The pages on which one reads what happened, says how one wants to be told, and looks after webhooks."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from evaluations.enums import TeamRole
from pilots.enums import DeliveryState, NoticeKind
from pilots.models import Delivery, Notice, NoticeSettings, Notification, Webhook
from pilots.services.spreading import WEBHOOK_KINDS, spread_notices
from pilots.services.webhooks import create_webhook
from tests import factories as make
from tests.pilots.views.people import session

pytestmark = pytest.mark.django_db

HOSTILE = "<script>alert(1)</script>"


def happen(n: int = 1, words: str = "news", team: str = "support") -> None:
    for _ in range(n):
        pilot = make.pilot(workload=make.workload("", team))
        Notice.objects.create(
            key=make.name("k"),
            kind=NoticeKind.CUTOVER,
            team=pilot.workload.team,
            pilot=pilot,
            words=words,
            happened_at=make.NOW,
        )
    spread_notices(now=make.NOW)


def get(client: Client, name: str, *args: Any, **query: str) -> str:
    response = client.get(reverse(f"pilots:{name}", args=args), query)
    assert response.status_code == 200
    return response.content.decode()


def test_the_bell_counts_what_is_new_in_one_query_beside_those_of_the_session() -> None:
    client = session(make.member(make.team("support")))
    assert get(client, "bell").strip() == '<span id="bell-now"></span>'
    happen(3)
    with CaptureQueriesContext(connection) as queries:
        assert '<span class="bell-count">3</span>' in get(client, "bell")
    assert len([q for q in queries if "pilots_" in q["sql"]]) == 1
    happen(97)
    assert '<span class="bell-count">99+</span>' in get(client, "bell")


def test_reading_one_and_then_all() -> None:
    person = make.member(make.team("support"))
    client = session(person)
    happen(3, words=HOSTILE)
    shown = get(client, "notices")
    assert (HOSTILE in shown, shown.count("<b>new</b>")) == (False, 3)
    row = Notification.objects.order_by("pk").first()
    assert row is not None
    assert row.notice.pilot is not None
    response = client.post(reverse("pilots:follow-notice", args=[row.pk]))
    assert response["Location"] == reverse("pilots:pilot", args=[row.notice.pilot.slug])
    assert get(client, "notices").count("<b>new</b>") == 2
    assert get(client, "notices", show="new").count("Look at it") == 2
    client.post(reverse("pilots:read-notices"))
    assert "You have read everything" in get(client, "notices", show="new")
    assert "All read." in get(client, "notices")


def test_another_ones_notification_is_not_there_and_neither_is_a_team_one_has_left() -> None:
    person = make.member(make.team("support"))
    happen()
    row = Notification.objects.get()
    other = session(make.member(make.team("support")))
    assert other.post(reverse("pilots:follow-notice", args=[row.pk])).status_code == 404
    person.team_memberships.all().delete()
    client = session(person)
    assert "Nothing has happened yet" in get(client, "notices")
    assert client.post(reverse("pilots:follow-notice", args=[row.pk])).status_code == 404


def test_a_list_costs_the_same_whatever_its_length() -> None:
    client = session(make.member(make.team("support"), role=TeamRole.ADMIN))
    hook, _ = create_webhook(
        team=make.team("support"), url="https://example.com/0", kinds=WEBHOOK_KINDS, by=make.actor(), at=make.NOW
    )
    counts = []
    for n in (1, 2):
        happen(n)
        create_webhook(
            team=make.team("support"), url="https://example.com/", kinds=WEBHOOK_KINDS, by=make.actor(), at=make.NOW
        )
        for name, args in (("notices", []), ("webhooks", []), ("webhook", [hook.pk])):
            with CaptureQueriesContext(connection) as queries:
                get(client, name, *args)
            counts.append(len(queries))
    assert counts[:3] == counts[3:]


def test_settings_are_kept_and_a_wrong_one_loses_nothing() -> None:
    person = make.member(make.team("support"), "ana")
    client, address = session(person), reverse("pilots:notice-settings")
    assert "no e-mail address" in get(client, "notice-settings")
    chosen = {"pilot_cutover": "digest", "drift_alarmed": "off", "timezone": "Europe/Berlin", "digest_hour": "7"}
    assert client.post(address, {**chosen, "timezone": "Mars/Olympus"}).status_code == 400
    assert not NoticeSettings.objects.exists()
    assert client.post(address, chosen).status_code == 302
    row = NoticeSettings.objects.get(user=person)
    assert (row.modes, row.timezone, row.digest_hour) == (
        {"drift.alarmed": "off", "pilot.cutover": "digest"},
        "Europe/Berlin",
        7,
    )
    get_user_model().objects.filter(pk=person.pk).update(email="ana@example.com")
    shown = get(client, "notice-settings")
    assert '<option value="Europe/Berlin" selected>' in shown
    assert "no e-mail address" not in shown


def test_a_webhooks_secret_is_shown_once() -> None:
    client = session(make.member(make.team("support"), role=TeamRole.ADMIN))
    address = reverse("pilots:webhooks")
    fields = {"team": "support", "url": "https://example.com/hook", "kinds": ["pilot.cutover"]}
    bad = client.post(address, {**fields, "url": "http://10.0.0.1/"})
    assert (bad.status_code, "PILOTS_EGRESS_ALLOW" in bad.content.decode()) == (400, True)
    assert 'value="http://10.0.0.1/"' in bad.content.decode()
    made = client.post(address, fields)
    assert (made.status_code, made.content.decode().count("whsec_")) == (201, 1)
    hook = Webhook.objects.get()
    assert "whsec_" not in get(client, "webhooks") + get(client, "webhook", hook.pk)
    renewed = client.post(reverse("pilots:renew-secret", args=[hook.pk]))
    assert renewed.content.decode().count("whsec_") == 1
    assert client.post(reverse("pilots:end-webhook", args=[hook.pk])).status_code == 302
    assert "nothing is sent there" in get(client, "webhook", hook.pk)


def test_only_administrators_of_the_team_see_its_webhooks() -> None:
    hook, _ = create_webhook(
        team=make.team("support"), url="https://example.com/x", kinds=WEBHOOK_KINDS, by=make.actor(), at=make.NOW
    )
    happen()
    delivery = Delivery.objects.get(webhook=hook)
    Delivery.objects.update(state=DeliveryState.FAILED, ended_at=make.NOW, error="gone")
    addresses = [
        reverse("pilots:webhook", args=[hook.pk]),
        reverse("pilots:renew-secret", args=[hook.pk]),
        reverse("pilots:end-webhook", args=[hook.pk]),
        reverse("pilots:repeat-delivery", args=[delivery.pk]),
    ]
    for person in (
        make.member(make.team("support"), role=TeamRole.MANAGER),
        make.member(make.team("legal"), role=TeamRole.ADMIN),
    ):
        client = session(person)
        assert "https://example.com/x" not in get(client, "webhooks")
        assert client.get(addresses[0]).status_code == 404
        assert [client.post(address).status_code for address in addresses[1:]] == [404] * 3
    manager = session(make.member(make.team("support")))
    fields = {"team": "support", "url": "https://example.com/y", "kinds": ["pilot.cutover"]}
    assert manager.post(reverse("pilots:webhooks"), fields).status_code == 403
    own = session(make.member(make.team("support"), role=TeamRole.ADMIN))
    assert "gone" in get(own, "webhook", hook.pk, state="failed")
    assert own.post(addresses[3]).status_code == 302
    delivery.refresh_from_db()
    assert delivery.state is DeliveryState.PENDING
    assert "still being sent" in own.post(addresses[3], follow=True).content.decode()
