"""Signing in and out, and the team that lists start with."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.forms import AuthenticationForm
from django.contrib.auth.views import LoginView, LogoutView
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse

from pilots.views.page import TEAM_KEY, access_of, door


class SignIn(LoginView):
    template_name = "pilots/sign_in.html"
    redirect_authenticated_user = True
    next_page = "pilots:home"


class SignOut(LogoutView):
    next_page = "pilots:sign-in"


def locked_out(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
    """Too many tries: the same page and the same words as for a wrong password."""
    form = AuthenticationForm(request)
    form.cleaned_data = {}
    form.add_error(None, "refused")
    return render(request, SignIn.template_name, {"form": form}, status=429)


@door("POST")
def choose_team(request: HttpRequest) -> HttpResponse:
    """Remember the team that lists start with; an unknown or empty slug means all of them."""
    team = access_of(request).teams().filter(slug=request.POST.get("team", "")).first()
    if team is None:
        request.session.pop(TEAM_KEY, None)
        return redirect("pilots:home")
    request.session[TEAM_KEY] = team.slug
    return redirect(reverse("pilots:home", query={"team": team.slug}))
