"""Server-sent events, read from byte chunks cut anywhere. Public surface: ``Event``, ``EventParser``.

After the HTML standard, section 9.2.6 (interpretation of an event stream), without ids and reconnection.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Event:
    """``name`` is the event field, empty when there was none; ``data`` is the joined data lines."""

    name: str
    data: bytes


@dataclass(slots=True)
class EventParser:
    """Feed it what arrives; it returns the events completed by it."""

    _buffer: bytearray = field(default_factory=bytearray)
    _scanned: int = 0
    _name: str = ""
    _data: list[bytes] = field(default_factory=list)

    def feed(self, chunk: bytes) -> list[Event]:
        self._buffer += chunk
        found: list[Event] = []
        start = 0
        while (end := self._line_end()) is not None:
            line = bytes(self._buffer[start:end])
            if self._buffer[end] == 13 and end + 1 < len(self._buffer) and self._buffer[end + 1] == 10:
                end += 1
            self._scanned = start = end + 1
            if (event := self._line(line)) is not None:
                found.append(event)
        del self._buffer[:start]
        self._scanned -= start
        return found

    def close(self) -> list[Event]:
        """The event that was still waiting for its blank line when the stream ended."""
        return self.feed(b"\n\n" if not self._buffer.endswith(b"\r") else b"\n\n\n")

    def _line_end(self) -> int | None:
        """Where the next line ends; a CR at the very end of the buffer may still get its LF."""
        lf = self._buffer.find(b"\n", self._scanned)
        cr = self._buffer.find(b"\r", self._scanned, lf if lf >= 0 else len(self._buffer))
        if cr >= 0 and cr + 1 < len(self._buffer):
            return cr
        if lf >= 0 and cr < 0:
            return lf
        self._scanned = cr if cr >= 0 else len(self._buffer)
        return None

    def _line(self, line: bytes) -> Event | None:
        if not line:
            event = Event(self._name, b"\n".join(self._data)) if self._data else None
            self._name, self._data = "", []
            return event
        key, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if key == b"data":
            self._data.append(value)
        elif key == b"event":
            self._name = value.decode("utf-8", "replace")
        return None
