"""One request, however often it is sent. Public surface: ``begin``, ``keep``, ``forget``, ``Begun``, ``Kept``,
``InFlight``, ``AnotherBody``.

A key belongs to a person and a route. The answer is stored in the transaction of the change that it reports, so that
neither is there without the other; a request that was refused leaves no trace and may be sent again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from django.db import IntegrityError, transaction

from evaluations.services.errors import Conflict, Refused
from pilots.models import IdempotentRequest

if TYPE_CHECKING:
    from django.contrib.auth.models import User

KEPT_FOR = timedelta(hours=48)
# A process that has not answered for so long has died; the next request with the key may take its place.
GIVEN_UP_AFTER = timedelta(minutes=15)


class InFlight(Conflict):
    """The same request is being worked on right now."""


class AnotherBody(Refused):
    """The key was used for something else."""


@dataclass(frozen=True, slots=True)
class Begun:
    """The right to answer: nobody else is working on this key."""

    pk: int
    begun_at: datetime


@dataclass(frozen=True, slots=True)
class Kept:
    """The answer that was given before."""

    status: int
    document: Any
    headers: Mapping[str, str]


def begin(*, user: User, route: str, key: str, digest: str, at: datetime) -> Begun | Kept:
    """Claim the key, or find its answer. Raises ``InFlight`` and ``AnotherBody``."""
    IdempotentRequest.objects.filter(user=user, begun_at__lt=at - KEPT_FOR).delete()
    try:
        with transaction.atomic():
            row = IdempotentRequest.objects.create(user=user, route=route, key=key, digest=digest, begun_at=at)
    except IntegrityError:
        return _found(user, route, key, digest, at)
    return Begun(row.pk, at)


def _found(user: User, route: str, key: str, digest: str, at: datetime) -> Begun | Kept:
    row = IdempotentRequest.objects.filter(user=user, route=route, key=key).first()
    if row is None:  # refused and forgotten since we looked
        raise InFlight("a request with this Idempotency-Key has just ended: send it again")
    if row.digest != digest:
        raise AnotherBody("this Idempotency-Key was used with another body", field="Idempotency-Key")
    if row.status is not None:
        return Kept(row.status, row.document, row.headers)
    abandoned = IdempotentRequest.objects.filter(
        pk=row.pk, status__isnull=True, begun_at=row.begun_at, begun_at__lt=at - GIVEN_UP_AFTER
    )
    if abandoned.update(begun_at=at):
        return Begun(row.pk, at)
    raise InFlight("a request with this Idempotency-Key is being worked on")


def keep(begun: Begun, *, status: int, document: Any, headers: Mapping[str, str]) -> None:
    """Store the answer; called inside the transaction of the change. Raises ``InFlight`` if somebody took over."""
    claimed = IdempotentRequest.objects.filter(pk=begun.pk, begun_at=begun.begun_at, status__isnull=True)
    if not claimed.update(status=status, document=document, headers=dict(headers)):
        raise InFlight("a later request with this Idempotency-Key has taken over")


def forget(begun: Begun) -> None:
    """The request was refused or has failed: nothing happened, and it may be sent again."""
    IdempotentRequest.objects.filter(pk=begun.pk, begun_at=begun.begun_at, status__isnull=True).delete()
