"""From the outbox to everybody whom it concerns. Public surface: ``spread_notices``, ``write_digests``,
``default_mode``, ``readers_of``."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from django.contrib.auth import get_user_model
from django.db import IntegrityError, transaction

from evaluations.enums import TeamRole
from evaluations.models import Membership
from pilots.conf import setting
from pilots.enums import Channel, NoticeKind, NoticeMode
from pilots.models import Delivery, Notice, NoticeSettings, Notification, Webhook

if TYPE_CHECKING:
    from django.contrib.auth.models import User

logger = logging.getLogger(__name__)

AT_ONCE = 200
# For those who answer for the pilot alone; they are told even where they are no member of its team.
FOR_OWNERS = frozenset({NoticeKind.FOLLOW_UP_DUE, NoticeKind.FOLLOW_UP_REMINDER})
# For those who answer for the team.
FOR_MANAGERS = frozenset({NoticeKind.FOLLOW_UP_ESCALATED})
PEOPLE_ONLY = FOR_OWNERS | FOR_MANAGERS
# What programs may ask for.
WEBHOOK_KINDS = tuple(kind for kind in NoticeKind if kind not in PEOPLE_ONLY)
# What asks its owner to act.
_TO_ACT_ON = FOR_OWNERS | {
    NoticeKind.RUN_STOPPED_BY_BUDGET,
    NoticeKind.ROLLED_BACK,
    NoticeKind.CONFLICT_FOUND,
    NoticeKind.DRIFT_ALARMED,
    NoticeKind.RETIREMENT_NEAR,
}
# What the team's managers are written to about, too.
_FOR_MANAGERS_AT_ONCE = FOR_OWNERS | FOR_MANAGERS | {NoticeKind.RETIREMENT_NEAR, NoticeKind.CAPTURE_REQUESTED}
_MANAGING = (TeamRole.MANAGER, TeamRole.ADMIN)


def default_mode(kind: NoticeKind, *, answers: bool, role: TeamRole | None) -> NoticeMode:
    """How somebody is told who has chosen nothing: ``answers`` = as a pilot's owner or deputy.

    Whoever answers for a pilot gets what asks them to act by e-mail, its team's managers see everything in the app, and
    are written to where nobody else will act; others are told what they ask for.
    """
    manages = role in _MANAGING
    if (answers and kind in _TO_ACT_ON) or (manages and kind in _FOR_MANAGERS_AT_ONCE):
        return NoticeMode.EMAIL
    return NoticeMode.IN_APP if answers or manages else NoticeMode.OFF


def readers_of(notice: Notice) -> dict[int, tuple[User, NoticeMode]]:
    """Whom ``notice`` concerns, and how each of them wants to be told; whoever caused it is not told."""
    rows = Membership.objects.filter(team=notice.team_id, user__is_active=True).select_related("user")
    roles = {row.user_id: row.role for row in rows}
    people = {row.user_id: row.user for row in rows}
    named = () if notice.pilot is None else (notice.pilot.owner, notice.pilot.deputy)
    owners = {person.pk: person for person in named if person is not None and person.is_active}
    managers = {pk: person for pk, person in people.items() if roles[pk] in _MANAGING}
    if notice.kind in FOR_OWNERS:
        people = owners or managers
    elif notice.kind in FOR_MANAGERS:
        people = managers
    chosen = {row.user_id: row.modes for row in NoticeSettings.objects.filter(user__in=people)}
    found: dict[int, tuple[User, NoticeMode]] = {}
    for pk, person in people.items():
        if notice.actor and person.get_username() == notice.actor:
            continue
        mode = _mode(notice.kind, chosen.get(pk, {}), answers=pk in owners, role=roles.get(pk))
        if mode in (NoticeMode.EMAIL, NoticeMode.DIGEST) and not person.email:
            mode = NoticeMode.IN_APP
        if mode is not NoticeMode.OFF:
            found[pk] = (person, mode)
    return found


def _mode(kind: NoticeKind, chosen: Mapping[str, str], *, answers: bool, role: TeamRole | None) -> NoticeMode:
    if kind in chosen:
        return NoticeMode(chosen[kind])
    return default_mode(kind, answers=answers, role=role)


def spread_notices(*, now: datetime) -> int:
    """Write the notifications and deliveries of what is in the outbox; returns of how many notices.

    Called twice, or at once, it writes nothing twice.
    """
    waiting = Notice.objects.filter(spread_at=None).select_related("pilot__owner", "pilot__deputy").order_by("id")
    spread = 0
    for notice in waiting[:AT_ONCE]:
        try:
            spread += _spread(notice, now=now)
        except Exception:  # one notice's trouble is not the others'; it stays in the outbox
            logger.exception("notice %s", notice.pk)
    return spread


@transaction.atomic
def _spread(notice: Notice, *, now: datetime) -> bool:
    if not Notice.objects.filter(pk=notice.pk, spread_at=None).update(spread_at=now):
        return False
    readers = readers_of(notice)
    Notification.objects.bulk_create(
        Notification(notice=notice, user=person, mode=mode) for person, mode in readers.values()
    )
    limit = len(setting("NOTICE_RETRY_SECONDS")) + 1
    deliveries = [
        Delivery(channel=Channel.EMAIL, notice=notice, user=person, due_at=now, created_at=now, give_up_after=limit)
        for person, mode in readers.values()
        if mode is NoticeMode.EMAIL
    ]
    deliveries += [
        Delivery(channel=Channel.WEBHOOK, notice=notice, webhook=hook, due_at=now, created_at=now, give_up_after=limit)
        for hook in Webhook.objects.filter(team=notice.team_id, ended_at=None)
        if notice.kind.value in hook.kinds
    ]
    Delivery.objects.bulk_create(deliveries)
    return True


def write_digests(*, now: datetime) -> int:
    """One e-mail for each reader with something for it, once a day after the hour that they chose, on their clock."""
    waiting = Notification.objects.filter(mode=NoticeMode.DIGEST, digest=None)
    people = get_user_model().objects.filter(pk__in=waiting.values("user"), is_active=True)
    written = 0
    for person in people.select_related("notice_settings"):
        chosen = getattr(person, "notice_settings", None) or NoticeSettings(user=person)
        local = now.astimezone(ZoneInfo(chosen.timezone))
        if local.hour < chosen.digest_hour:
            continue
        if Delivery.objects.filter(user=person, digest_on=local.date()).exists():
            continue  # what came since is in tomorrow's
        try:
            with transaction.atomic():
                delivery = Delivery.objects.create(
                    channel=Channel.EMAIL,
                    user=person,
                    digest_on=local.date(),
                    due_at=now,
                    created_at=now,
                    give_up_after=len(setting("NOTICE_RETRY_SECONDS")) + 1,
                )
                waiting.filter(user=person).update(digest=delivery)
        except IntegrityError:
            continue  # another worker wrote it
        written += 1
    return written
