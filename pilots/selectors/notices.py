"""What somebody was told, and what has left the house.

Public surface: ``notifications_of``, ``notification_row``, ``own_notifications``, ``unread_count``, ``managed_teams``,
``managed_webhooks``, ``webhooks_of``, ``deliveries_to``, ``delivery_row``, ``settings_of`` and their rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.db.models import Count, Q, QuerySet

from evaluations.enums import TeamRole
from evaluations.models import Team
from pilots.enums import DeliveryState, NoticeKind, NoticeMode
from pilots.models import Delivery, NoticeSettings, Notification, Webhook
from pilots.selectors.access import PilotAccess

BELL_AT_MOST = 99


@dataclass(frozen=True, slots=True)
class NotificationRow:
    pk: int
    kind: NoticeKind
    words: str
    team: str  # slug
    pilot: str  # slug; '': about a model
    run: int | None  # the run it is about
    happened_at: datetime
    unread: bool


@dataclass(frozen=True, slots=True)
class WebhookRow:
    pk: int
    url: str
    team: str  # its name
    kinds: tuple[NoticeKind, ...]
    created_by: str
    created_at: datetime
    ended_at: datetime | None  # None: it is called
    waiting: int
    failed: int


@dataclass(frozen=True, slots=True)
class DeliveryRow:
    pk: int
    kind: NoticeKind
    words: str
    state: DeliveryState
    attempts: int
    status: int | None  # None: no answer came
    error: str  # why the last attempt failed; ''
    created_at: datetime
    tried_at: datetime | None
    due_at: datetime | None  # of the next attempt; None: there is none

    @property
    def ended(self) -> bool:
        return self.state in (DeliveryState.DELIVERED, DeliveryState.FAILED)


def own_notifications(access: PilotAccess) -> QuerySet[Notification]:
    """The person's, as far as they may still see what they are about."""
    return Notification.objects.filter(user=access.user, notice__team__in=access.teams())


def unread_count(access: PilotAccess) -> int:
    """How many are new to the person; counted no further than one beyond ``BELL_AT_MOST``."""
    return own_notifications(access).filter(read_at=None).order_by()[: BELL_AT_MOST + 1].count()


def notification_row(row: Notification) -> NotificationRow:
    notice = row.notice
    return NotificationRow(
        pk=row.pk,
        kind=notice.kind,
        words=notice.words,
        team=notice.team.slug,
        pilot=notice.pilot.slug if notice.pilot else "",
        run=notice.data.get("run"),
        happened_at=notice.happened_at,
        unread=row.read_at is None,
    )


def notifications_of(access: PilotAccess, *, unread: bool = False) -> QuerySet[Notification]:
    """Newest first; ``notification_row`` makes a line of each."""
    rows = own_notifications(access).select_related("notice__team", "notice__pilot")
    return (rows.filter(read_at=None) if unread else rows).order_by("-notice__happened_at", "-pk")


def managed_teams(access: PilotAccess) -> list[Team]:
    """Teams whose webhooks the person answers for: as for endpoints, an address is named by administrators alone."""
    return [team for team in access.teams() if access.has_role(team, TeamRole.ADMIN)]


def managed_webhooks(access: PilotAccess) -> QuerySet[Webhook]:
    return Webhook.objects.filter(team__in=managed_teams(access)).select_related("team")


def webhooks_of(access: PilotAccess) -> tuple[WebhookRow, ...]:
    """Those that are called, before those that were ended."""
    waiting = Q(deliveries__state__in=[DeliveryState.PENDING, DeliveryState.SENDING])
    rows = managed_webhooks(access).annotate(
        waiting=Count("deliveries", filter=waiting),
        failed=Count("deliveries", filter=Q(deliveries__state=DeliveryState.FAILED)),
    )
    found = [
        WebhookRow(
            pk=row.pk,
            url=row.url,
            team=row.team.name,
            kinds=tuple(map(NoticeKind, row.kinds)),
            created_by=row.created_by,
            created_at=row.created_at,
            ended_at=row.ended_at,
            waiting=row.waiting,
            failed=row.failed,
        )
        for row in rows.order_by("team__name", "pk")
    ]
    return tuple(sorted(found, key=lambda row: row.ended_at is not None))


def deliveries_to(webhook: Webhook, *, state: DeliveryState | None = None) -> QuerySet[Delivery]:
    """Its log, newest first; ``delivery_row`` makes a line of each."""
    rows = Delivery.objects.filter(webhook=webhook).select_related("notice").order_by("-created_at", "-pk")
    return rows.filter(state=state) if state else rows


def delivery_row(row: Delivery) -> DeliveryRow:
    assert row.notice is not None
    return DeliveryRow(
        pk=row.pk,
        kind=row.notice.kind,
        words=row.notice.words,
        state=row.state,
        attempts=row.attempts,
        status=row.status,
        error=row.error,
        created_at=row.created_at,
        tried_at=row.tried_at,
        due_at=row.due_at if row.state is DeliveryState.PENDING else None,
    )


def settings_of(access: PilotAccess) -> tuple[dict[NoticeKind, NoticeMode], str, int]:
    """What the person has chosen for each kind (kinds left to the default are not in it), their zone and hour."""
    row = NoticeSettings.objects.filter(user=access.user).first() or NoticeSettings(user=access.user)
    known = {kind.value for kind in NoticeKind}
    modes = {NoticeKind(kind): NoticeMode(mode) for kind, mode in row.modes.items() if kind in known}
    return modes, row.timezone, row.digest_hour
