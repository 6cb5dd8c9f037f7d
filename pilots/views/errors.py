"""Error pages: words and the way back, no data and no query."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render


def bad_request(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    return render(request, "pilots/errors/400.html", status=400)


def forbidden(request: HttpRequest, exception: Exception | None = None, **kwargs: Any) -> HttpResponse:
    return render(request, "pilots/errors/403.html", status=403)


def not_found(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    return render(request, "pilots/errors/404.html", status=404)


def server_error(request: HttpRequest) -> HttpResponse:
    return render(request, "pilots/errors/500.html", status=500)
