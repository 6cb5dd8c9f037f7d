"""Asking those who answer for a pilot what its workload runs on. Public surface: ``ask_for_follow_ups``,
``link_token``, ``asked_by``, ``answer_by_link``, ``Question``.

On its day a follow-up is a task for the pilot's owner and deputy (else its team's managers), with a link that opens
without a sign-in. A day after that it is overdue. Asked in vain they are reminded, then the team's managers are told.
Unanswered, nothing is recorded: the last confirmed date stands.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any

from django.contrib.auth import get_user_model
from django.core import signing
from django.db import transaction

from evaluations.enums import TeamRole
from evaluations.services.audit import Actor
from evaluations.services.errors import Conflict, Refused
from pilots.conf import setting
from pilots.enums import NoticeKind
from pilots.models import FollowUp, Notice, Pilot, PilotEvent
from pilots.selectors.access import PilotAccess
from pilots.selectors.followups import unanswered_follow_ups
from pilots.services.lifecycle import record_follow_up
from pilots.services.notices import News, announce

if TYPE_CHECKING:
    from django.contrib.auth.models import User

_SALT = "pilots.follow-up"
_BATCH = 500
NOTE = "Answered by the link in the e-mail."
NOT_VALID = "this link is not valid"
EXPIRED = "this link has expired: sign in and record the follow-up there"
ENDED = "that period on the model has ended: there is nothing to answer any more"


def ask_for_follow_ups(*, now: datetime) -> None:
    """Announce every step that is due at ``now``, once each; called twice, or at once, it announces nothing twice.

    Of a period only the newest follow-up is asked for, and none that is so old that the period counts as lost.
    """
    today = now.date()
    oldest = today - timedelta(days=setting("LOST_AFTER_DAYS"))
    rows = (
        unanswered_follow_ups(Pilot.objects.all(), today)
        .filter(due_on__gte=oldest)
        .select_related(
            "pilot__workload__team", "pilot__candidate", "pilot__incumbent", "pilot__owner", "pilot__deputy"
        )
        .order_by("pilot", "spell_number", "due_on")
    )
    newest = list({(row.pilot_id, row.spell_number): row for row in rows}.values())
    for start in range(0, len(newest), _BATCH):
        batch = newest[start : start + _BATCH]
        keys = {_key(row, kind) for row in batch for kind in _STEPS}
        told = dict(Notice.objects.filter(key__in=keys).values_list("key", "happened_at"))
        news = [item for row in batch for item in _news(row, told, now=now)]
        if news:
            with transaction.atomic():
                announce(news, at=now)


_STEPS = (
    NoticeKind.FOLLOW_UP_DUE,
    NoticeKind.FOLLOW_UP_OVERDUE,
    NoticeKind.FOLLOW_UP_REMINDER,
    NoticeKind.FOLLOW_UP_ESCALATED,
)


def _key(row: FollowUp, kind: NoticeKind) -> str:
    return f"{kind}:{row.pilot_id}:{row.spell_number}:{row.day}:{row.due_on}"


def _news(row: FollowUp, told: dict[str, datetime], *, now: datetime) -> Iterator[News]:
    pilot = row.pilot
    what = f"the follow-up at {row.day} days"
    question = f"{pilot.slug}: is {pilot.workload.name} still on {pilot.candidate}?"
    names = _names((pilot.owner, pilot.deputy))
    asked_at = told.get(_key(row, NoticeKind.FOLLOW_UP_DUE))
    for kind, is_due, words in (
        (NoticeKind.FOLLOW_UP_DUE, True, f"{question} {what.capitalize()} is due since {row.due_on}"),
        (
            NoticeKind.FOLLOW_UP_OVERDUE,
            row.due_on < now.date() and asked_at is not None and asked_at.date() < now.date(),
            f"{pilot.slug}: {what}, due on {row.due_on}, is overdue",
        ),
        (
            NoticeKind.FOLLOW_UP_REMINDER,
            _ago(asked_at, setting("FOLLOW_UP_REMIND_AFTER_DAYS"), now),
            f"{question} {what.capitalize()} is still unanswered since {row.due_on}",
        ),
        (
            NoticeKind.FOLLOW_UP_ESCALATED,
            _ago(asked_at, setting("FOLLOW_UP_ESCALATE_AFTER_DAYS"), now),
            f"{pilot.slug}: nobody has answered {what}, due since {row.due_on}{names}",
        ),
    ):
        if is_due and _key(row, kind) not in told:
            data = {"day": row.day, "due_on": row.due_on.isoformat(), "spell": row.spell_number}
            yield News(
                key=_key(row, kind),
                kind=kind,
                team_id=pilot.workload.team_id,
                pilot=pilot,
                words=words,
                data=data,
            )


def _ago(asked_at: datetime | None, days: int, now: datetime) -> bool:
    return asked_at is not None and now - asked_at >= timedelta(days=days)


def _names(people: Iterable[User | None]) -> str:
    names = [person.get_username() for person in people if person is not None]
    return f"; asked: {', '.join(names)}" if names else "; the pilot has no owner"


def link_token(notice: Notice, user: User) -> str:
    """What names one follow-up and the one person who may answer it, signed and dated."""
    return signing.dumps([notice.pilot_id, notice.data["spell"], notice.data["day"], user.pk], salt=_SALT)


@dataclass(frozen=True, slots=True)
class Question:
    """What a link asks, and of whom."""

    pilot: Pilot
    user: User
    day: int
    due_on: date
    answered_by: PilotEvent | None  # None: still open


def asked_by(token: str) -> Question:
    """The question of a link. Raises ``Refused`` for one that is forged, expired, of a period that has ended, or of
    somebody who may not answer it any more."""
    try:
        pilot_id, spell, day, user_id = signing.loads(
            token, salt=_SALT, max_age=timedelta(days=setting("FOLLOW_UP_LINK_DAYS"))
        )
    except signing.SignatureExpired:
        raise Refused(EXPIRED) from None
    except (signing.BadSignature, ValueError, TypeError):
        raise Refused(NOT_VALID) from None
    user: Any = get_user_model().objects.filter(pk=user_id, is_active=True).first()
    related = ("workload__team", "incumbent", "candidate", "owner", "deputy")
    pilot = Pilot.objects.select_related(*related).filter(pk=pilot_id).first()
    if user is None or pilot is None or not _answers(user, pilot):
        raise Refused(NOT_VALID)
    row = FollowUp.objects.select_related("answered_by").filter(pilot=pilot, spell_number=spell, day=day).first()
    ended = pilot.spells.filter(number=spell).exclude(ended_on=None).exists()
    if row is None or (ended and row.answered_by is None):
        raise Refused(ENDED)
    return Question(pilot, user, row.day, row.due_on, row.answered_by)


def _answers(user: User, pilot: Pilot) -> bool:
    if user.pk in (pilot.owner_id, pilot.deputy_id):
        return True
    return PilotAccess(user).has_role(pilot.workload.team, TeamRole.MANAGER)


def answer_by_link(*, token: str, at: datetime) -> PilotEvent:
    """Record that the workload is still on the candidate, in the name of whom the link was written to.

    Raises ``Refused`` as ``asked_by`` does, and ``Conflict`` where it was answered meanwhile.
    """
    question = asked_by(token)
    if question.answered_by is not None:
        raise Conflict("somebody has answered already")
    return record_follow_up(pilot=question.pilot, by=Actor.person(question.user), at=at, note=NOTE)
