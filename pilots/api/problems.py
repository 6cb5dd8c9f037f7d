"""Every error as a problem document (RFC 9457). Public surface: ``problem_response``, ``handle``, ``NotAllowed``,
``TooLarge``, ``Problem``, ``PROBLEM_TYPE``."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import msgspec
from django.core.exceptions import PermissionDenied, SuspiciousOperation, ValidationError
from django.db import InterfaceError, OperationalError
from django.http import Http404
from rest_framework import exceptions
from rest_framework.response import Response

from evaluations.services.errors import Conflict, Refused
from pilots.services.idempotency import AnotherBody, InFlight

logger = logging.getLogger(__name__)

PROBLEM_TYPE = "application/problem+json"
_RETRY_AFTER = {"Retry-After": "5"}


class FieldProblem(msgspec.Struct):
    """One input at fault: ``field`` is its path in the body, or the name of the query parameter."""

    field: str
    message: str


class Problem(msgspec.Struct, omit_defaults=True):
    """What an error says. ``title`` names the kind, ``detail`` the rule that was broken."""

    title: str
    status: int
    request_id: str
    type: str = "about:blank"
    detail: str = ""
    errors: list[FieldProblem] = []
    current_version: int | None = None  # of a row that has changed since it was read


class NotAllowed(Exception):
    """The object is there for this person, but this is not for them to do."""


class TooLarge(exceptions.APIException):
    """The body goes on where the limit is."""

    status_code = HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    default_detail = "The body is too large."


def problem_response(
    status: int,
    detail: str,
    *,
    request_id: str,
    field: str = "",
    current_version: int | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    problem = Problem(
        title=HTTPStatus(status).phrase,
        status=int(status),
        request_id=request_id,
        detail=detail,
        errors=[FieldProblem(field, detail)] if field else [],
        current_version=current_version,
    )
    document = {"type": problem.type, **msgspec.to_builtins(problem)}
    return Response(document, status=status, headers=dict(headers or {}), content_type=PROBLEM_TYPE)


def handle(error: Exception, *, request_id: str, current_version: int | None) -> Response:
    """What is said about ``error``; whatever nobody foresaw is logged under the request's id, and not told."""

    def say(status: int, detail: str, **more: Any) -> Response:
        return problem_response(status, detail, request_id=request_id, **more)

    match error:
        case AnotherBody():
            return say(HTTPStatus.UNPROCESSABLE_ENTITY, _sentence(error), field=error.field)
        case InFlight():
            return say(HTTPStatus.CONFLICT, _sentence(error), headers=_RETRY_AFTER)
        case Conflict():
            return say(HTTPStatus.CONFLICT, _sentence(error), field=error.field, current_version=current_version)
        case Refused():
            return say(HTTPStatus.BAD_REQUEST, _sentence(error), field=error.field)
        case NotAllowed() | PermissionDenied():
            return say(HTTPStatus.FORBIDDEN, str(error) or "This is not for you to do.")
        case Http404() | exceptions.NotFound():
            # The same for what is absent and for what is somebody else's.
            return say(HTTPStatus.NOT_FOUND, "There is nothing here.")
        case exceptions.APIException():
            return say(error.status_code, str(error.detail), headers=_headers(error))
        case ValidationError():
            # A column's own refusal of a value that no rule before it had an opinion about.
            return say(HTTPStatus.BAD_REQUEST, " ".join(error.messages))
        case SuspiciousOperation():
            return say(HTTPStatus.BAD_REQUEST, "The request cannot be read.")
        case OperationalError() | InterfaceError():
            logger.exception("request %s: the database is not there", request_id)
            return say(HTTPStatus.SERVICE_UNAVAILABLE, "The database does not answer.", headers=_RETRY_AFTER)
    logger.exception("request %s failed", request_id)
    return say(HTTPStatus.INTERNAL_SERVER_ERROR, "Something went wrong here. The log has it under the request's id.")


def _sentence(refusal: Refused) -> str:
    return f"{refusal.field} {refusal.message}" if refusal.field and _is_predicate(refusal.message) else refusal.message


def _is_predicate(message: str) -> bool:
    """Whether the message goes on after the name of its field, as in "must be at least 1"."""
    return message.partition(" ")[0] in ("is", "are", "must", "needs", "has", "lies", "was", "cannot", "names", "holds")


def _headers(error: exceptions.APIException) -> dict[str, str]:
    found = {}
    if challenge := getattr(error, "auth_header", None):
        found["WWW-Authenticate"] = challenge
    if wait := getattr(error, "wait", None):
        found["Retry-After"] = str(int(wait))
    return found
