"""Files that somebody sent and looks at before they count. Public surface: ``keep_upload``, ``kept_upload``,
``drop_upload``, ``Upload``."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from evaluations.conf import data_dir
from evaluations.services.errors import Refused

KEPT_HOURS = 24
_KEY = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True, slots=True)
class Upload:
    key: str
    path: Path  # its name is the one it was sent under


def keep_upload(*, name: str, blocks: Iterable[bytes], user: int, at: datetime) -> Upload:
    """Keep a file for ``user`` until it is dropped, for a day at the most."""
    folder = _folder(user)
    _remove_old(folder, at)
    key = secrets.token_hex(16)
    # A file's name is shown and may be anything; on the disk it is one.
    safe = re.sub(r"[^\w.\- ]", "_", Path(name.replace("\\", "/")).name)[-120:].lstrip(".") or "file"
    path = folder / key / safe
    path.parent.mkdir(parents=True)
    with path.open("wb") as file:
        for block in blocks:
            file.write(block)
    return Upload(key, path)


def kept_upload(*, key: str, user: int) -> Upload:
    """The file that was kept under ``key`` for this user. Raises ``Refused`` when it is gone."""
    if _KEY.fullmatch(key):
        found = sorted((_folder(user) / key).glob("*"))
        if found:
            return Upload(key, found[0])
    raise Refused("the file is no longer kept: choose it again", field="file")


def drop_upload(upload: Upload) -> None:
    upload.path.unlink(missing_ok=True)
    upload.path.parent.rmdir()


def _folder(user: int) -> Path:
    return data_dir() / "uploads" / str(user)


def _remove_old(folder: Path, at: datetime) -> None:
    limit = (at - timedelta(hours=KEPT_HOURS)).timestamp()
    for path in folder.glob("*/*"):
        if path.stat().st_mtime < limit:
            drop_upload(Upload(path.parent.name, path))
