"""Who asks: a program with a token, or a signed-in person. Public surface: ``TokenAuthentication``, ``scopes_of``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.utils import timezone
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from pilots.enums import TokenScope
from pilots.models import ApiToken
from pilots.services.tokens import token_owner

if TYPE_CHECKING:
    from django.contrib.auth.models import User

_ALL = frozenset(TokenScope)


class TokenAuthentication(BaseAuthentication):
    """``Authorization: Bearer msp_...``."""

    def authenticate(self, request: Request) -> tuple[User, ApiToken] | None:
        scheme, _, text = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            return None
        token = token_owner(text=text.strip(), at=timezone.now())
        if token is None:
            raise AuthenticationFailed("The token is unknown, expired or revoked.")
        return token.user, token

    def authenticate_header(self, request: Request) -> str:
        return "Bearer"


class TokenScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    target_class = TokenAuthentication
    name = "token"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {"type": "http", "scheme": "bearer"}


def scopes_of(request: Request) -> frozenset[TokenScope]:
    """What the request may be used for; a signed-in person's own session is not narrowed."""
    token = request.auth
    return frozenset(map(TokenScope, token.scopes)) if isinstance(token, ApiToken) else _ALL
