"""Whatever people or models wrote is shown as text, on every page that shows it."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path

import pytest
from django.template.loader import get_template
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from evaluations.models import CompletionContent, SampleContent, Team, Workload
from pilots.services import lifecycle
from tests import factories as make
from tests.pilots.views.people import REPORT_PAGES, evaluated_pilot, session

HOSTILE = (
    '<script>alert(1)</script><img src=x onerror=alert(1)><b hx-get="/audit/" hx-trigger="load">x</b>'
    "' onmouseover='alert(1)' {{7*7}} {% url %}"
)
ROOT = Path(__file__).resolve().parents[3]


class _Seen(HTMLParser):
    """Elements and attributes that a browser would act on."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        if tag in ("img", "iframe", "object", "style") or (tag == "script" and not values.get("src")):
            self.found.append(tag)
        self.found += [name for name in values if name.startswith("on") or name in ("style", "hx-on")]
        if values.get("hx-get") == "/audit/" or (values.get("href") or "").startswith(("javascript:", "data:")):
            self.found.append(str(attrs))


def _acts(page: str) -> list[str]:
    seen = _Seen()
    seen.feed(page)
    return seen.found


@pytest.mark.django_db(transaction=True)
def test_hostile_words_are_inert_everywhere() -> None:
    pilot, run = evaluated_pilot(n=2)
    Workload.objects.update(name=HOSTILE[:200], task_type=HOSTILE[:80])
    Team.objects.update(name=HOSTILE[:200])
    SampleContent.objects.update(request={"messages": [{"role": "user", "content": HOSTILE}]}, reference=HOSTILE)
    CompletionContent.objects.update(text=HOSTILE)
    lifecycle.decide(
        pilot=pilot,
        by=make.actor(HOSTILE[:200]),
        at=timezone.now(),
        go=True,
        rationale=HOSTILE,
        verdict=None,
        attachments=[f"note:{HOSTILE}", "incident:javascript:alert(1)"],
    )
    lifecycle.record_cutover(pilot=pilot, by=make.actor(), at=timezone.now())
    client = session(make.member(Team.objects.get()))
    addresses = [
        *(reverse(f"pilots:{name}") for name in ("home", "list", *REPORT_PAGES, "audit", "exports", "jump")),
        *(reverse(f"pilots:{name}", args=[pilot.slug]) for name in ("pilot", "timeline", "periods", "evidence")),
        *(reverse(f"pilots:{name}", args=[run.pk]) for name in ("run", "answers")),
        reverse("pilots:answer", args=[run.pk, 0]),
        reverse("pilots:list") + "?q=" + HOSTILE.replace("&", ""),
        reverse("pilots:retention") + "?team=" + HOSTILE[:40],
    ]
    shown = 0
    for address in addresses:
        page = client.get(address).content.decode()
        assert _acts(page) == [], address
        shown += "&lt;script&gt;alert(1)" in page and "{{7*7}}" in page
    # Names, notes, actors and answers do show; nothing was merely left out.
    assert shown >= 5


def test_the_parser_of_this_test_sees_what_acts() -> None:
    assert _acts(f"<p>{HOSTILE}</p>") == [
        "script",
        "img",
        "onerror",
        "[('hx-get', '/audit/'), ('hx-trigger', 'load')]",
    ]


def test_no_template_or_view_marks_text_as_safe() -> None:
    files = [*ROOT.glob("templates/pilots/**/*.html"), *ROOT.glob("pilots/**/*.py")]
    assert len(files) > 60
    for path in files:
        text = path.read_text()
        for word in ("|safe", "mark_safe", "autoescape off", "SafeString("):
            assert word not in text, f"{path.name} has {word}"


def test_no_template_carries_inline_script_or_style() -> None:
    for path in ROOT.glob("templates/pilots/**/*.html"):
        source = path.read_text()
        get_template(str(path.relative_to(ROOT / "templates")))
        for word in (" style=", "<style", "<script>", " onclick", "hx-on", "js:"):
            assert word not in source, f"{path.name} has {word}"


@pytest.mark.django_db
def test_pages_carry_the_strict_policy() -> None:
    policy = Client().get(reverse("pilots:sign-in"))["Content-Security-Policy"]
    directives = dict(part.strip().split(" ", 1) for part in policy.split(";"))
    assert directives == {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": "'self'",
        "font-src": "'self'",
        "connect-src": "'self'",
        "img-src": "'self' data:",
        "form-action": "'self'",
        "base-uri": "'self'",
        "frame-ancestors": "'none'",
        "object-src": "'none'",
    }


@pytest.mark.django_db
@pytest.mark.parametrize("status", [400, 403, 404])
def test_error_pages_say_what_to_do_without_data(status: int) -> None:
    page = get_template(f"pilots/errors/{status}.html").render()
    assert "Traceback" not in page
    assert 'href="/"' in page
    if status == 404:
        found = session(make.user()).get("/pilots/nothing-here/")
        assert (found.status_code, "There is nothing here" in found.content.decode()) == (404, True)
