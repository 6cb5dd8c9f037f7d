"""Error pages: words and the way back, no data and no query."""

from __future__ import annotations

import sys
from typing import Any

from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

# A database that restarts is back within seconds.
RETRY_AFTER_SECONDS = 5


def bad_request(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    return render(request, "pilots/errors/400.html", status=400)


def forbidden(request: HttpRequest, exception: Exception | None = None, **kwargs: Any) -> HttpResponse:
    return render(request, "pilots/errors/403.html", status=403)


def not_found(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    return render(request, "pilots/errors/404.html", status=404)


def server_error(request: HttpRequest) -> HttpResponse:
    """Called while the error is being handled: a database that is away is said to be away."""
    if isinstance(sys.exception(), OperationalError | InterfaceError):
        response = render(request, "pilots/errors/503.html", status=503)
        response["Retry-After"] = str(RETRY_AFTER_SECONDS)
        return response
    return render(request, "pilots/errors/500.html", status=500)
