"""A run's page: live part, cancel and resume, answers side by side for those who may read them."""

from __future__ import annotations

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from evaluations.enums import Decision, Outcome, RunStatus, TeamRole
from evaluations.models import CompletionContent, ReplayRun, Rescoring, Team
from evaluations.selectors import arms
from evaluations.services import replays
from evaluations.services.rescoring import settle_rescoring
from pilots.models import PilotEvent
from tests import factories as make
from tests.pilots.views.people import evaluated_pilot, planned_pilot, session
from tests.replays import answer, start
from tests.rescoring import install_newer, judged_run

HTMX = {"HX-Request": "true"}


@pytest.fixture
def ana(db: None) -> Client:
    return session(make.member(make.team("support")))


def _pending() -> ReplayRun:
    return start(planned_pilot().plan)  # type: ignore[arg-type]


@pytest.mark.django_db
def test_the_live_part_polls_until_the_run_has_ended() -> None:
    run = _pending()
    client = session(make.member(Team.objects.get()))
    address = reverse("pilots:progress", args=[run.pk])
    waiting = client.get(address, headers=HTMX)
    assert f'hx-get="{address}"' in waiting.content.decode()
    assert "HX-Refresh" not in waiting
    replays.cancel_run(run=run, by=make.actor(), at=timezone.now())
    ended = client.get(address, headers=HTMX)
    assert "hx-get" not in ended.content.decode()
    assert ended["HX-Refresh"] == "true"


@pytest.mark.django_db
def test_cancel_asks_first_then_stops_and_resume_goes_on() -> None:
    run = _pending()
    client = session(make.member(Team.objects.get()))
    cancel, resume = (reverse(f"pilots:{name}", args=[run.pk]) for name in ("cancel", "resume"))
    asked = client.get(cancel, headers=HTMX).content.decode()
    assert asked.startswith("<dialog")
    assert "No further calls are sent." in asked
    run.refresh_from_db()
    assert run.status is RunStatus.PENDING
    assert client.post(cancel).status_code == 302
    run.refresh_from_db()
    assert run.status is RunStatus.CANCELLED
    # A second press, or a colleague's, is told so.
    late = client.post(cancel)
    assert late.status_code == 409
    assert "Somebody was faster." in late.content.decode()
    assert client.post(resume, {"budget": ""}).status_code == 302
    run.refresh_from_db()
    assert run.status is RunStatus.RUNNING


@pytest.mark.django_db
def test_a_run_that_its_budget_stopped_needs_a_higher_cap() -> None:
    run = _pending()
    replays.end_run(run=run, status=RunStatus.STOPPED_BY_BUDGET, reason="", at=timezone.now())
    ReplayRun.objects.filter(pk=run.pk).update(spent_amount=4)
    client = session(make.member(Team.objects.get()))
    resume = reverse("pilots:resume", args=[run.pk])
    for budget, words in (("", "This field is required."), ("3", "The cap is already reached: raise it.")):
        refused = client.post(resume, {"budget": budget})
        assert (refused.status_code, refused.context["form"].errors["budget"]) == (400, [words])
    assert client.post(resume, {"budget": "9"}).status_code == 302
    run.refresh_from_db()
    assert (run.status, run.budget_amount) == (RunStatus.RUNNING, 9)


@pytest.mark.django_db(transaction=True)
def test_answers_are_listed_for_all_and_read_by_those_who_may() -> None:
    _, run = evaluated_pilot(n=3)
    team = Team.objects.get()
    reader = session(make.member(team, role=TeamRole.VIEWER))
    other = session(make.member(team, role=TeamRole.MANAGER, may_read_content=False))
    answers, answer = reverse("pilots:answers", args=[run.pk]), reverse("pilots:answer", args=[run.pk, 1])
    assert [client.get(answers).status_code for client in (reader, other)] == [200, 200]
    assert answer in reader.get(answers).content.decode()
    assert answer not in other.get(answers).content.decode()
    assert other.get(answer).status_code == 403
    page = reader.get(answer).content.decode()
    sample = run.sample_set.members.get(position=1).sample  # type: ignore[union-attr]
    assert sample.content.request["messages"][0]["content"] in page
    for text in CompletionContent.objects.filter(completion__sample=sample).values_list("text", flat=True):
        assert text
        assert text in page
    assert reader.get(reverse("pilots:answer", args=[run.pk, 99])).status_code == 404


@pytest.mark.django_db
def test_a_large_run_that_goes_on_counts_both_arms_when_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    run = answer(_pending(), lambda role, position: (Outcome.OK, "yes"))
    monkeypatch.setattr(arms, "COUNTED_UNASKED", run.done - 1)
    client = session(make.member(Team.objects.get()))
    address = reverse("pilots:run", args=[run.pk])
    unasked = client.get(address).content.decode()
    assert 'href="?arms=now#arms"' in unasked
    assert "Calls, of which retries" not in unasked
    assert "Calls, of which retries" in client.get(address, {"arms": "now"}).content.decode()


@pytest.mark.django_db(transaction=True)
def test_an_ended_run_shows_its_verdict_and_both_arms() -> None:
    _, run = evaluated_pilot(n=4)
    page = session(make.member(Team.objects.get())).get(reverse("pilots:run", args=[run.pk]))
    assert page.context["progress"].done == 8
    assert [row.metric for row in page.context["criteria"]] == ["answered"]
    assert {role: arm.succeeded for role, arm in page.context["arms"].items()} == {"incumbent": 4, "candidate": 4}


@pytest.mark.django_db
def test_what_a_run_that_was_stopped_read_is_not_called_the_planned_check() -> None:
    run = _pending()
    client = session(make.member(Team.objects.get()))
    address, label = reverse("pilots:run", args=[run.pk]), "not the planned check: the run did not come to its end"
    assert label not in client.get(address).content.decode()
    replays.cancel_run(run=run, by=make.actor(), at=timezone.now())
    replays.settle_run(run=run, at=timezone.now())
    assert label in client.get(address).content.decode()


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("reason", "words", "required"),
    [
        ("budget", "stopped by budget: the run&#x27;s hard cap", True),
        ("monthly_cap", "stopped by budget: the team&#x27;s month", False),
        ("max_calls", "stopped by budget: the number of calls", False),
    ],
)
def test_a_run_that_a_cap_stopped_says_which_and_asks_for_a_higher_one_only_where_it_is_its_own(
    reason, words, required
) -> None:
    run = _pending()
    replays.end_run(run=run, status=RunStatus.STOPPED_BY_BUDGET, reason=reason, at=timezone.now())
    client = session(make.member(Team.objects.get()))
    assert words in client.get(reverse("pilots:run", args=[run.pk])).content.decode()
    asked = client.get(reverse("pilots:resume", args=[run.pk])).context["form"]
    assert asked.fields["budget"].required is required


@pytest.mark.django_db
def test_answers_are_judged_again_beside_the_verdict(monkeypatch: pytest.MonkeyPatch) -> None:
    pilot = planned_pilot(n=40)
    found = judged_run(pilot.plan)  # type: ignore[arg-type]
    client, viewer = (
        session(make.member(Team.objects.get(), role=role)) for role in (TeamRole.MANAGER, TeamRole.VIEWER)
    )
    page, address = (reverse(f"pilots:{name}", args=[found.pk]) for name in ("run", "judge-again"))
    assert address not in client.get(page).content.decode()
    nothing = client.post(address)
    assert (nothing.status_code, Rescoring.objects.count()) == (400, 0)
    assert "The plan&#x27;s scorers judged this run already" in nothing.content.decode()
    install_newer(monkeypatch)
    assert address in client.get(page).content.decode()
    assert address not in viewer.get(page).content.decode()
    asked = client.get(address, headers=HTMX).content.decode()
    assert asked.startswith("<dialog")
    assert "answered: version 1 becomes 2" in asked
    assert [viewer.get(address).status_code, viewer.post(address).status_code] == [403, 403]
    assert client.post(address)["Location"] == page
    rescoring = Rescoring.objects.get()
    assert PilotEvent.objects.filter(pilot=pilot, data__plan_version=2).exists()
    waiting = client.get(page).content.decode()
    assert "Being judged. No vendor is called." in waiting
    assert 'hx-trigger="every 3s"' in waiting
    assert settle_rescoring(rescoring=rescoring, at=timezone.now())
    done = viewer.get(page)
    assert [reading.decision for reading in done.context["later"]] == [Decision.DO_NOT_SWITCH]
    assert done.context["run"].decision is Decision.KEEP_TESTING
    text = done.content.decode()
    assert "judged by plan version 2" in text
    assert "after the fact" in text
    assert "every 3s" not in text
    assert address not in client.get(page).content.decode()
