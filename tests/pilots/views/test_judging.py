"""The model judge on the evidence page, over the API, in the report and its workbook."""

from __future__ import annotations

from decimal import Decimal

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from django.utils.html import strip_tags

from evaluations.enums import ArmRole, ChunkState, Outcome, RunStatus, TeamRole
from evaluations.models import Chunk, Completion, CompletionContent, ReplayRun, Team
from evaluations.services.replays import end_run, settle_run
from pilots.exporters.evidence import EvidenceExporter
from pilots.models import Pilot
from tests import factories as make
from tests.functional.commands import call
from tests.judges import judged_plan
from tests.pilots.selectors.test_reviews_in_evidence import asked
from tests.replays import concluded, start

pytestmark = pytest.mark.django_db(transaction=True)
URL = "http://127.0.0.1:9"
N = 8


def said(role: ArmRole, position: int) -> tuple[Outcome, str]:
    return Outcome.OK, f"{role} says {position}"


def pilot() -> Pilot:
    plan = judged_plan(URL, n=N)
    return make.pilot(
        plan.slug, workload=plan.workload, incumbent=plan.incumbent_model, candidate=plan.candidate_model, plan=plan
    )


def judged(run: ReplayRun, *, first: str = '{"reason": "", "better": "first"}') -> ReplayRun:
    """The judge's answers, without a call."""
    judging = ReplayRun.objects.get(judges=run)
    arm, at = judging.arms.get(), timezone.now()
    for member in run.sample_set.members.all() if run.sample_set else ():
        for round_ in (0, 1):
            answer = Completion.objects.create(
                arm=arm,
                sample_id=member.sample_id,
                repeat=round_,
                position=member.position,
                outcome=Outcome.OK,
                finished_at=at,
            )
            CompletionContent.objects.create(completion=answer, text=first)
    Chunk.objects.filter(arm=arm).update(state=ChunkState.DONE)
    ReplayRun.objects.filter(pk=judging.pk).update(status=RunStatus.RUNNING, done=judging.total, progressed_at=at)
    settle_run(run=judging, at=at)
    judging.refresh_from_db()
    return judging


def words(browser: Client, address: str) -> str:
    """What the page says, without its marks."""
    return " ".join(strip_tags(browser.get(address).content.decode()).split())


def client(role: TeamRole = TeamRole.MANAGER) -> Client:
    browser = Client()
    browser.force_login(make.member(Team.objects.get(slug="support"), role=role))
    return browser


def test_the_evidence_page_says_that_the_judge_prefers_what_it_sees_first() -> None:
    of = pilot()
    judged(concluded(start(of.plan), said))
    page = words(client(), reverse("pilots:evidence", args=[of.slug]))
    assert f"on {N} the judge changed its mind, {N} times for the answer shown first" in page
    assert "it prefers whatever is shown first, so that its answers say nothing of the models" in page
    assert "No sample that it judged was read by people" in page
    assert "more often than chance would have it, which is a bias for the place" in page


def test_without_a_judge_the_page_says_nothing_of_one() -> None:
    of = pilot()
    page = words(client(), reverse("pilots:evidence", args=[of.slug]))
    assert "model judge" not in page


def test_report_text_api_and_workbook_hold_the_same_figures() -> None:
    of = pilot()
    run = concluded(start(of.plan), said)
    judging = judged(run)
    [row] = call("report", "evidence", "--json").document["pilots"]
    assert row["judge"] == judging.judged
    assert row["judge"]["pairs"]["flips_to_first"] == N
    assert f"judge_preference: inconclusive. {row['judge']['sentence']}" in call("report", "evidence").out
    [sheet] = [sheet for sheet in EvidenceExporter().build(asked()).sheets if sheet.key == "judge"]
    [line] = sheet.rows
    named = dict(zip([column.key for column in sheet.columns], line, strict=True))
    wanted = {"judge": "umpire", "verdict": "inconclusive", "pairs": N, "wins": 0, "flips": N, "to_first": N}
    assert {name: named[name] for name in wanted} == wanted
    assert named["sentence"] == row["judge"]["sentence"]
    document = client().get(f"/api/v1/replay-runs/{run.pk}/judging").json()
    assert (document["judging"], document["run"], document["figures"]) == (judging.pk, run.pk, judging.judged)
    assert document["judge"]["model"] == "umpire"
    assert call("run", str(judging.pk), "--json").document == document
    assert client().get("/api/v1/replay-runs").json()["results"][0]["run"] == run.pk
    assert client().get(f"/api/v1/replay-runs/{judging.pk}").status_code == 404


def test_a_judging_is_stopped_and_taken_up_again_from_the_page_and_over_the_api() -> None:
    of = pilot()
    run = concluded(start(of.plan), said)
    judging = ReplayRun.objects.get(judges=run)
    browser = client()
    asked = words(browser, reverse("pilots:cancel", args=[judging.pk]))
    assert f"Cancel judging {judging.pk} of run {run.pk}?" in asked
    answer = browser.post(reverse("pilots:cancel", args=[judging.pk]))
    assert (answer.status_code, answer["Location"]) == (302, reverse("pilots:evidence", args=[of.slug]))
    judging.refresh_from_db()
    assert judging.status is RunStatus.CANCELLED
    resumed = browser.post(f"/api/v1/replay-runs/{run.pk}/judging/resume", {}, content_type="application/json")
    assert (resumed.status_code, resumed.json()["status"]) == (202, "running")
    end_run(run=judging, status=RunStatus.STOPPED_BY_BUDGET, reason="budget", at=timezone.now())
    refused = browser.post(reverse("pilots:resume", args=[judging.pk]), {"budget": ""})
    assert refused.status_code == 400
    assert browser.post(reverse("pilots:resume", args=[judging.pk]), {"budget": "9"}).status_code == 302
    judging.refresh_from_db()
    assert (judging.status, judging.budget_amount) == (RunStatus.RUNNING, Decimal(9))
    assert browser.post(f"/api/v1/replay-runs/{run.pk}/judging/cancel").json()["status"] == "cancelled"


def test_a_replay_that_was_not_judged_can_be_by_a_manager_and_once() -> None:
    of = pilot()
    run = concluded(start(of.plan), said)
    ReplayRun.objects.get(judges=run).arms.get().chunks.all().delete()
    ReplayRun.objects.get(judges=run).arms.all().delete()
    ReplayRun.objects.filter(judges=run).delete()
    page = words(client(), reverse("pilots:evidence", args=[of.slug]))
    assert f"Have run {run.pk} judged" in page
    address = reverse("pilots:judging", args=[run.pk])
    assert client(TeamRole.REVIEWER).post(address).status_code == 403
    stranger = Client()
    stranger.force_login(make.user())
    assert stranger.post(address).status_code == 404
    browser = client()
    assert "16 calls at most, under a hard cap of" in words(browser, address)
    assert browser.post(address).status_code == 302
    assert ReplayRun.objects.filter(judges=run).count() == 1
    assert browser.post(address).status_code == 409
    assert browser.post(f"/api/v1/replay-runs/{run.pk}/judging").status_code == 409


def test_a_judging_of_another_team_does_not_exist() -> None:
    of = pilot()
    run = concluded(start(of.plan), said)
    stranger = Client()
    stranger.force_login(make.member(make.team("other"), role=TeamRole.ADMIN))
    judging = ReplayRun.objects.get(judges=run)
    for address in (reverse("pilots:cancel", args=[judging.pk]), reverse("pilots:resume", args=[judging.pk])):
        assert stranger.post(address).status_code == 404
    assert stranger.get(f"/api/v1/replay-runs/{run.pk}/judging").status_code == 404
