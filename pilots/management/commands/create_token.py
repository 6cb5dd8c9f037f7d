"""``create_token USER``: a key for a program of theirs, printed once."""

from __future__ import annotations

from typing import Any

from django.contrib.auth import get_user_model
from django.core.management.base import CommandParser

from evaluations.management.base import PilotsCommand
from evaluations.services.errors import Refused
from pilots.enums import TokenScope
from pilots.services.tokens import create_token


class Command(PilotsCommand):
    help = "Make an API token for a user and print it; it is shown only now."
    name = "create_token"

    def arguments(self, parser: CommandParser) -> None:
        parser.add_argument("user")
        parser.add_argument("--name", required=True, help="what the token is for")
        scopes = ", ".join(TokenScope)
        parser.add_argument("--scope", action="append", metavar="SCOPE", help=f"one or more of {scopes}; default: read")
        parser.add_argument("--days", type=int, default=90, metavar="N", help="until it expires")

    def run(self, **options: Any) -> tuple[Any, bool]:
        model = get_user_model()
        user: Any = model._default_manager.filter(**{model.USERNAME_FIELD: options["user"]}).first()
        if user is None:
            raise Refused(f"no user {options['user']!r}", field="user")
        wanted = options["scope"] or [TokenScope.READ.value]
        for scope in wanted:
            if scope not in TokenScope._value2member_map_:
                raise Refused(f"{scope!r} is not one of {', '.join(TokenScope)}", field="--scope")
        token, text = create_token(
            user=user,
            name=options["name"],
            scopes=[TokenScope(scope) for scope in wanted],
            days=options["days"],
            by=self.actor,
            at=self.now,
        )
        return {
            "token": text,
            "prefix": token.prefix,
            "scopes": token.scopes,
            "expires_at": token.expires_at.isoformat(),
        }, True

    def text(self, document: Any) -> str:
        return str(document["token"])
