"""What one was told, how one wants to be told, and the webhooks of one's teams."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.debug import sensitive_variables

from evaluations.services.errors import Conflict, Refused
from pilots.enums import DeliveryState
from pilots.forms.notices import NoticeSettingsForm, WebhookForm
from pilots.links import path_of
from pilots.models import Delivery, Webhook
from pilots.selectors.notices import (
    BELL_AT_MOST,
    deliveries_to,
    delivery_row,
    managed_teams,
    managed_webhooks,
    notification_row,
    notifications_of,
    own_notifications,
    settings_of,
    unread_count,
    webhooks_of,
)
from pilots.services.deliveries import redeliver
from pilots.services.notice_settings import mark_read, save_notice_settings
from pilots.services.webhooks import create_webhook, end_webhook, renew_secret
from pilots.views.page import access_of, actor_of, door, page, whole_number

A_PAGE = 50


@door("GET")
def bell(request: HttpRequest) -> HttpResponse:
    """How many are new; asked for by every page, so it is one query and a few bytes."""
    n = unread_count(access_of(request))
    return render(request, "pilots/notices/_bell.html", {"n": n, "many": n > BELL_AT_MOST, "most": BELL_AT_MOST})


@door("GET")
def notices(request: HttpRequest) -> HttpResponse:
    unread = request.GET.get("show") == "new"
    access = access_of(request)
    found = Paginator(notifications_of(access, unread=unread), A_PAGE)
    listed = found.get_page(whole_number(request.GET.get("page")) or 1)
    context = {
        "listed": listed,
        "rows": [notification_row(row) for row in listed],
        "unread": unread,
        "new": unread_count(access),
        "tab": "notices",
    }
    return page(request, "pilots/notices/list.html", context, section="notices")


@door("POST")
def follow(request: HttpRequest, pk: int) -> HttpResponse:
    """Mark one as read and go where it leads."""
    access = access_of(request)
    row = get_object_or_404(own_notifications(access).select_related("notice__pilot"), pk=pk)
    mark_read(user=access.user, at=timezone.now(), pks=[row.pk])
    return redirect(path_of(row.notice))


@door("POST")
def read_all(request: HttpRequest) -> HttpResponse:
    n = mark_read(user=access_of(request).user, at=timezone.now())
    messages.success(request, f"{n} marked as read." if n else "All of them were read already.")
    return redirect("pilots:notices")


@door("GET", "POST")
def settings(request: HttpRequest) -> HttpResponse:
    access = access_of(request)
    modes, zone, hour = settings_of(access)
    form = NoticeSettingsForm(request.POST or None, modes=modes, timezone=zone, digest_hour=hour)
    status = 200
    if request.method == "POST":
        status = 400
        if form.is_valid():
            try:
                changed = save_notice_settings(
                    user=access.user,
                    modes=form.modes(),
                    timezone=form.cleaned_data["timezone"],
                    digest_hour=form.cleaned_data["digest_hour"],
                    by=actor_of(request),
                    at=timezone.now(),
                )
            except Refused as refusal:
                form.refuse(refusal)
            else:
                messages.success(request, "Saved." if changed else "Nothing was changed.")
                return redirect("pilots:notice-settings")
    return page(
        request, "pilots/notices/settings.html", {"form": form, "tab": "settings"}, section="notices", status=status
    )


@door("GET", "POST")
@sensitive_variables("secret")
def webhooks(request: HttpRequest) -> HttpResponse:
    """The webhooks of the teams that one administers, and the form for another; its secret is shown here, once."""
    teams = managed_teams(access_of(request))
    form = WebhookForm(request.POST or None, teams=teams)
    if request.method == "GET":
        return _webhooks(request, form)
    if not teams:
        raise PermissionDenied
    if form.is_valid():
        try:
            hook, secret = create_webhook(by=actor_of(request), at=timezone.now(), **form.cleaned_data)
        except Refused as refusal:
            form.refuse(refusal)
        else:
            return _webhooks(request, WebhookForm(teams=teams), made=hook, secret=secret, status=201)
    return _webhooks(request, form, status=400)


@door("GET")
def webhook(request: HttpRequest, pk: int) -> HttpResponse:
    return _log(request, _webhook_or_404(request, pk))


@door("POST")
@sensitive_variables("secret")
def renew(request: HttpRequest, pk: int) -> HttpResponse:
    hook = _webhook_or_404(request, pk)
    try:
        secret = renew_secret(webhook=hook, by=actor_of(request), at=timezone.now())
    except Conflict as refusal:
        messages.info(request, f"{refusal.message.capitalize()}.")
        return redirect("pilots:webhook", pk=pk)
    return _log(request, hook, made=hook, secret=secret)


@door("POST")
def end(request: HttpRequest, pk: int) -> HttpResponse:
    hook = _webhook_or_404(request, pk)
    try:
        end_webhook(webhook=hook, by=actor_of(request), at=timezone.now())
    except Conflict as refusal:
        messages.info(request, f"{refusal.message.capitalize()}.")
    else:
        messages.success(request, "Webhook ended. Nothing is sent there any more; its log stays.")
    return redirect("pilots:webhooks")


@door("POST")
def repeat(request: HttpRequest, pk: int) -> HttpResponse:
    hooks = managed_webhooks(access_of(request))
    found = get_object_or_404(Delivery.objects.select_related("webhook__team", "notice"), pk=pk, webhook__in=hooks)
    try:
        redeliver(delivery=found, by=actor_of(request), at=timezone.now())
    except Conflict as refusal:
        messages.info(request, f"{refusal.message.capitalize()}.")
    else:
        messages.success(request, "It will be sent again within seconds.")
    return redirect("pilots:webhook", pk=found.webhook_id)


def _webhook_or_404(request: HttpRequest, pk: int) -> Webhook:
    return get_object_or_404(managed_webhooks(access_of(request)), pk=pk)


def _webhooks(request: HttpRequest, form: WebhookForm, *, status: int = 200, **made: Any) -> HttpResponse:
    access = access_of(request)
    may_add = bool(managed_teams(access))
    context = {"form": form, "rows": webhooks_of(access), "may_add": may_add, "tab": "webhooks", **made}
    return page(request, "pilots/notices/webhooks.html", context, section="notices", status=status)


def _log(request: HttpRequest, hook: Webhook, **made: Any) -> HttpResponse:
    asked = request.GET.get("state", "")
    state = DeliveryState(asked) if asked in DeliveryState._value2member_map_ else None
    listed = Paginator(deliveries_to(hook, state=state), A_PAGE).get_page(whole_number(request.GET.get("page")) or 1)
    context = {
        "hook": hook,
        "tab": "webhooks",
        "state": state,
        "states": tuple(DeliveryState),
        "listed": listed,
        "rows": [delivery_row(row) for row in listed],
        **made,
    }
    return page(request, "pilots/notices/webhook.html", context, section="notices")
