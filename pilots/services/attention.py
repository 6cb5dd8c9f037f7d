"""Putting a matter off, and coming back to it. Public surface: ``snooze_matter``, ``wake_matter``, ``note_visit``,
``LONGEST_SNOOZE``, ``VISIT``."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING

from django.db import IntegrityError, transaction

from evaluations.models import Team
from evaluations.services.audit import Actor, record, register_actions
from evaluations.services.errors import Refused
from pilots.models import HomeVisit, Snooze
from pilots.selectors.matters.base import Matter

if TYPE_CHECKING:
    from django.contrib.auth.models import User

LONGEST_SNOOZE = timedelta(days=180)
# So long one visit lasts at the least: within it nothing is written, and what was new stays marked.
VISIT = timedelta(hours=1)

register_actions({"attention.snoozed": "put off", "attention.woken": "took up again"})


@transaction.atomic
def snooze_matter(*, user: User, matter: Matter, until_on: date, reason: str, by: Actor, at: datetime) -> Snooze:
    """Hide ``matter`` from ``user`` alone until the day; put off again, the later word counts. Raises ``Refused``."""
    reason = reason.strip()
    today = at.astimezone(UTC).date()
    if not reason:
        raise Refused("say why it can wait", field="reason")
    if len(reason) > 500:
        raise Refused("has at most 500 characters", field="reason")
    if until_on <= today:
        raise Refused("must be a day to come", field="until_on")
    if until_on > today + LONGEST_SNOOZE:
        raise Refused(f"nothing can wait longer than {LONGEST_SNOOZE.days} days", field="until_on")
    values = {"until_on": until_on, "reason": reason, "tone": matter.tone, "size": matter.size}
    stored = Snooze.objects.filter(user=user, key=matter.key).first()
    if stored is not None and all(getattr(stored, name) == value for name, value in values.items()):
        return stored
    row, _ = Snooze.objects.update_or_create(user=user, key=matter.key, defaults={**values, "made_at": at})
    data = {"matter": matter.key, "words": matter.words, "until": until_on.isoformat(), "reason": reason}
    _audit("attention.snoozed", matter.subject, user, by=by, at=at, team=matter.team, data=data)
    return row


@transaction.atomic
def wake_matter(*, user: User, key: str, subject: str, team: str, by: Actor, at: datetime) -> bool:
    """Show it to ``user`` again; False if it was not put off."""
    stored = Snooze.objects.filter(user=user, key=key).first()
    if stored is None or not Snooze.objects.filter(pk=stored.pk).delete()[0]:
        return False
    _audit("attention.woken", subject, user, by=by, at=at, team=team, data={"matter": key})
    return True


def note_visit(*, user: User, at: datetime) -> datetime | None:
    """When ``user`` was here the time before; None: never. Writes once an hour at the most."""
    row = HomeVisit.objects.filter(user=user).first()
    if row is None:
        try:
            with transaction.atomic():
                HomeVisit.objects.create(user=user, began_at=at)
        except IntegrityError:
            pass  # opened in two windows at once
        return None
    if at - row.began_at < VISIT:
        return row.before_at
    HomeVisit.objects.filter(pk=row.pk, began_at=row.began_at).update(began_at=at, before_at=row.began_at)
    return row.began_at


def _audit(action: str, subject: str, user: User, *, by: Actor, at: datetime, team: str, data: dict[str, str]) -> None:
    record(
        by=by,
        at=at,
        action=action,
        object_type="matter",
        object_id=f"{user.pk}:{data['matter']}"[:80],  # the whole key is in the data
        object_label=subject,
        team=Team.objects.filter(slug=team).first() if team else None,
        data=data,
    )
