"""A person's keys for programs. Public surface: ``tokens_of``, ``TokenRow``."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from pilots.enums import TokenScope
from pilots.models import ApiToken

if TYPE_CHECKING:
    from django.contrib.auth.models import User


@dataclass(frozen=True, slots=True)
class TokenRow:
    pk: int
    name: str
    prefix: str  # its beginning; the rest is known to its holder alone
    scopes: tuple[TokenScope, ...]
    created_at: datetime
    expires_at: datetime
    last_used_at: datetime | None  # None: never
    state: str  # works, expired or revoked


def tokens_of(user: User, *, at: datetime) -> tuple[TokenRow, ...]:
    """Every token that the person made, newest first."""
    return tuple(
        TokenRow(
            pk=row.pk,
            name=row.name,
            prefix=row.prefix,
            scopes=tuple(map(TokenScope, row.scopes)),
            created_at=row.created_at,
            expires_at=row.expires_at,
            last_used_at=row.last_used_at,
            state="revoked" if row.revoked_at else "expired" if row.expires_at <= at else "works",
        )
        for row in ApiToken.objects.filter(user=user)
    )
