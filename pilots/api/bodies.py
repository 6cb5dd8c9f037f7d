"""What is sent: JSON that a database and a later page can take, within limits. Public surface: ``JsonBody``,
``read_body``, ``read_query``, ``Spooled``, ``spool``."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import IO, Any, TypeVar, get_origin, get_type_hints

import msgspec
from rest_framework.exceptions import UnsupportedMediaType
from rest_framework.parsers import BaseParser
from rest_framework.request import Request

from evaluations.services.errors import Refused
from pilots.api.problems import TooLarge
from pilots.conf import setting
from pilots.services.documents import parse_json, shaped

T = TypeVar("T")

LINES = (
    "application/x-ndjson",
    "application/jsonl",
    "application/x-jsonlines",
    "application/gzip",
    "application/octet-stream",
)
_BLOCK = 1024 * 1024
_EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)


class JsonBody(BaseParser):
    """UTF-8 JSON without NaN, NUL, lone surrogates, repeated keys and deep nesting; ``_raw`` keeps what was sent."""

    media_type = "application/json"

    def parse(self, stream: Any, media_type: str | None = None, parser_context: Mapping[str, Any] | None = None) -> Any:
        request: Request = (parser_context or {})["request"]
        charset = (request._request.content_params or {}).get("charset", "utf-8")
        if charset.strip("\"'").lower() not in ("utf-8", "utf8"):
            raise UnsupportedMediaType(f"{media_type}", detail="JSON is read as UTF-8 only.")
        raw = b"".join(_limited(stream, setting("API_MAX_BODY_BYTES")))
        request._request.pilots_digest = hashlib.sha256(raw).hexdigest()  # type: ignore[attr-defined]
        return parse_json(raw)


def read_body(request: Request, kind: type[T]) -> T:
    """The body as a ``kind``. Raises ``Refused``, and what the parser raises."""
    if "chunked" in request.headers.get("Transfer-Encoding", "").lower():
        raise Refused("send a Content-Length with JSON")
    document = request.data
    if not document and not isinstance(document, list) and not getattr(request._request, "pilots_digest", ""):
        document = {}  # no body at all
    body = shaped(document, kind)
    _check(body, "")
    return body


def read_query(request: Request, kind: type[T]) -> T:
    """The query string as a ``kind``; unknown names are refused. Raises ``Refused``."""
    many = {name for name, hint in get_type_hints(kind).items() if get_origin(hint) is tuple}
    given: dict[str, Any] = {}
    for name, texts in request.query_params.lists():
        if any("\x00" in text for text in (name, *texts)):
            raise Refused("holds a character that cannot be stored", field=name.replace("\x00", ""))
        if len(texts) > 1 and name not in many:
            raise Refused("is given twice", field=name)
        given[name] = texts if name in many else texts[-1]
    return shaped(given, kind, strict=False)


def _check(value: Any, path: str) -> None:
    """What the types leave open: numbers that are none, or that no column holds, and instants out of all reason."""
    if isinstance(value, Decimal):
        if not value.is_finite() or abs(value.adjusted()) > 20:
            raise Refused("is not a usable number", field=path)
    elif isinstance(value, datetime):
        try:
            early = value.astimezone(UTC) < _EARLIEST
        except OverflowError:
            early = True
        if early:
            raise Refused("lies outside the years that can be recorded", field=path)
    elif isinstance(value, msgspec.Struct):
        for name in value.__struct_fields__:
            _check(getattr(value, name), f"{path}.{name}" if path else name)
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            _check(item, f"{path}[{index}]")
    elif isinstance(value, dict):
        for key, item in value.items():
            _check(item, f"{path}.{key}")


def _limited(stream: IO[bytes], most: int) -> Iterator[bytes]:
    size = 0
    while block := stream.read(_BLOCK):
        size += len(block)
        if size > most:
            raise TooLarge(f"The body is larger than {most // (1024 * 1024)} MB.")
        yield block


@dataclass(frozen=True, slots=True)
class Spooled:
    """A long body, on disk."""

    path: Path
    digest: str


@contextmanager
def spool(request: Request) -> Iterator[Spooled]:
    """The body in a file while it is needed, however long it is. Raises ``TooLarge`` and ``UnsupportedMediaType``."""
    if request._request.content_type not in LINES:
        raise UnsupportedMediaType(
            request._request.content_type or "none", detail=f"Send one JSON object a line, as {LINES[0]}."
        )
    django_request: Any = request._request
    environ = django_request.environ
    # Without a length Django reads nothing; the server says whether it ends the stream itself.
    stream = environ["wsgi.input"] if environ.get("wsgi.input_terminated") else django_request
    digest = hashlib.sha256()
    with tempfile.TemporaryDirectory(prefix="pilots-") as folder:
        path = Path(folder) / "samples.jsonl"
        with path.open("wb") as file:
            for block in _limited(stream, setting("API_MAX_SAMPLES_BYTES")):
                digest.update(block)
                file.write(block)
        yield Spooled(path, digest.hexdigest())
