"""What is asked by machines: health for the one that restarts things, metrics for the one that watches."""

from __future__ import annotations

import time
from ipaddress import ip_address

from django.contrib.auth.decorators import login_not_required
from django.db import Error as DatabaseError
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils import timezone
from django.utils.crypto import constant_time_compare
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from evaluations.celery_app import broker_answers
from pilots import apps
from pilots.conf import setting
from pilots.prometheus import CONTENT_TYPE, render
from pilots.selectors.health import Check, Health, site_health
from pilots.selectors.metrics import site_metrics

# Whoever came through a proxy is not on this machine, whatever the connection's address says.
_FORWARDED = ("HTTP_FORWARDED", "HTTP_VIA", "HTTP_X_REAL_IP")


@login_not_required
@never_cache
@require_safe
def healthz(request: HttpRequest) -> HttpResponse:
    """For everybody, so it says whether and for how long, never what."""
    broker = broker_answers()
    try:
        health = site_health(now=timezone.now(), broker=broker, up_seconds=time.monotonic() - apps.STARTED_AT)
    except DatabaseError:
        health = Health({"database": Check(False), "broker": Check(broker)})
    return JsonResponse(health.to_document(), status=503 if health.status == "down" else 200)


@login_not_required
@never_cache
@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    if not (_is_local(request) or _has_token(request)):
        return HttpResponse(status=401, headers={"WWW-Authenticate": "Bearer"})
    return HttpResponse(render(site_metrics(now=timezone.now())), content_type=CONTENT_TYPE)


def _is_local(request: HttpRequest) -> bool:
    if any(name in _FORWARDED or name.startswith("HTTP_X_FORWARDED") for name in request.META):
        return False
    try:
        return ip_address(request.META.get("REMOTE_ADDR", "")).is_loopback
    except ValueError:  # a Unix socket has no address: somebody else's server is in front
        return False


def _has_token(request: HttpRequest) -> bool:
    token: str = setting("METRICS_TOKEN")
    scheme, _, given = request.headers.get("Authorization", "").partition(" ")
    return bool(token) and scheme.lower() == "bearer" and constant_time_compare(given.strip(), token)
