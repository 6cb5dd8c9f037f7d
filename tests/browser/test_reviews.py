"""A queue of blind reviews in a real browser, by the keyboard alone."""

from __future__ import annotations

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.contrib.auth.models import User
from django.urls import reverse
from playwright.sync_api import Request, expect

from evaluations.enums import ArmRole, Outcome
from evaluations.models import Review, ReviewBatch
from tests.browser.conftest import Watched, sign_in
from tests.pilots.views.people import planned_pilot
from tests.replays import concluded, start
from tests.reviews import batch_of, people

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def said(role: ArmRole, position: int) -> tuple[Outcome, str]:
    tone = "sure" if role is ArmRole.INCUMBENT else "gladly"
    return Outcome.OK, f'{{"reply": "{tone}, ticket {position}", "queue": "billing"}}'


@pytest.fixture
def batch(transactional_db: None) -> ReviewBatch:
    plan = planned_pilot(n=4).plan
    assert plan is not None
    run = concluded(start(plan), said)
    return batch_of(run.plan_version, people("ana", "ben"), size=4, second_percent=100)


def mine(batch: ReviewBatch) -> list[str]:
    rows = Review.objects.filter(item__batch=batch, reviewer__username="ana").order_by("item__position")
    return [review.side or "" for review in rows]


def test_a_queue_is_worked_through_by_the_keyboard(batch: ReviewBatch, watched: Watched) -> None:
    page = watched.page
    fetched: list[str] = []
    page.on("request", lambda request: fetched.append(_brief(request)))
    sign_in(watched, "ana")
    page.get_by_role("link", name="My reviews 4 waiting").focus()
    page.keyboard.press("Enter")
    page.get_by_role("link", name=f"Go on with review {batch.pk}").focus()
    page.keyboard.press("Enter")
    heading = page.locator("#which")
    expect(heading).to_have_text("Sample 1 of 4")
    # The next sample is there before this one is answered, and is not asked for again.
    second = reverse("pilots:review", args=[batch.pk, 1])
    page.wait_for_function("upcoming.pair.then((pair) => pair !== null)")
    assert fetched.count(f"GET {second}") == 1

    page.keyboard.press("1")
    expect(heading).to_have_text("Sample 2 of 4")
    expect(heading).to_be_focused()
    expect(page.get_by_role("status")).to_have_text("Saved: Left is better.")
    assert (fetched.count(f"GET {second}"), page.url) == (1, watched.base + second)
    assert mine(batch) == ["left", "", "", ""]
    expect(page.get_by_label("Your reviews done")).to_have_attribute("value", "1")

    # Differences are marked in both answers, and stay so on the next sample.
    page.keyboard.press("d")
    left = Review.objects.get(item__batch=batch, item__position=1, reviewer__username="ana").candidate_left
    words = ["gladly", "sure"] if left else ["sure", "gladly"]
    expect(page.locator("#pair mark")).to_have_text(words)
    # A digit in the note is a digit.
    page.keyboard.press("n")
    page.keyboard.type("2 is kinder")
    page.keyboard.press("Escape")
    page.keyboard.press("2")
    expect(heading).to_have_text("Sample 3 of 4")
    expect(page.locator("#pair mark")).to_have_count(2)
    page.keyboard.press("ArrowLeft")
    expect(heading).to_have_text("Sample 2 of 4 you said: right is better")
    expect(page.get_by_label("Why optional")).to_have_value("2 is kinder")
    page.keyboard.press("3")
    expect(heading).to_have_text("Sample 3 of 4")
    page.keyboard.press("ArrowRight")
    expect(heading).to_have_text("Sample 4 of 4")
    page.keyboard.press("4")
    expect(heading).to_have_text("Sample 3 of 4")
    page.keyboard.press("u")
    expect(heading).to_have_text("Sample 4 of 4")
    page.keyboard.press("4")
    expect(heading).to_have_text("Sample 3 of 4")
    page.keyboard.press("3")
    expect(page.get_by_text("All of yours are done.")).to_be_visible()
    assert mine(batch) == ["left", "both_good", "both_good", "both_bad"]
    assert (watched.complaints, watched.foreign) == ([], [])


def test_what_was_answered_elsewhere_is_said_and_nothing_typed_is_lost(batch: ReviewBatch, watched: Watched) -> None:
    page = watched.page
    sign_in(watched, "ana")
    page.goto(watched.base + reverse("pilots:review", args=[batch.pk, 0]))
    Review.objects.filter(item__batch=batch, reviewer=User.objects.get(username="ana")).update(answers=1)
    page.get_by_label("Why optional").fill("half a thought")
    page.get_by_role("button", name="Right is better").click()
    expect(page.get_by_role("alert")).to_contain_text("You have answered this elsewhere meanwhile.")
    expect(page.get_by_label("Why optional")).to_have_value("half a thought")
    assert mine(batch) == ["", "", "", ""]


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_pages_of_reviews_have_no_serious_barrier(batch: ReviewBatch, watched: Watched, theme: str) -> None:
    page = watched.page
    page.emulate_media(color_scheme=theme)  # type: ignore[arg-type]
    page.set_viewport_size({"width": 420, "height": 900})
    sign_in(watched, "ana")
    found = {}
    for address in (
        reverse("pilots:reviews"),
        reverse("pilots:review-batch", args=[batch.pk]),
        reverse("pilots:review", args=[batch.pk, 0]) + "?view=differences",
    ):
        page.goto(watched.base + address)
        results = Axe().run(page)
        found[address] = [v["id"] for v in results.response["violations"] if v["impact"] in ("serious", "critical")]
        width = page.evaluate("document.documentElement.scrollWidth")
        assert width <= 420, address
    assert {address: ids for address, ids in found.items() if ids} == {}


def _brief(request: Request) -> str:
    return f"{request.method} /{request.url.split('/', 3)[3].partition('?')[0]}"
