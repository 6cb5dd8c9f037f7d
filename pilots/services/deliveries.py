"""The workers' side of e-mails and webhooks. Public surface: ``deliver_due``, ``due_deliveries``, ``redeliver``.

As with exports, a row is claimed by lease and every change of it is one conditional UPDATE. An attempt is counted
before it is made: what a killed worker had begun is attempted again under another number when its lease has run out,
so everything arrives at least once, and no attempt is made twice.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import smtplib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.core.mail import get_connection
from django.db import transaction
from django.db.models import F, Q, QuerySet

from evaluations.faults import reached
from evaluations.providers.base import WireRequest
from evaluations.providers.egress import Egress, EgressPolicy, TransportError
from evaluations.services.audit import Actor, record, register_actions
from evaluations.services.errors import Conflict
from evaluations.services.work import Stop, never, new_owner
from pilots.conf import setting
from pilots.enums import Channel, DeliveryState
from pilots.models import Delivery, Webhook
from pilots.services.mail import message_of, readable_in
from pilots.services.signatures import digest_of, secret_of, signed_headers
from pilots.services.spreading import FOR_OWNERS

logger = logging.getLogger(__name__)

register_actions({"delivery.repeated": "had sent again"})

Clock = Callable[[], datetime]

# Webhooks called side by side, and the most that one pass sends: the queue has other work.
AT_ONCE = 20
PASS_SECONDS = 5
# Longer than any attempt may take, with what is left of the batch before it.
LEASE_SECONDS = 30
_ANSWER_BYTES = 64 * 1024

_LOST = "its worker was lost while it was being sent"
_KEY_CHANGED = "the site's secret key has changed: make this webhook a new secret"
_NOT_ANY_MORE = "the reader may not see it any more"
_NO_LONGER_CALLED = "the webhook was ended"


@dataclass(frozen=True, slots=True)
class _Sent:
    """How an attempt ended: ``error`` is '' where it arrived."""

    error: str = ""
    status: int | None = None
    for_good: bool = False  # another attempt would end the same way


def due_deliveries(now: datetime) -> QuerySet[Delivery]:
    """In nobody's hands and due, those that wait longest first."""
    due = Q(state=DeliveryState.PENDING, due_at__lte=now)
    lost = Q(state=DeliveryState.SENDING, lease_expires_at__lte=now)
    return Delivery.objects.filter(due | lost).order_by("due_at", "pk")


def deliver_due(*, clock: Clock, stopping: Stop = never) -> int:
    """Send what is due, for a few seconds at the most; returns how many attempts were made.

    While another worker sends it does nothing: the queue's other work must not wait for slow receivers twice.
    """
    began = clock()
    if Delivery.objects.filter(state=DeliveryState.SENDING, lease_expires_at__gt=began).exists():
        return 0
    made = 0
    while not stopping() and clock() - began < timedelta(seconds=PASS_SECONDS):
        if batch := _claim(Channel.WEBHOOK, AT_ONCE, now=clock()):
            _call(batch, clock=clock)
        elif batch := _claim(Channel.EMAIL, 1, now=clock()):
            _mail(batch[0], clock=clock)
        else:
            break
        made += len(batch)
    return made


def redeliver(*, delivery: Delivery, by: Actor, at: datetime) -> None:
    """Send what was given up, or has arrived, once more: with as many attempts as at first.

    Raises ``Conflict`` where it is still going, or its webhook was ended.
    """
    hook = delivery.webhook
    if hook is None or hook.ended_at is not None:
        raise Conflict("the webhook was ended: nothing is sent there any more")
    more = len(setting("NOTICE_RETRY_SECONDS")) + 1
    with transaction.atomic():
        ended = Delivery.objects.filter(pk=delivery.pk, state__in=[DeliveryState.DELIVERED, DeliveryState.FAILED])
        again = {"state": DeliveryState.PENDING, "due_at": at, "ended_at": None, "error": "", "status": None}
        if not ended.update(give_up_after=F("attempts") + more, **again):
            raise Conflict("it is still being sent")
        record(
            by=by,
            at=at,
            action="delivery.repeated",
            object_type="delivery",
            object_id=delivery.pk,
            object_label=f"{delivery.notice.kind if delivery.notice else 'digest'} to {hook.url}",
            team=hook.team,
        )
    delivery.refresh_from_db()


def _claim(channel: Channel, at_most: int, *, now: datetime) -> list[Delivery]:
    due = due_deliveries(now).filter(channel=channel)
    owner = new_owner()
    claimed = []
    for pk, attempts, limit in due.values_list("pk", "attempts", "give_up_after")[:at_most]:
        row = due.filter(pk=pk, attempts=attempts).order_by()
        if attempts >= limit:  # the last attempt took its worker with it
            row.update(state=DeliveryState.FAILED, error=_LOST, ended_at=now, lease_owner="", lease_expires_at=None)
            continue
        lease = now + timedelta(seconds=LEASE_SECONDS)
        if row.update(
            state=DeliveryState.SENDING,
            attempts=attempts + 1,
            lease_owner=owner,
            lease_expires_at=lease,
            tried_at=now,
            status=None,
            error="",
        ):
            claimed.append(pk)
    related = ("notice__pilot__owner", "notice__pilot__deputy", "notice__team", "webhook", "user")
    return list(Delivery.objects.filter(pk__in=claimed).select_related(*related).order_by("due_at", "pk"))


def _call(batch: Sequence[Delivery], *, clock: Clock) -> None:
    requests = [(delivery, _request(delivery, now=clock())) for delivery in batch]
    wire = [request for _, request in requests if isinstance(request, WireRequest)]
    answers = iter(asyncio.run(_exchange(wire)) if wire else [])
    for delivery, request in requests:
        sent = request if isinstance(request, _Sent) else next(answers)
        reached("after_webhook")
        _settle(delivery, sent, now=clock())


def _request(delivery: Delivery, *, now: datetime) -> WireRequest | _Sent:
    hook = delivery.webhook
    assert hook is not None
    assert delivery.notice is not None
    if hook.ended_at is not None:
        return _Sent(_NO_LONGER_CALLED, for_good=True)
    secret = secret_of(hook.salt)
    if digest_of(secret) != hook.secret_digest:
        return _Sent(_KEY_CHANGED, for_good=True)
    return webhook_request(
        hook,
        secret,
        message_id=f"msg_{delivery.notice.pk}_{hook.pk}",
        attempt=delivery.attempts,
        body={
            "type": str(delivery.notice.kind),
            "timestamp": delivery.notice.happened_at.isoformat(),
            "data": {"words": delivery.notice.words, **delivery.notice.data},
        },
        now=now,
    )


def webhook_request(
    hook: Webhook, secret: str, *, message_id: str, attempt: int, body: dict[str, Any], now: datetime
) -> WireRequest:
    """A signed POST, ready to send. The timestamp is that of the attempt; the id is the same for all of them."""
    content = json.dumps(body, separators=(",", ":"), ensure_ascii=False).encode()
    signed = signed_headers(secret=secret, message_id=message_id, timestamp=int(now.timestamp()), body=content)
    headers = {"content-type": "application/json", "webhook-attempt": str(attempt), **signed}
    return WireRequest(method="POST", url=hook.url, headers=headers, body=content, stream=False)


async def _exchange(requests: Sequence[WireRequest]) -> list[_Sent]:
    """All at once, through the engine's one door: its address rules hold, and it follows no redirect."""
    policy = EgressPolicy.from_environment(os.environ)
    seconds = float(setting("NOTICE_TIMEOUT_SECONDS"))
    async with Egress(policy, max_body_bytes=_ANSWER_BYTES, connect_timeout_seconds=seconds) as door:

        async def one(request: WireRequest) -> _Sent:
            try:
                answer = await door.send(request, deadline_seconds=seconds)
            except TransportError as error:
                return _Sent(str(error))
            if 200 <= answer.status < 300:
                return _Sent(status=answer.status)
            if 300 <= answer.status < 400:
                return _Sent("it answered with a redirect, which is not followed", answer.status)
            return _Sent(f"it answered with status {answer.status}", answer.status, for_good=answer.status == 410)

        return list(await asyncio.gather(*map(one, requests)))


def _mail(delivery: Delivery, *, clock: Clock) -> None:
    if not _may_still_read(delivery):
        _settle(delivery, _Sent(_NOT_ANY_MORE, for_good=True), now=clock())
        return
    try:
        # Other backends than SMTP take the timeout and ignore it.
        connection = get_connection(timeout=setting("NOTICE_TIMEOUT_SECONDS"))
        message = message_of(delivery)
        message.connection = connection
        message.send()
        reached("after_mail")
        sent = _Sent()
    except (smtplib.SMTPException, OSError) as error:
        sent = _Sent(f"the mail server did not take it: {type(error).__name__}{_code(error)}")
    except Exception as error:
        logger.exception("e-mail %s", delivery.pk)
        sent = _Sent(f"the e-mail could not be written: {type(error).__name__}")
    _settle(delivery, sent, now=clock())


def _may_still_read(delivery: Delivery) -> bool:
    """Rights are looked at when it leaves, not when it was queued."""
    person, notice = delivery.user, delivery.notice
    if person is None or not person.is_active or not person.email:
        return False
    if notice is None:
        return readable_in(delivery).exists()
    if person.is_superuser:
        return True
    named = notice.pilot is not None and person.pk in (notice.pilot.owner_id, notice.pilot.deputy_id)
    if notice.kind in FOR_OWNERS and named:
        return True
    return notice.team.memberships.filter(user=person).exists()


def _code(error: Exception) -> str:
    code = getattr(error, "smtp_code", None) or getattr(error, "errno", None)
    return f" {code}" if isinstance(code, int) else ""


def _settle(delivery: Delivery, sent: _Sent, *, now: datetime) -> None:
    """Keep how the attempt ended. Whoever lost the lease meanwhile changes nothing."""
    waits = setting("NOTICE_RETRY_SECONDS")
    values: dict[str, Any] = {
        "status": sent.status,
        "error": sent.error[:300],
        "lease_owner": "",
        "lease_expires_at": None,
    }
    if not sent.error:
        values |= {"state": DeliveryState.DELIVERED, "ended_at": now}
    elif sent.for_good or delivery.attempts >= delivery.give_up_after:
        values |= {"state": DeliveryState.FAILED, "ended_at": now}
    else:
        failed = delivery.attempts - (delivery.give_up_after - len(waits) - 1)  # in this round
        wait = waits[min(failed, len(waits)) - 1]
        values |= {"state": DeliveryState.PENDING, "due_at": now + timedelta(seconds=wait)}
    Delivery.objects.filter(
        pk=delivery.pk, state=DeliveryState.SENDING, attempts=delivery.attempts, lease_owner=delivery.lease_owner
    ).update(**values)
