"""The main job in a real browser: sign in, read the verdict, record the cutover, record why it went back."""

from __future__ import annotations

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.urls import reverse
from playwright.sync_api import expect

from evaluations.models import ReplayRun, Team
from pilots.models import Pilot
from tests import factories as make
from tests.browser.conftest import Watched, sign_in
from tests.pilots.views.people import REPORT_PAGES, evaluated_pilot, planned_pilot
from tests.replays import start

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

# Chromium reports the refused form as a failed load; it is the only complaint that a good run has.
REFUSED = "Failed to load resource: the server responded with a status of 400 (Bad Request)"


@pytest.fixture
def evaluated(transactional_db: None) -> tuple[Pilot, ReplayRun]:
    """Replayed before the browser starts: the replay's loop and the browser's do not share a thread."""
    return evaluated_pilot(n=8)


def test_from_sign_in_to_retention(evaluated: tuple[Pilot, ReplayRun], watched: Watched) -> None:
    make.member(Team.objects.get(), "ana")
    page = watched.page
    sign_in(watched, "ana")
    expect(page.get_by_role("heading", level=1)).to_have_text("Home")

    page.get_by_role("link", name="Pilots", exact=True).click()
    page.get_by_role("link", name="triage-to-new").click()
    page.get_by_role("link", name="Evidence", exact=True).click()
    expect(page.get_by_role("region", name="Table of criteria").get_by_role("row")).to_have_count(2)
    decision = evaluated[1].decision.label
    expect(page.locator("main .chip", has_text=decision)).to_be_visible()

    page.get_by_text("Record", exact=True).click()
    page.get_by_role("link", name="Cutover").click()
    page.get_by_role("button", name="Record cutover").click()
    expect(page.get_by_role("status")).to_have_text("Cutover recorded.")
    expect(page.locator(".page-head .chip")).to_have_text("switched, 0 days")

    page.get_by_text("Record", exact=True).click()
    page.get_by_role("link", name="Rollback", exact=True).click()
    page.get_by_label("Note").fill("German tickets got English answers")
    page.get_by_role("button", name="Record rollback").click()
    expect(page.get_by_text("A rollback needs its reason.")).to_be_visible()
    # Nothing typed is lost, and the field at fault has the focus.
    expect(page.get_by_label("Note")).to_have_value("German tickets got English answers")
    expect(page.get_by_label("Reason")).to_be_focused()
    page.get_by_label("Reason").select_option("quality")
    page.get_by_role("button", name="Record rollback").click()
    expect(page.get_by_text("A rollback needs at least one attachment")).to_be_visible()
    expect(page.get_by_label("Reference 1")).to_be_focused()
    page.get_by_label("Reference 1").fill("INC-20431")
    page.get_by_role("button", name="Record rollback").click()
    expect(page.get_by_role("status")).to_have_text("Rollback recorded.")

    page.get_by_role("link", name="Retention").click()
    row = page.get_by_role("region", name="Table of periods").get_by_role("row").nth(1)
    expect(row.get_by_role("cell").filter(has_text="rolled back")).to_contain_text("quality")
    expect(page.get_by_role("region", name="Table of reasons").get_by_role("row").nth(1)).to_contain_text("Quality")

    page.keyboard.press("/")
    page.get_by_label("Jump to a pilot").fill("triage")
    expect(page.get_by_role("dialog").get_by_role("link")).to_have_count(2)  # the pilot, then its workload
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("triage-to-new")

    assert watched.complaints == [REFUSED, REFUSED]
    assert watched.foreign == []


def test_a_run_is_watched_cancelled_and_resumed(watched: Watched) -> None:
    run = start(planned_pilot().plan)  # type: ignore[arg-type]
    make.member(Team.objects.get(), "ana")
    page = watched.page
    sign_in(watched, "ana")
    page.goto(watched.base + reverse("pilots:run", args=[run.pk]))
    type(run).objects.filter(pk=run.pk).update(done=20)
    expect(page.locator("#progress")).to_contain_text(f"20 of {run.total} answers")
    page.get_by_role("link", name="Cancel run").click()
    dialog = page.get_by_role("dialog", name=f"Cancel run {run.pk}?")
    dialog.get_by_role("link", name="Keep it running").click()
    expect(dialog).to_be_hidden()
    page.get_by_role("link", name="Cancel run").click()
    dialog.get_by_role("button", name="Cancel run").click()
    expect(page.get_by_role("status")).to_contain_text("Cancelled.")
    page.get_by_role("link", name="Resume run").click()
    page.get_by_role("dialog").get_by_role("button", name="Resume run").click()
    expect(page.get_by_role("status")).to_contain_text("Resumed.")
    assert (watched.complaints, watched.foreign) == ([], [])


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_no_page_has_a_serious_barrier(evaluated: tuple[Pilot, ReplayRun], watched: Watched, theme: str) -> None:
    pilot, run = evaluated
    make.rolled_back_pilot(workload=make.workload("", "support"))
    make.member(Team.objects.get(), "ana")
    page = watched.page
    page.emulate_media(color_scheme=theme)  # type: ignore[arg-type]
    page.goto(watched.base + reverse("pilots:sign-in"))
    barriers = {"sign-in": _serious(watched)}
    sign_in(watched, "ana")
    addresses = [
        *(reverse(f"pilots:{name}") for name in ("home", "list", *REPORT_PAGES, "open", "exports", "audit", "prices")),
        *(reverse(f"pilots:{name}", args=[pilot.slug]) for name in ("pilot", "timeline", "evidence", "periods")),
        *(reverse(f"pilots:{name}", args=[pilot.slug]) for name in ("replays", "start-replay", "freeze")),
        reverse("pilots:record", args=[pilot.slug, "rollback"]),
        *(reverse(f"pilots:{name}", args=[run.pk]) for name in ("run", "answers")),
        reverse("pilots:answer", args=[run.pk, 0]),
    ]
    for address in addresses:
        page.goto(watched.base + address)
        barriers[address] = _serious(watched)
    assert {address: found for address, found in barriers.items() if found} == {}


def _serious(watched: Watched) -> list[str]:
    results = Axe().run(watched.page)
    return [
        f"{violation['id']}: {[node['target'] for node in violation['nodes']][:3]}"
        for violation in results.response["violations"]
        if violation["impact"] in ("serious", "critical")
    ]
