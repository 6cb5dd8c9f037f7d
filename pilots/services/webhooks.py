"""Addresses that are called. Public surface: ``create_webhook``, ``renew_secret``, ``end_webhook``."""

from __future__ import annotations

import os
from collections.abc import Iterable
from datetime import datetime

from django.db import transaction

from evaluations.models import Team
from evaluations.providers.egress_policy import EgressPolicy, EgressRefused
from evaluations.services.audit import Actor, record, register_actions
from evaluations.services.errors import Conflict, Refused
from pilots.enums import NoticeKind
from pilots.models import Webhook
from pilots.services.signatures import digest_of, new_salt, secret_of
from pilots.services.spreading import WEBHOOK_KINDS

register_actions(
    {
        "webhook.created": "made the webhook to",
        "webhook.secret_renewed": "made a new secret for the webhook to",
        "webhook.ended": "ended the webhook to",
    }
)
MOST = 20


@transaction.atomic
def create_webhook(
    *, team: Team, url: str, kinds: Iterable[NoticeKind], by: Actor, at: datetime
) -> tuple[Webhook, str]:
    """A webhook of ``team`` and its secret, which is shown now and kept nowhere. Raises ``Refused``.

    The address is judged now by the same rules as a vendor's, and again whenever it is called.
    """
    url = url.strip()
    if not url or len(url) > 500:
        raise Refused("a webhook has an address of at most 500 characters", field="url")
    if "#" in url:
        raise Refused("a webhook's address has no fragment", field="url")
    try:
        EgressPolicy.from_environment(os.environ).check_url(url)
    except EgressRefused as error:
        raise Refused(str(error), field="url") from None
    wanted = [kind for kind in WEBHOOK_KINDS if kind in set(kinds)]
    if not wanted:
        raise Refused("a webhook is told of at least one thing", field="kinds")
    if Webhook.objects.filter(team=team, ended_at=None).count() >= MOST:
        raise Refused(f"a team has at most {MOST} webhooks; end one first")
    salt = new_salt()
    secret = secret_of(salt)
    hook = Webhook.objects.create(
        team=team,
        url=url,
        kinds=[kind.value for kind in wanted],
        salt=salt,
        secret_digest=digest_of(secret),
        created_by=by.name[:200],
        created_at=at,
    )
    _audit(hook, "webhook.created", by=by, at=at, data={"kinds": hook.kinds})
    return hook, secret


@transaction.atomic
def renew_secret(*, webhook: Webhook, by: Actor, at: datetime) -> str:
    """A new secret, shown now and kept nowhere; from now on nothing is signed with the old one. Raises ``Conflict``."""
    salt = new_salt()
    secret = secret_of(salt)
    values = {"salt": salt, "secret_digest": digest_of(secret)}
    # Of two people who renew at once one is refused: only one secret can be the one that signs.
    if not Webhook.objects.filter(pk=webhook.pk, ended_at=None, salt=webhook.salt).update(**values):
        raise Conflict("the webhook was ended, or somebody else has just made a secret for it")
    for name, value in values.items():
        setattr(webhook, name, value)
    _audit(webhook, "webhook.secret_renewed", by=by, at=at)
    return secret


@transaction.atomic
def end_webhook(*, webhook: Webhook, by: Actor, at: datetime) -> None:
    """Nothing is sent there any more, also not what waits; its log stays. Raises ``Conflict`` if it was ended."""
    if not Webhook.objects.filter(pk=webhook.pk, ended_at=None).update(ended_at=at):
        raise Conflict("the webhook was ended already")
    webhook.ended_at = at
    _audit(webhook, "webhook.ended", by=by, at=at)


def _audit(hook: Webhook, action: str, *, by: Actor, at: datetime, data: dict[str, object] | None = None) -> None:
    record(
        by=by,
        at=at,
        action=action,
        object_type="webhook",
        object_id=hook.pk,
        object_label=hook.url,
        team=hook.team,
        data=data,
    )
