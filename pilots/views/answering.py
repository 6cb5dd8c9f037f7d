"""The page behind the link in a follow-up's e-mail. It needs no sign-in: the link names who answers, and what."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_variables
from django.views.decorators.http import require_http_methods

from evaluations.services.errors import Conflict, Refused
from pilots.services.asking import EXPIRED, answer_by_link, asked_by


@login_not_required
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@sensitive_variables("token")
def answer(request: HttpRequest, token: str) -> HttpResponse:
    """Only the button answers: programs that scan mail open every link, and must not confirm anything by that."""
    context: dict[str, Any] = {"now": timezone.now()}
    status = 200
    try:
        if request.method == "POST":
            context["answered"] = answer_by_link(token=token, at=context["now"])
        context["question"] = asked_by(token)
    except Conflict as refusal:
        status, context["refusal"], context["question"] = 409, refusal, asked_by(token)
    except Refused as refusal:
        status, context["refusal"] = 410 if refusal.message == EXPIRED else 404, refusal
    return render(request, "pilots/answer.html", context, status=status)
