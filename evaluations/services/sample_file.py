"""A log file on its way into the pool, one row at a time.

Public surface: ``SampleFile`` (reads), ``Row``, ``refusal``, ``write_rejects`` (bad lines).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any, TextIO

import msgspec

from evaluations.capture.base import BadLine, CapturedSample, CaptureError, Reader
from evaluations.capture.digest import sample_digests
from evaluations.capture.redaction import RedactionError, Redactor
from evaluations.capture.registry import READERS, detect
from evaluations.conf import data_dir
from evaluations.plugins import PluginError
from evaluations.services.answers import storable
from evaluations.services.errors import Refused

MAX_LABEL = 200  # characters of an id, a cluster
_ENCODER = msgspec.json.Encoder()
_NUL = rb"\u0000"


@dataclass(frozen=True, slots=True)
class Row:
    """One readable line: ``sample`` as it will be stored, the id it has in the pool, the digest of its content."""

    sample: CapturedSample
    external_id: str
    digest: str
    digest_unanswered: str | None = None  # what it would be without the recorded answer; None: there is no answer
    redacted: Mapping[str, int] = field(default_factory=dict)  # replacements by kind


class SampleFile:
    """``path`` read as ``format`` ('auto': recognised by its beginning), redacted where there is a ``redactor``."""

    def __init__(self, path: Path, *, format: str, requests: Path | None, redactor: Redactor | None) -> None:
        """Raises ``Refused`` for a file that cannot be read and for an unknown format."""
        self.path = path
        self._requests = requests
        self._redactor = redactor
        try:
            self.reader: Reader = detect(path) if format == "auto" else READERS.get(format)
        except CaptureError as error:
            raise Refused(str(error)) from None
        except PluginError:
            raise Refused(
                f"unknown format {format} (known: auto, {', '.join(READERS.keys())})", field="format"
            ) from None

    def rows(self) -> Iterator[Row | BadLine]:
        """Every line. Raises ``Refused`` where the file as a whole turns out to be unreadable."""
        try:
            for item in self.reader.read(self.path, requests=self._requests):
                yield self._told(item) if isinstance(item, BadLine) else self._row(item)
        except CaptureError as error:
            raise Refused(str(error)) from None

    def _told(self, bad: BadLine) -> BadLine:
        """What is wrong with a line may quote it."""
        if self._redactor is None:
            return bad
        try:
            field, reason = (self._redactor.redact_text(text)[0] for text in (bad.field, bad.reason))
        except RedactionError:
            return replace(bad, field="", reason="cannot be read")
        return replace(bad, field=field, reason=reason)

    def _row(self, captured: CapturedSample) -> Row | BadLine:
        sample, redacted = _storable(captured), Counter[str]()
        if self._redactor is not None:
            try:
                sample, redacted = self._redactor.redact_sample(sample)
            except RedactionError as error:
                return BadLine(sample.line, "", str(error))
        for name, label in (("id", sample.external_id), ("cluster", sample.cluster)):
            if label is not None and len(label) > MAX_LABEL:
                return BadLine(sample.line, name, f"is longer than {MAX_LABEL} characters")
        digest, unanswered = sample_digests(sample)
        return Row(sample, sample.external_id or f"sha256:{digest[:40]}", digest, unanswered, redacted)


def _storable(sample: CapturedSample) -> CapturedSample:
    """Without characters that a database would not take; nothing is lost, they are escaped."""
    try:
        if _NUL not in _ENCODER.encode(sample):
            return sample
    except UnicodeEncodeError:  # a lone surrogate
        pass
    response = sample.response
    if response is not None:
        texts = {name: storable(getattr(response, name)) for name in ("text", "message", "model", "finish_reason")}
        response = replace(response, **texts)
    fields: dict[str, Any] = {
        name: storable(getattr(sample, name)) for name in ("external_id", "request", "cluster", "segments", "reference")
    }
    return replace(sample, **fields, response=response)


def refusal(source: Path, bad: BadLine) -> Refused:
    """One bad line refuses the file, named by file, line and field."""
    where = f"line {bad.line}, {bad.field}" if bad.field else f"line {bad.line}"
    return Refused(f"{source.name}: {where}: {bad.reason}")


def write_rejects(source: Path, bad: Iterable[BadLine], *, at: datetime) -> tuple[Path | None, int]:
    """List bad lines in a file of the data directory; None and 0 where there are none."""
    file: TextIO | None = None
    n = 0
    try:
        for line in bad:
            n += 1
            if file is None:
                folder = data_dir() / "rejects"
                folder.mkdir(parents=True, exist_ok=True)
                file = _new_file(folder, f"{at.astimezone(UTC):%Y%m%dT%H%M%SZ}-{source.name}")
            told = {"line": line.line, "field": line.field, "reason": line.reason}
            file.write(msgspec.json.encode(told).decode() + "\n")
    finally:
        if file is not None:
            file.close()
    return None if file is None else Path(file.name), n


def _new_file(folder: Path, stem: str) -> TextIO:
    """Numbered where there is one of that name: two files may come in the same second."""
    for number in count(1):
        with suppress(FileExistsError):
            return (folder / f"{stem}{'' if number == 1 else f'-{number}'}.jsonl").open("x", encoding="utf-8")
    raise AssertionError("numbers do not end")
