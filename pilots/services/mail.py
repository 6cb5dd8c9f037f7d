"""E-mails in words. Public surface: ``message_of``, ``readable_in``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from django.core.mail import EmailMultiAlternatives
from django.db.models import Q, QuerySet
from django.template.loader import render_to_string
from django.urls import reverse

from evaluations.models import Membership
from pilots.conf import setting
from pilots.links import absolute, path_of
from pilots.models import Delivery, Notice
from pilots.services.asking import link_token
from pilots.services.spreading import FOR_OWNERS as ASKING

if TYPE_CHECKING:
    from django.contrib.auth.models import User

DIGEST_AT_MOST = 100


@dataclass(frozen=True, slots=True)
class Line:
    """One thing told, with where to look at it."""

    words: str
    link: str
    label: str


def message_of(delivery: Delivery) -> EmailMultiAlternatives:
    """The e-mail of ``delivery``, in plain text and small HTML.

    Its Message-ID is the same for every attempt, so that mail programs can drop a second copy; ``X-Pilots-Attempt``
    is not.
    """
    assert delivery.user is not None
    if delivery.notice is not None:
        subject, lines, left = delivery.notice.words, [_line(delivery.notice, delivery.user)], 0
    else:
        notices = readable_in(delivery).select_related("pilot")
        told = list(notices.order_by("-happened_at", "-id")[: DIGEST_AT_MOST + 1])
        left = max(0, notices.count() - DIGEST_AT_MOST)
        lines = [_line(notice, delivery.user) for notice in told[:DIGEST_AT_MOST]]
        subject = f"{len(lines) + left} news about your pilots"
    host = urlsplit(setting("PUBLIC_URL")).hostname or "localhost"
    settings_link = absolute(reverse("pilots:notice-settings"))
    message = EmailMultiAlternatives(
        # A line break ends a header, and with it everything that follows is the writer's own.
        subject=" ".join(subject.split())[:200],
        body=_text(lines, left, settings_link),
        to=[delivery.user.email],
        headers={
            "Message-ID": f"<pilots.{delivery.pk}@{host}>",
            "X-Pilots-Attempt": f"{delivery.pk}-{delivery.attempts}",
            "Auto-Submitted": "auto-generated",
        },
    )
    context = {"lines": lines, "left": left, "settings_link": settings_link}
    message.attach_alternative(render_to_string("pilots/mail/notices.html", context), "text/html")
    return message


def readable_in(delivery: Delivery) -> QuerySet[Notice]:
    """What a digest is to tell, as far as its reader may still see it."""
    notices = Notice.objects.filter(notifications__digest=delivery)
    reader = delivery.user
    assert reader is not None
    if reader.is_superuser:
        return notices
    theirs = Q(kind__in=ASKING) & (Q(pilot__owner=reader) | Q(pilot__deputy=reader))
    return notices.filter(theirs | Q(team__in=Membership.objects.filter(user=reader).values("team")))


def _line(notice: Notice, reader: User) -> Line:
    if notice.kind in ASKING:
        link = absolute(reverse("pilots:answer-follow-up", args=[link_token(notice, reader)]))
        return Line(f"{notice.words}.", link, "Answer by one button, without signing in")
    return Line(f"{notice.words}.", absolute(path_of(notice)), "Look at it")


def _text(lines: Sequence[Line], left: int, settings_link: str) -> str:
    parts = [f"{line.words}\n{line.label}: {line.link}" for line in lines]
    if left:
        parts.append(f"And {left} more, in the app.")
    parts.append(f"-- \nModel Switch Pilots. What you are told, and how: {settings_link}")
    return "\n\n".join(parts) + "\n"
