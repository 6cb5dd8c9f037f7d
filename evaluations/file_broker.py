"""The embedded broker: files in a folder, each there whole or not at all. Public surface: ``SCHEME``, ``register``.

kombu's own file transport shows a file before its content is written: a worker that reads it then ends with it.
"""

from __future__ import annotations

import json
import logging
import os
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from queue import Empty
from typing import Any

from kombu.transport import TRANSPORT_ALIASES, filesystem
from kombu.utils.json import dumps, loads

logger = logging.getLogger(__name__)

SCHEME = "files"
Binding = tuple[str, str, str]  # routing key, pattern, queue


def register() -> None:
    """Addresses that begin with ``files://`` are this broker's."""
    TRANSPORT_ALIASES[SCHEME] = f"{__name__}:Transport"


class Channel(filesystem.Channel):
    """Messages and bindings are written aside and renamed into place; of two readers of a message one renames it."""

    # In the type stubs this channel contradicts its own base class.
    def _put(self, queue: str, message: Any, **kwargs: Any) -> None:  # type: ignore[override]
        name = f"{round(time.monotonic() * 1000):015}_{uuid.uuid4()}.{queue}.msg"
        _write(Path(self.data_folder_out) / name, dumps(message))

    def _get(self, queue: str, timeout: float | None = None) -> Any:
        folder = Path(self.data_folder_in)
        for name in sorted(name for name in os.listdir(folder) if name.partition(".")[2] == f"{queue}.msg"):
            taken = folder / f"{name}.taken"
            try:
                os.rename(folder / name, taken)
            except FileNotFoundError:
                continue  # another reader was faster
            text = taken.read_text()
            taken.unlink()
            try:
                return loads(text)
            except ValueError:
                logger.warning("dropped a message that cannot be read: %s", name)
        raise Empty

    def get_table(self, exchange: str) -> list[Binding]:  # type: ignore[override]
        try:
            rows = json.loads(self._file_of(exchange).read_text())
        except (FileNotFoundError, ValueError):
            return []
        return [filesystem.exchange_queue_t(*row) for row in rows]

    def _queue_bind(self, exchange: str, routing_key: str | None, pattern: str | None, queue: str | None) -> None:
        with self._bindings(exchange, routing_key, pattern, queue) as (table, binding):
            if binding not in table:
                table.insert(0, binding)

    def _delete(self, queue: str, exchange: str, routing_key: str, pattern: str, *args: Any, **kwargs: Any) -> None:
        self._purge(queue)
        with self._bindings(exchange, routing_key, pattern, queue) as (table, binding), suppress(ValueError):
            table.remove(binding)

    def _file_of(self, exchange: str) -> Path:
        path: Path = self._exchange_file(exchange)  # type: ignore[attr-defined]
        return path

    @contextmanager
    def _bindings(self, exchange: str, *binding: str | None) -> Iterator[tuple[list[Binding], Binding]]:
        """The bindings of ``exchange``, kept as they are left, and ``binding`` as one of them; one process at once."""
        self.control_folder.mkdir(exist_ok=True)
        with (self.control_folder / "lock").open("a") as lock:
            filesystem.lock(lock, filesystem.LOCK_EX)  # type: ignore[attr-defined]
            table = self.get_table(exchange)
            before = list(table)
            yield table, filesystem.exchange_queue_t(*(part or "" for part in binding))
            if table != before:
                _write(self._file_of(exchange), json.dumps(table))


class Transport(filesystem.Transport):
    Channel = Channel


def _write(path: Path, text: str) -> None:
    aside = path.with_name(f"{path.name}.{uuid.uuid4()}.part")
    aside.write_text(text)
    os.replace(aside, path)
