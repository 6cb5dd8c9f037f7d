"""The embedded broker under many writers and readers at once: every message arrives once, and nobody ends with it."""

from __future__ import annotations

import multiprocessing
import time
from pathlib import Path
from typing import Any

import pytest
from kombu import Connection, Exchange, Queue
from kombu.pools import reset

from evaluations.conf import embedded_broker

WRITERS, READERS, EACH = 4, 4, 250


def connection(folder: Path) -> Connection:
    url, options = embedded_broker(folder)
    return Connection(url, transport_options=options)


def queue(name: str) -> Queue:
    return Queue(name, Exchange(name), routing_key=name)


def write(folder: Path, writer: int) -> None:
    with connection(folder) as broker:
        producer = broker.Producer(serializer="json")
        for number in range(EACH):
            producer.publish(
                {"n": writer * EACH + number},
                exchange=queue("work").exchange,
                routing_key="work",
                declare=[queue("work")],
            )


def read(folder: Path, found: Any) -> None:
    with connection(folder) as broker, broker.SimpleQueue(queue("work")) as waiting:
        seen, quiet_since = [], time.monotonic()
        while time.monotonic() - quiet_since < 3:
            try:
                message = waiting.get(block=False)
            except waiting.Empty:
                time.sleep(0.001)
                continue
            seen.append(message.payload["n"])
            message.ack()
            quiet_since = time.monotonic()
        found.put(seen)


def test_every_message_arrives_once_however_many_write_and_read(tmp_path: Path) -> None:
    reset()
    context = multiprocessing.get_context("spawn")
    found = context.Queue()
    processes = [context.Process(target=read, args=(tmp_path, found)) for _ in range(READERS)]
    processes += [context.Process(target=write, args=(tmp_path, writer)) for writer in range(WRITERS)]
    for process in processes:
        process.start()
    seen = [number for _ in range(READERS) for number in found.get(timeout=60)]
    for process in processes:
        process.join(timeout=60)
    assert [process.exitcode for process in processes] == [0] * len(processes)
    assert sorted(seen) == list(range(WRITERS * EACH))
    assert list((tmp_path / "queue").iterdir()) == []


def test_a_message_that_cannot_be_read_is_dropped_and_the_next_one_arrives(tmp_path: Path, caplog) -> None:
    with connection(tmp_path) as broker, broker.SimpleQueue(queue("work")) as waiting:
        (tmp_path / "queue" / "000_torn.work.msg").write_text("")
        waiting.put({"n": 1})
        assert waiting.get(block=False).payload == {"n": 1}
        with pytest.raises(waiting.Empty):
            waiting.get(block=False)
    assert "dropped a message that cannot be read: 000_torn.work.msg" in caplog.text


def test_bindings_are_kept_and_taken_away_one_by_one(tmp_path: Path) -> None:
    with connection(tmp_path) as broker:
        channel: Any = broker.channel()
        for name in ("one", "two", "one"):
            channel._queue_bind("shared", name, None, name)
        assert [row.queue for row in channel.get_table("shared")] == ["two", "one"]
        channel._delete("two", "shared", "two", "")
        assert [row.queue for row in channel.get_table("shared")] == ["one"]
        assert channel.get_table("nobody") == []
