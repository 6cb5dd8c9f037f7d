"""What every route shares. Public surface: ``ApiView``, ``operation``, ``Answer``, ``Nothing``.

``operation`` is the one declaration of a method: what it reads from the query and the body, what it answers, and which
scope a token needs for it. The same declaration parses the request and describes it in the OpenAPI document.
"""

from __future__ import annotations

import hashlib
import re
import uuid
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property, wraps
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, cast

import msgspec
from django.db import models, transaction
from django.http import HttpResponseBase
from django.utils import timezone
from django.utils.cache import add_never_cache_headers
from rest_framework.authentication import SessionAuthentication
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.permissions import IsAuthenticated
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from evaluations.enums import AuditSource
from evaluations.services.audit import Actor
from evaluations.services.errors import Conflict, NotPermitted, Refused
from pilots.api.authentication import TokenAuthentication, scopes_of
from pilots.api.bodies import JsonBody, read_body, read_query
from pilots.api.describe import Described, described
from pilots.api.problems import NotAllowed, handle
from pilots.enums import TokenScope
from pilots.selectors.access import PilotAccess
from pilots.selectors.documents import plain
from pilots.services.idempotency import Kept, begin, forget, keep

if TYPE_CHECKING:
    from django.contrib.auth.models import User

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_KEY = re.compile(r"[\x21-\x7e]{1,200}")


class Nothing(msgspec.Struct, forbid_unknown_fields=True):
    """No parameters: any that is given is refused."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a method answers where it is more than a document with the usual status."""

    document: Any
    status: int | None = None  # None: the operation's
    headers: Mapping[str, str] = field(default_factory=dict)


class AlwaysJson(BaseContentNegotiation):
    """There is one representation; a browser that would rather have HTML gets it too."""

    def select_parser(self, request: Request, parsers: Any) -> Any:
        return next((parser for parser in parsers if request._request.content_type == parser.media_type), None)

    def select_renderer(self, request: Request, renderers: Any, format_suffix: str | None = None) -> Any:
        return renderers[0], renderers[0].media_type


class ApiView(APIView):
    """A route. Everything that a host's own ``REST_FRAMEWORK`` could change is set here."""

    authentication_classes = [TokenAuthentication, SessionAuthentication]
    permission_classes = [IsAuthenticated]
    throttle_classes: list[Any] = []
    parser_classes = [JsonBody]
    renderer_classes = [JSONRenderer]
    content_negotiation_class = AlwaysJson
    versioning_class = None
    schema = Described()

    # The row that a write is about: a conflict says its present version.
    versioned: models.Model | None = None

    @cached_property
    def request_id(self) -> str:
        given = self.request.headers.get("X-Request-ID", "")
        return given if _REQUEST_ID.fullmatch(given) else uuid.uuid4().hex

    @cached_property
    def access(self) -> PilotAccess:
        return PilotAccess(cast("User", self.request.user))

    @cached_property
    def actor(self) -> Actor:
        return Actor.person(self.access.user, AuditSource.API)

    @cached_property
    def now(self) -> datetime:
        return timezone.now()

    @property
    def scopes(self) -> frozenset[TokenScope]:
        return scopes_of(self.request)

    def allow(self, allowed: bool, why: str = "") -> None:
        """Raises ``NotAllowed`` unless ``allowed``: for what the person can see but not do."""
        if not allowed:
            raise NotAllowed(why)

    def handle_exception(self, exc: Exception) -> Response:
        if auth_header := self.get_authenticate_header(self.request) if getattr(exc, "status_code", 0) == 401 else "":
            exc.auth_header = auth_header  # type: ignore[attr-defined]
        version = self._current_version() if isinstance(exc, Conflict) else None
        response = handle(exc, request_id=self.request_id, current_version=version)
        response.exception = True
        return response

    def _current_version(self) -> int | None:
        row = self.versioned
        if row is None or transaction.get_connection().needs_rollback:
            return None
        return type(row)._default_manager.filter(pk=row.pk).values_list("version", flat=True).first()

    def finalize_response(self, request: Request, response: Any, *args: Any, **kwargs: Any) -> Any:
        finished = super().finalize_response(request, response, *args, **kwargs)
        finished["X-Request-ID"] = self.request_id
        add_never_cache_headers(finished)
        return finished


def operation(
    name: str,
    summary: str,
    *,
    answers: Any,
    status: int = HTTPStatus.OK,
    or_status: int | None = None,
    query: type = Nothing,
    body: type | None = None,
    scopes: tuple[TokenScope, ...] = (),
    together: bool = True,
    raw_body: tuple[str, ...] = (),
) -> Callable[[Callable[..., Any]], Callable[..., HttpResponseBase]]:
    """A method of an ``ApiView``.

    ``answers`` is the type of the document, ``Page[type]`` or a media type; ``or_status`` another status that it comes
    with. ``scopes``: a token needs one of them, by default READ to look and WRITE to change. ``together``: with an
    ``Idempotency-Key``, change and stored answer are one transaction; a method whose work is too long for one is
    harmless when repeated instead.
    """

    def wrap(method: Callable[..., Any]) -> Callable[..., HttpResponseBase]:
        verb = method.__name__.upper()
        needed = scopes or ((TokenScope.READ,) if verb == "GET" else (TokenScope.WRITE,))

        @wraps(method)
        def door(self: ApiView, request: Request, **path: Any) -> HttpResponseBase:
            self.allow(
                bool(self.scopes & set(needed)), f"This token lacks the scope {' or '.join(scope for scope in needed)}."
            )
            given = dict(path)
            parameters: Any = read_query(request, query)
            if query is not Nothing:
                given["query"] = parameters
            if body is not None:
                given["body"] = read_body(request, body)

            def answer() -> HttpResponseBase | Answer:
                found = method(self, request, **given)
                if isinstance(found, HttpResponseBase):
                    return found
                found = found if isinstance(found, Answer) else Answer(found)
                return replace(found, status=found.status or status)

            if verb == "POST" and not raw_body and "Idempotency-Key" in request.headers:
                return once(self, body_digest(request), answer, together=together)
            return _response(answer())

        door.operation = described(  # type: ignore[attr-defined]
            name,
            summary,
            answers=answers,
            status=status,
            or_status=or_status,
            query=query,
            body=body,
            raw_body=raw_body,
            verb=verb,
        )
        return door

    return wrap


def body_digest(request: Request) -> str:
    """Of a JSON body as it was sent; of nothing where there was none."""
    return getattr(request._request, "pilots_digest", hashlib.sha256(b"").hexdigest())


def once(
    view: ApiView, digest: str, answer: Callable[[], HttpResponseBase | Answer], *, together: bool
) -> HttpResponseBase:
    """The answer under the request's ``Idempotency-Key``: computed now, or the one that was given before."""
    request = view.request
    key = request.headers["Idempotency-Key"]
    if not _KEY.fullmatch(key):
        raise Refused("has 1 to 200 visible ASCII characters", field="Idempotency-Key")
    address = request._request.get_full_path()
    route = f"POST {request.path}"
    if len(route) > 400:
        raise Refused("the address is too long")
    whole = hashlib.sha256(f"{address}\n{digest}".encode()).hexdigest()
    begun = begin(user=view.access.user, route=route, key=key, digest=whole, at=view.now)
    if isinstance(begun, Kept):
        return _response(Answer(begun.document, begun.status, {**begun.headers, "Idempotent-Replayed": "true"}))
    try:
        with transaction.atomic() if together else nullcontext():
            found = answer()
            if isinstance(found, Answer):
                keep(begun, status=int(found.status or 200), document=plain(found.document), headers=found.headers)
    except BaseException as error:
        forget(begun)
        if isinstance(error, NotPermitted) and together:
            error.record()
        raise
    return _response(found)


def _response(found: HttpResponseBase | Answer) -> HttpResponseBase:
    if isinstance(found, HttpResponseBase):
        return found
    return Response(plain(found.document), status=found.status, headers=dict(found.headers))
