"""Secrets of webhooks and the signatures made with them. Public surface: ``new_salt``, ``secret_of``, ``digest_of``,
``signed_headers``.

The form is that of the Standard Webhooks specification, so that receivers can use any of its libraries. No secret is
kept: it is derived from the site's secret key, so that a copy of the database signs nothing.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets

from django.conf import settings

PREFIX = "whsec_"


def new_salt() -> str:
    return secrets.token_hex(16)


def secret_of(salt: str) -> str:
    """The secret as its receiver writes it down: ``whsec_`` and 32 bytes in base64."""
    key = settings.SECRET_KEY.encode()
    return PREFIX + base64.b64encode(hmac.digest(key, b"pilots.webhook:" + salt.encode(), "sha256")).decode()


def digest_of(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def signed_headers(*, secret: str, message_id: str, timestamp: int, body: bytes) -> dict[str, str]:
    """HMAC-SHA256 over ``id.timestamp.body``, with what a receiver needs to check it."""
    key = base64.b64decode(secret.removeprefix(PREFIX))
    signature = hmac.digest(key, f"{message_id}.{timestamp}.".encode() + body, "sha256")
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": f"v1,{base64.b64encode(signature).decode()}",
    }
