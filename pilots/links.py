"""Where what people are told about is looked at. Public surface: ``path_of``, ``absolute``."""

from __future__ import annotations

from urllib.parse import urlencode

from django.urls import reverse

from pilots.conf import setting
from pilots.enums import NoticeKind
from pilots.models import Notice


def path_of(notice: Notice) -> str:
    """The page that shows what ``notice`` is about."""
    if "run" in notice.data:
        return reverse("pilots:run", args=[notice.data["run"]])
    if notice.pilot is not None and notice.kind.value.startswith("followup."):
        return reverse("pilots:record", args=[notice.pilot.slug, "follow_up"])
    if notice.pilot is not None:
        return reverse("pilots:pilot", args=[notice.pilot.slug])
    if notice.kind is NoticeKind.CAPTURE_REQUESTED:
        return reverse("pilots:workload", args=[notice.data["workload"]])
    if notice.kind is NoticeKind.RETIREMENT_NEAR:
        return f"{reverse('pilots:end-of-life')}?{urlencode({'model': notice.data['model']})}"
    return reverse("pilots:prices" if notice.kind is NoticeKind.PRICE_CHANGED else "pilots:catalogue")


def absolute(path: str) -> str:
    """For readers who are not on the site."""
    return f"{setting('PUBLIC_URL').rstrip('/')}{path}"
