"""Keys for programs. Public surface: ``create_token``, ``revoke_token``, ``token_owner``."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from django.db import transaction
from django.db.models import Q

from evaluations.services.audit import Actor, record, register_actions
from evaluations.services.errors import Conflict, Refused
from pilots.enums import TokenScope
from pilots.models import ApiToken

if TYPE_CHECKING:
    from django.contrib.auth.models import User

register_actions({"token.created": "made the API token", "token.revoked": "revoked the API token"})

BEGINNING = "msp_"
MOST_DAYS = 365
_SHOWN = len(BEGINNING) + 6
_USE_NOTED_EVERY = timedelta(minutes=1)


@transaction.atomic
def create_token(
    *, user: User, name: str, scopes: Iterable[TokenScope], days: int, by: Actor, at: datetime
) -> tuple[ApiToken, str]:
    """A token for ``user`` and its text, which is kept nowhere; it expires after ``days``. Raises ``Refused``."""
    name = name.strip()
    if not name or len(name) > 100:
        raise Refused("a token has a name of at most 100 characters: say what it is for", field="name")
    wanted = [scope for scope in TokenScope if scope in set(scopes)]
    if not wanted:
        raise Refused(f"a token is good for at least one of {', '.join(TokenScope)}", field="scopes")
    if not 1 <= days <= MOST_DAYS:
        raise Refused(f"a token lasts between 1 and {MOST_DAYS} days", field="days")
    text = BEGINNING + secrets.token_urlsafe(32)
    token = ApiToken.objects.create(
        user=user,
        name=name,
        prefix=text[:_SHOWN],
        digest=_digest(text),
        scopes=[scope.value for scope in wanted],
        created_at=at,
        expires_at=at + timedelta(days=days),
    )
    data = {"prefix": token.prefix, "scopes": token.scopes, "expires_at": token.expires_at.isoformat()}
    _audit(token, "token.created", by=by, at=at, data={**data, "user": user.get_username()})
    return token, text


@transaction.atomic
def revoke_token(*, token: ApiToken, by: Actor, at: datetime) -> None:
    """From now on the token opens nothing. Raises ``Conflict`` for one that was revoked already."""
    if not ApiToken.objects.filter(pk=token.pk, revoked_at__isnull=True).update(revoked_at=at):
        raise Conflict("the token was revoked already")
    token.revoked_at = at
    _audit(token, "token.revoked", by=by, at=at, data={"prefix": token.prefix, "user": token.user.get_username()})


def token_owner(*, text: str, at: datetime) -> ApiToken | None:
    """The token with that text, with its owner; None if it is unknown, expired or revoked, or its owner is disabled.

    Its use is noted, to the minute.
    """
    token = ApiToken.objects.select_related("user").filter(digest=_digest(text)).first()
    if token is None or token.revoked_at is not None or token.expires_at <= at or not token.user.is_active:
        return None
    stale = Q(last_used_at__isnull=True) | Q(last_used_at__lte=at - _USE_NOTED_EVERY)
    if token.last_used_at is None or token.last_used_at <= at - _USE_NOTED_EVERY:
        ApiToken.objects.filter(stale, pk=token.pk).update(last_used_at=at)
    return token


def _digest(text: str) -> str:
    # 256 random bits need no slow hash; a fast one keeps every request cheap.
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()


def _audit(token: ApiToken, action: str, *, by: Actor, at: datetime, data: dict[str, object]) -> None:
    record(by=by, at=at, action=action, object_type="api_token", object_id=token.pk, object_label=token.name, data=data)
