"""What a person reads, and how they want to be told. Public surface: ``save_notice_settings``, ``mark_read``."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import TYPE_CHECKING
from zoneinfo import available_timezones

from django.db import transaction

from evaluations.services.audit import Actor, record, register_actions
from evaluations.services.errors import Refused
from pilots.enums import NoticeKind, NoticeMode
from pilots.models import NoticeSettings, Notification

if TYPE_CHECKING:
    from django.contrib.auth.models import User

register_actions({"notice_settings.changed": "changed what is told to"})


@transaction.atomic
def save_notice_settings(
    *,
    user: User,
    modes: Mapping[NoticeKind, NoticeMode],
    timezone: str,
    digest_hour: int,
    by: Actor,
    at: datetime,
) -> bool:
    """How ``user`` wants to be told of each kind; one that is not named follows the default. False: all was so already.

    Raises ``Refused`` for an unknown zone or hour.
    """
    if timezone not in available_timezones():
        raise Refused(f"{timezone!r} is not a time zone like Europe/Berlin", field="timezone")
    if not 0 <= digest_hour <= 23:
        raise Refused("an hour is between 0 and 23", field="digest_hour")
    values = {
        "modes": {kind.value: mode.value for kind, mode in sorted(modes.items())},
        "timezone": timezone,
        "digest_hour": digest_hour,
    }
    row, created = NoticeSettings.objects.get_or_create(user=user, defaults=values)
    if not created:
        if all(getattr(row, name) == value for name, value in values.items()):
            return False
        NoticeSettings.objects.filter(pk=row.pk).update(**values)
    name = user.get_username()
    record(
        by=by,
        at=at,
        action="notice_settings.changed",
        object_type="user",
        object_id=user.pk,
        object_label=name,
        data=values,
    )
    return True


def mark_read(*, user: User, at: datetime, pks: Collection[int] | None = None) -> int:
    """``user`` has seen these notifications of theirs (None: all of them); returns how many were new to them."""
    unread = Notification.objects.filter(user=user, read_at=None)
    return (unread if pks is None else unread.filter(pk__in=pks)).update(read_at=at)
