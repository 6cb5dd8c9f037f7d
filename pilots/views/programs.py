"""For programs: their keys, and the page that describes the API to those who write them."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.debug import sensitive_variables

from evaluations.services.errors import Conflict, Refused
from pilots.forms.tokens import TokenForm
from pilots.models import ApiToken
from pilots.selectors.tokens import tokens_of
from pilots.services.tokens import create_token, revoke_token
from pilots.views.page import access_of, actor_of, door, page


@door("GET", "POST")
@sensitive_variables("text")
def tokens(request: HttpRequest) -> HttpResponse:
    """The person's tokens, and the form for another; its text is on this one page, and never again."""
    form = TokenForm(request.POST or None)
    if request.method == "GET":
        return _page(request, form)
    if form.is_valid():
        try:
            token, text = create_token(
                user=access_of(request).user, by=actor_of(request), at=timezone.now(), **form.cleaned_data
            )
        except Refused as refusal:
            form.refuse(refusal)
        else:
            return _page(request, TokenForm(), made=token, text=text, status=201)
    return _page(request, form, status=400)


@door("POST")
def revoke(request: HttpRequest, pk: int) -> HttpResponse:
    token = get_object_or_404(ApiToken.objects.select_related("user"), pk=pk, user=access_of(request).user)
    try:
        revoke_token(token=token, by=actor_of(request), at=timezone.now())
    except Conflict as refusal:
        messages.info(request, f"{refusal.message.capitalize()}.")
    else:
        messages.success(request, f"Token {token.name} revoked. It opens nothing any more.")
    return redirect("pilots:tokens")


@door("GET")
def docs(request: HttpRequest) -> HttpResponse:
    return render(request, "pilots/api_docs.html")


def _page(request: HttpRequest, form: TokenForm, *, status: int = 200, **made: Any) -> HttpResponse:
    now = timezone.now()
    context = {"form": form, "rows": tokens_of(access_of(request).user, at=now), **made}
    return page(request, "pilots/tokens.html", context, section="tokens", status=status)
