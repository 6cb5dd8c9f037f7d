"""What leaves the house: signed, retried to a limit, by the rules for outgoing calls; nothing is lost with a worker."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.contrib.auth import get_user_model
from django.core import mail
from django.db import transaction

from evaluations.models import AuditEvent
from evaluations.services.errors import Conflict, Refused
from pilots import tasks
from pilots.conf import setting
from pilots.enums import DeliveryState, NoticeKind, NoticeMode
from pilots.models import Delivery, Notice, NoticeSettings, Pilot, Webhook
from pilots.services import deliveries
from pilots.services.deliveries import deliver_due, redeliver
from pilots.services.notices import News, announce
from pilots.services.spreading import WEBHOOK_KINDS, spread_notices, write_digests
from pilots.services.webhooks import create_webhook, end_webhook, renew_secret
from tests import factories as make
from tests.receivers import Receiver

pytestmark = pytest.mark.django_db

NOW = make.NOW
K = NoticeKind


def happen(key: str = "k", kind: NoticeKind = K.CONFLICT_FOUND, **fields: Any) -> Notice:
    """One thing happens to the pilot ``triage`` of team ``support``, and is spread."""
    pilot = Pilot.objects.filter(slug="triage").first() or make.pilot(
        "triage", workload=make.workload("triage-w", "support"), **fields
    )
    with transaction.atomic():
        news = News(key=key, kind=kind, team_id=pilot.workload.team_id, words=f"triage: {key}", pilot=pilot)
        announce([news], at=NOW)
    spread_notices(now=NOW)
    return Notice.objects.get(key=key)


def hook_to(url: str) -> tuple[Webhook, str]:
    return create_webhook(team=make.team("support"), url=url, kinds=WEBHOOK_KINDS, by=make.actor(), at=NOW)


def deliver(after: float = 0) -> int:
    return deliver_due(clock=lambda: NOW + timedelta(seconds=after))


@pytest.fixture
def receiver(request: pytest.FixtureRequest) -> Iterator[Receiver]:
    with Receiver(*getattr(request, "param", ())) as running:
        yield running


def test_a_webhook_is_signed_over_its_id_its_time_and_its_body(receiver: Receiver) -> None:
    hook, secret = hook_to(receiver.url)
    notice = happen()
    assert deliver(7) == 1
    (call,) = receiver.calls
    assert json.loads(call.body) == {
        "type": "pilot.conflict_found",
        "timestamp": NOW.isoformat(),
        "data": {"words": "triage: k", **notice.data},
    }
    assert call.headers["webhook-id"] == f"msg_{notice.pk}_{hook.pk}"
    assert call.headers["webhook-timestamp"] == str(int(NOW.timestamp()) + 7)
    # As a receiver checks it: docs/operations.md.
    key = base64.b64decode(secret.removeprefix("whsec_"))
    signed = b".".join([call.headers["webhook-id"].encode(), call.headers["webhook-timestamp"].encode(), call.body])
    expected = "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    assert call.headers["webhook-signature"] == expected
    row = Delivery.objects.get()
    assert (row.state, row.status, row.attempts, row.error) == (DeliveryState.DELIVERED, 204, 1, "")
    assert deliver(1000) == 0


def test_the_secret_is_kept_nowhere_and_a_new_one_replaces_it(receiver: Receiver) -> None:
    hook, secret = hook_to(receiver.url)
    stored = json.dumps(list(Webhook.objects.values("url", "salt", "secret_digest", "kinds")))
    audited = json.dumps(list(AuditEvent.objects.values_list("data", flat=True)))
    assert secret.removeprefix("whsec_") not in stored + audited
    renewed = renew_secret(webhook=hook, by=make.actor(), at=NOW)
    assert renewed != secret
    stale = Webhook.objects.get(pk=hook.pk)
    renew_secret(webhook=hook, by=make.actor(), at=NOW)
    with pytest.raises(Conflict):
        renew_secret(webhook=stale, by=make.actor(), at=NOW)


def test_another_secret_key_of_the_site_is_noticed_before_it_signs(receiver: Receiver, settings: Any) -> None:
    hook_to(receiver.url)
    happen()
    settings.SECRET_KEY = "another one"
    deliver()
    row = Delivery.objects.get()
    assert (row.state, row.error) == (DeliveryState.FAILED, deliveries._KEY_CHANGED)
    assert receiver.calls == []


def test_it_is_tried_again_ever_later_and_then_given_up(receiver: Receiver) -> None:
    receiver._statuses = [500] * 20
    hook_to(receiver.url)
    happen()
    after, waits = 0, list(setting("NOTICE_RETRY_SECONDS"))
    for attempt, wait in enumerate(waits, 1):
        assert deliver(after) == 1
        row = Delivery.objects.get()
        told = (row.state, row.attempts, row.status, row.error)
        assert told == (DeliveryState.PENDING, attempt, 500, "it answered with status 500")
        assert deliver(after + wait - 1) == 0
        after += wait
    assert deliver(after) == 1
    row = Delivery.objects.get()
    assert (row.state, row.attempts) == (DeliveryState.FAILED, len(waits) + 1)
    assert deliver(after + 10**6) == 0
    # By hand: as many attempts as at first, with numbers that were not used.
    redeliver(delivery=row, by=make.actor(), at=NOW + timedelta(seconds=after))
    with pytest.raises(Conflict, match="still being sent"):
        redeliver(delivery=row, by=make.actor(), at=NOW)
    assert deliver(after) == 1
    row.refresh_from_db()
    assert (row.state, row.due_at) == (DeliveryState.PENDING, NOW + timedelta(seconds=after + waits[0]))
    assert [call.headers["webhook-attempt"] for call in receiver.calls] == [str(n) for n in range(1, 11)]
    assert len({call.headers["webhook-id"] for call in receiver.calls}) == 1


@pytest.mark.parametrize(
    ("status", "state", "error"),
    [
        (302, DeliveryState.PENDING, "it answered with a redirect, which is not followed"),
        (404, DeliveryState.PENDING, "it answered with status 404"),
        (410, DeliveryState.FAILED, "it answered with status 410"),
    ],
)
def test_answers_that_are_no_success(status: int, state: DeliveryState, error: str) -> None:
    with Receiver(status) as receiver:
        hook_to(receiver.url)
        happen()
        deliver()
    row = Delivery.objects.get()
    assert (row.state, row.status, row.error, [call.path for call in receiver.calls]) == (
        state,
        status,
        error,
        ["/hook"],
    )


@pytest.mark.parametrize(
    "url",
    [
        "http://169.254.169.254/latest",
        "http://10.0.0.8/hook",
        "https://user:secret@example.com/",
        "http://example.com/hook",
        "ftp://example.com",
        "https://example.com:22/",
        "https://example.com/#x",
        "",
    ],
)
def test_addresses_that_may_not_be_called_are_refused_when_named(url: str) -> None:
    with pytest.raises(Refused) as refused:
        hook_to(url)
    assert refused.value.field == "url"
    assert not Webhook.objects.exists()


def test_and_again_when_they_are_called(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    hook_to(receiver.url)
    happen()
    monkeypatch.setenv("PILOTS_EGRESS_ALLOW", "")
    deliver()
    row = Delivery.objects.get()
    assert "PILOTS_EGRESS_ALLOW" in row.error
    assert receiver.calls == []


def test_an_ended_webhook_is_called_no_more(receiver: Receiver) -> None:
    hook, _ = hook_to(receiver.url)
    happen()
    end_webhook(webhook=hook, by=make.actor(), at=NOW)
    with pytest.raises(Conflict):
        end_webhook(webhook=hook, by=make.actor(), at=NOW)
    happen("later")
    deliver()
    row = Delivery.objects.get()
    assert (row.state, receiver.calls) == (DeliveryState.FAILED, [])
    with pytest.raises(Conflict, match="ended"):
        redeliver(delivery=row, by=make.actor(), at=NOW)


def test_a_webhook_hears_only_of_its_own_team_and_what_it_asked_for(receiver: Receiver) -> None:
    team = make.team("support")
    create_webhook(team=team, url=receiver.url, kinds=[K.CUTOVER], by=make.actor(), at=NOW)
    create_webhook(team=make.team("legal"), url=receiver.url, kinds=WEBHOOK_KINDS, by=make.actor(), at=NOW)
    happen("a", K.CUTOVER)
    happen("b", K.DECIDED)
    deliver()
    assert [json.loads(call.body)["data"]["words"] for call in receiver.calls] == ["triage: a"]


def reader(name: str = "ana", **fields: Any) -> Any:
    person = make.member(make.team("support"), name)
    get_user_model().objects.filter(pk=person.pk).update(email=f"{name}@example.com")
    person.refresh_from_db()
    return person


def test_an_email_says_what_happened_and_where_to_look() -> None:
    happen(owner=reader())
    assert deliver() == 1
    (message,) = mail.outbox
    assert (message.subject, message.to) == ("triage: k", ["ana@example.com"])
    assert "triage: k.\nLook at it: http://127.0.0.1:8000/pilots/triage/\n" in str(message.body)
    html, kind = message.alternatives[0]  # type: ignore[attr-defined]
    assert (kind, 'href="http://127.0.0.1:8000/pilots/triage/"' in html) == ("text/html", True)
    row = Delivery.objects.get()
    assert message.extra_headers["X-Pilots-Attempt"] == f"{row.pk}-1"
    assert row.state is DeliveryState.DELIVERED


def test_a_line_break_in_a_name_makes_no_header() -> None:
    happen("x\r\nBcc: all@example.com", owner=reader())
    deliver()
    assert mail.outbox[0].subject == "triage: x Bcc: all@example.com"


def test_the_digest_holds_all_that_waited_for_it() -> None:
    person = reader()
    NoticeSettings.objects.create(user=person, modes={K.CONFLICT_FOUND.value: NoticeMode.DIGEST.value}, digest_hour=0)
    for key in ("one", "<b>two</b>"):
        happen(key)
    assert deliver() == 0
    write_digests(now=NOW)
    assert deliver() == 1
    (message,) = mail.outbox
    assert message.subject == "2 news about your pilots"
    assert str(message.body).index("<b>two</b>") < str(message.body).index("triage: one")
    assert "&lt;b&gt;two" in message.alternatives[0][0]  # type: ignore[attr-defined]


def test_a_digest_leaves_out_what_its_reader_may_not_see_any_more() -> None:
    person = reader()
    NoticeSettings.objects.create(user=person, modes={K.CONFLICT_FOUND.value: NoticeMode.DIGEST.value}, digest_hour=0)
    happen("ours")
    write_digests(now=NOW)
    person.team_memberships.all().delete()
    assert deliver() == 1
    row = Delivery.objects.get()
    assert (row.state, row.error, mail.outbox) == (DeliveryState.FAILED, deliveries._NOT_ANY_MORE, [])


def test_whoever_left_the_team_meanwhile_is_not_written_to() -> None:
    person = reader()
    happen(owner=person)
    person.team_memberships.all().delete()
    deliver()
    row = Delivery.objects.get()
    assert (row.state, row.error, mail.outbox) == (DeliveryState.FAILED, deliveries._NOT_ANY_MORE, [])


def test_a_mail_server_that_is_down_costs_time_and_nothing_else(settings: Any) -> None:
    happen(owner=reader())
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", 9
    deliver()
    row = Delivery.objects.get()
    assert (row.state, row.error) == (
        DeliveryState.PENDING,
        "the mail server did not take it: ConnectionRefusedError 111",
    )
    settings.EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
    assert deliver(10) == 1
    assert [message.extra_headers["X-Pilots-Attempt"] for message in mail.outbox] == [f"{row.pk}-2"]


def test_two_workers_do_not_send_the_same_and_a_stalled_one_changes_nothing(receiver: Receiver) -> None:
    hook_to(receiver.url)
    happen()
    (stalled,) = deliveries._claim(deliveries.Channel.WEBHOOK, 20, now=NOW)
    assert deliver(1) == 0
    assert deliver(deliveries.LEASE_SECONDS) == 1
    deliveries._settle(stalled, deliveries._Sent("too late"), now=NOW)
    row = Delivery.objects.get()
    assert (row.state, row.attempts, row.error) == (DeliveryState.DELIVERED, 2, "")
    assert len(receiver.calls) == 1


def test_the_schedulers_ticks_do_all_of_it(receiver: Receiver) -> None:
    hook_to(receiver.url)
    make.switched_pilot("billing", workload=make.workload("billing-w", "support"))
    for day in (30, 31):  # asked for, and overdue a day later
        with time_machine.travel(make.day(day)):
            tasks.tick_reminders()
            tasks.tick_notices()
    told = [json.loads(call.body)["type"] for call in receiver.calls]
    assert sorted(told) == ["followup.overdue", "pilot.cutover"]
