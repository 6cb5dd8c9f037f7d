"""What every page shares. Public surface: ``page``, ``access_of``, ``actor_of``, ``door``, ``filters_of``,
``whole_number``, ``too_long``, ``sign_in_url``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import wraps
from typing import Any, cast
from urllib.parse import urlencode

from django.conf import global_settings, settings
from django.contrib.auth.decorators import login_required
from django.contrib.auth.models import User
from django.core.exceptions import SuspiciousOperation
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from evaluations.models import Team
from evaluations.selectors.reviews import waiting_reviews
from evaluations.services.audit import Actor
from evaluations.services.errors import Refused
from pilots.selectors.access import PilotAccess
from pilots.selectors.filters import ReportFilters

TEAM_KEY = "pilots_team"

View = Callable[..., HttpResponseBase]


def sign_in_url() -> str:
    """The host's sign-in page where it has named one, else ours."""
    return "pilots:sign-in" if settings.LOGIN_URL == global_settings.LOGIN_URL else settings.LOGIN_URL


def door(*methods: str) -> Callable[[View], View]:
    """For signed-in people only, for these methods only, never kept in a cache.

    A parameter that no database can keep is a bad request.
    """

    def wrap(view: View) -> View:
        @wraps(view)
        def readable(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            given = [text for data in (request.GET, request.POST) for _, texts in data.lists() for text in texts]
            if any("\x00" in str(text) for text in given):
                raise SuspiciousOperation("NUL in a parameter")
            return view(request, *args, **kwargs)

        return never_cache(login_required(require_http_methods(list(methods))(readable), login_url=sign_in_url()))

    return wrap


def access_of(request: HttpRequest) -> PilotAccess:
    """What the signed-in person may see and do; read once a request."""
    if not hasattr(request, "_pilots_access"):
        request._pilots_access = PilotAccess(cast(User, request.user))  # type: ignore[attr-defined]
    return cast(PilotAccess, request._pilots_access)  # type: ignore[attr-defined]


def actor_of(request: HttpRequest) -> Actor:
    return Actor.person(cast(User, request.user))


@dataclass(frozen=True, slots=True)
class Frame:
    """The rail: where one is, the teams to choose from, and the team that lists start with."""

    section: str
    teams: tuple[Team, ...]
    team: Team | None
    query: str  # "" or "?team=slug", for the links to lists
    reviews: int  # samples that wait for the person's judgement


def page(
    request: HttpRequest, template: str, context: dict[str, Any], *, section: str, status: int = 200
) -> HttpResponse:
    """Render a page inside the frame. The clock is read here, once."""
    teams = tuple(access_of(request).teams())
    chosen = request.session.get(TEAM_KEY)
    team = next((team for team in teams if team.slug == chosen), None)
    waiting = waiting_reviews(access_of(request).user, access_of(request).teams())
    frame = Frame(section, teams, team, f"?{urlencode({'team': team.slug})}" if team else "", waiting)
    shared = {"now": timezone.now(), "team_names": {team.slug: team.name for team in teams}, "frame": frame}
    return render(request, template, {**shared, **context}, status=status)


def filters_of(request: HttpRequest, *, now: datetime) -> tuple[ReportFilters, Refused | None]:
    """The filters in the URL; where they cannot be read, none of them and the refusal."""
    try:
        return ReportFilters.parse(dict(request.GET.lists()), now=now), None
    except Refused as refusal:
        return ReportFilters.parse({}, now=now), refusal


def whole_number(text: str | None) -> int | None:
    """A positive number from the URL that fits the database; anything else is as good as absent."""
    if text is None or not text.isascii() or not text.isdigit() or len(text) > 18:
        return None
    return int(text)


_AROUND_A_FILE = 256 * 1024  # what a form sends beside its file


def too_long(request: HttpRequest, most: int) -> bool:
    """Whether the body, of which nothing is read, is longer than a form with a file of ``most`` bytes."""
    length = whole_number(request.headers.get("Content-Length"))
    return length is not None and length > most + _AROUND_A_FILE
