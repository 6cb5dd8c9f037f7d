"""Vendor keys, read when a call is made. Public surface: ``read_credential``, ``CredentialMissing``."""

from __future__ import annotations

import os
from pathlib import Path

_by_file: dict[str, tuple[tuple[int, int, int], str]] = {}


class CredentialMissing(LookupError):
    """The endpoint names a key that is not there; the message names the variable or file, never a value."""


def read_credential(env_name: str | None, file_path: str | None) -> str | None:
    """The key an endpoint is called with; ``None`` when it names none (a server of one's own).

    ``file_path`` wins over ``env_name`` and is read again whenever the file changes, so that rotating tokens work.
    """
    if file_path:
        return _usable(_from_file(file_path), f"the file {file_path}")
    if env_name:
        return _usable(os.environ.get(env_name, ""), f"the environment variable {env_name}")
    return None


def _from_file(path: str) -> str:
    try:
        status = os.stat(path)
        stamp = (status.st_mtime_ns, status.st_size, status.st_ino)
        known = _by_file.get(path)
        if known is None or known[0] != stamp:
            known = _by_file[path] = (stamp, Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise CredentialMissing(f"the credential file {path} cannot be read: {type(error).__name__}") from None
    return known[1]


def _usable(value: str, where: str) -> str:
    value = value.strip()
    if not value:
        raise CredentialMissing(f"{where} holds no credential")
    if not value.isascii() or not value.isprintable():
        raise CredentialMissing(f"the credential in {where} has characters that no HTTP header can carry")
    return value
