"""Shared checks of scorer configurations. Public surface: ``known_keys``, ``switch``, ``choice``, ``text_of_length``.

Each raises ``ScorerConfigError`` naming the key at fault.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from evaluations.scorers.base import ScorerConfigError


def known_keys(config: Mapping[str, Any], *allowed: str) -> None:
    """Refuse a key that the scorer would silently ignore."""
    for key in config:
        if key not in allowed:
            raise ScorerConfigError(f"unknown key {key!r} (known: {', '.join(allowed) or 'none'})")


def switch(config: Mapping[str, Any], key: str) -> bool:
    """An optional true/false, false when absent."""
    value = config.get(key, False)
    if not isinstance(value, bool):
        raise ScorerConfigError(f"{key!r} must be true or false")
    return value


def choice(config: Mapping[str, Any], key: str, allowed: tuple[str, ...]) -> str:
    """An optional word out of ``allowed``; the first one when absent."""
    value = config.get(key, allowed[0])
    if value not in allowed:
        raise ScorerConfigError(f"{key!r} must be one of: {', '.join(allowed)}")
    return str(value)


def text_of_length(config: Mapping[str, Any], key: str, longest: int) -> str:
    """A required text of 1 to ``longest`` characters."""
    value = config.get(key)
    if not isinstance(value, str) or not 1 <= len(value) <= longest:
        raise ScorerConfigError(f"{key!r} must be a text of 1 to {longest} characters")
    return value
