"""Debian's Chromium, driven without a download; one page that writes down whatever goes wrong."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, Request, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome")
FLAGS = (
    "--no-sandbox --disable-gpu --disable-background-networking --disable-component-update"
    " --disable-sync --no-first-run"
)


@pytest.fixture
def browser(monkeypatch: pytest.MonkeyPatch) -> Iterator[Browser]:
    """A browser for one test. Its event loop runs in this thread: whatever starts a loop itself comes before it."""
    executable = next((path for name in NAMES if (path := shutil.which(name))), None)
    if executable is None:
        if os.environ.get("CI") == "true":
            pytest.fail(f"no browser: none of {', '.join(NAMES)} is installed")
        pytest.skip(f"no browser: none of {', '.join(NAMES)} is installed")
    # The test still talks to the database itself, in the thread that now has a loop.
    monkeypatch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=executable, args=FLAGS.split())
        yield launched
        launched.close()


@dataclass
class Watched:
    """A page on the live server, and what it complained about or fetched from elsewhere."""

    page: Page
    base: str
    complaints: list[str] = field(default_factory=list)
    foreign: list[str] = field(default_factory=list)

    def heard(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(message.text)

    def asked(self, request: Request) -> None:
        if not request.url.startswith((self.base, "data:")):
            self.foreign.append(request.url)


@pytest.fixture
def watched(live_server: object, browser: Browser) -> Iterator[Watched]:
    context = browser.new_context(viewport={"width": 1280, "height": 900}, reduced_motion="reduce")
    page = context.new_page()
    page.set_default_timeout(10_000)
    found = Watched(page, live_server.url)  # type: ignore[attr-defined]
    page.on("console", found.heard)
    page.on("pageerror", lambda error: found.complaints.append(str(error)))
    page.on("request", found.asked)
    yield found
    context.close()


def sign_in(watched: Watched, username: str) -> None:
    page = watched.page
    page.goto(f"{watched.base}/")
    page.get_by_label("User name").fill(username)
    page.get_by_label("Password").fill("secret")
    page.get_by_role("button", name="Sign in").click()
