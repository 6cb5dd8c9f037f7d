"""Prompts for answers that were logged without them: a requests file, looked up by external id.

Public surface: ``RequestIndex``.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from evaluations.capture.base import BadLine, CaptureError


class RequestIndex:
    """External id to chat request, in a temporary database that SQLite spills to disk, so that memory stays flat."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    @classmethod
    @contextmanager
    def of(cls, path: Path | None) -> Iterator[RequestIndex]:
        """The requests in ``path``, any known format with ids and prompts; empty for ``None``.

        Raises ``CaptureError`` for the first unreadable line or repeated id: a join on half a file would be silent.
        """
        connection = sqlite3.connect("")
        try:
            connection.execute("CREATE TABLE request (id TEXT PRIMARY KEY, body BLOB NOT NULL) WITHOUT ROWID")
            if path is not None:
                try:
                    connection.executemany("INSERT INTO request VALUES (?, ?)", _rows(path))
                except sqlite3.IntegrityError:
                    raise CaptureError(f"{path.name}: an id occurs more than once") from None
            yield cls(connection)
        finally:
            connection.close()

    def get(self, external_id: str | None) -> dict[str, Any] | None:
        row = self._connection.execute("SELECT body FROM request WHERE id = ?", (external_id,)).fetchone()
        return None if row is None else msgspec.json.decode(row[0], type=dict[str, Any])


def _rows(path: Path) -> Iterator[tuple[str, bytes]]:
    # The registry lists the readers and the readers join: the loop is cut here.
    from evaluations.capture.registry import detect

    for sample in detect(path).read(path):
        if isinstance(sample, BadLine):
            where = f"line {sample.line}" + (f", {sample.field}" if sample.field else "")
            raise CaptureError(f"{path.name}: {where}: {sample.reason}")
        if sample.external_id is not None and sample.request is not None:
            yield sample.external_id, msgspec.json.encode(sample.request)
