"""From the draft to the replay: open with a plan, freeze, estimate, start."""

from __future__ import annotations

import pytest
from django.test import Client
from django.urls import reverse
from django.utils.html import escape

from evaluations.enums import TeamRole
from evaluations.models import DataAgreement, Plan, PlanVersion, ReplayRun, Team
from pilots.enums import PilotStatus
from pilots.forms.opening import OpenForm
from pilots.models import Pilot
from tests import factories as make
from tests.pilots.views.people import planned_pilot, session

pytestmark = pytest.mark.django_db

PLAN = {
    "workload": "triage",
    "slug": "triage-to-mai",
    "incumbent": "endpoint:old-prod",
    "candidate": "endpoint:new-prod",
    "motive": "cost",
    "deputy": "",
    "hypothesis": "as good, for less",
    "scorer": "exact",
    "field": "",
    "margin": "3",
    "failure_margin": "2.5",
    "cost_ratio": "90",
    "latency_ratio": "",
    "looks": "one_look",
    "minimum_samples": "350",
    "maximum_samples": "",
    "decide_by": "",
    "budget": "25",
}


@pytest.fixture
def ana(db: None) -> Client:
    """The manager of a team whose workload, models and endpoints exist."""
    planned_pilot()
    return session(make.member(Team.objects.get(), "ana"))


def test_a_pilot_is_opened_with_its_plan_and_frozen(ana: Client) -> None:
    response = ana.post(reverse("pilots:open"), PLAN)
    assert response["Location"] == reverse("pilots:pilot", args=["triage-to-mai"])
    pilot = Pilot.objects.get(slug="triage-to-mai")
    assert (pilot.status, pilot.owner and pilot.owner.username, pilot.motive) == (PilotStatus.DRAFT, "ana", "cost")
    assert pilot.plan is not None
    assert pilot.plan.definition["criteria"] == [
        {"metric": "exact", "margin": "0.03"},
        {"metric": "failure_rate", "role": "guardrail", "margin": "0.025"},
        {"metric": "cost_per_request", "role": "guardrail", "max_ratio": "0.9"},
    ]
    freeze = reverse("pilots:freeze", args=[pilot.slug])
    assert ana.get(freeze).status_code == 200
    assert ana.post(freeze).status_code == 302
    pilot.refresh_from_db()
    assert (pilot.status, pilot.plan.versions.count()) == (PilotStatus.PLANNED, 1)


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"slug": "triage-to-new"}, "slug"),
        ({"candidate": "endpoint:old-prod"}, "candidate"),
        ({"candidate": "recorded:new"}, "candidate"),
        ({"margin": "0"}, "margin"),
        ({"maximum_samples": "10"}, "maximum_samples"),
        ({"workload": "of-another-team"}, "workload"),
        ({"scorer": "json_field"}, "field"),
        ({"scorer": "length"}, "words"),
    ],
)
def test_what_cannot_be_opened_is_refused_at_its_field(ana: Client, given: dict[str, str], field: str) -> None:
    make.workload("of-another-team", "legal")
    response = ana.post(reverse("pilots:open"), PLAN | given)
    assert response.status_code == 400
    assert list(response.context["form"].errors) == [field]
    assert response.context["form"]["hypothesis"].value() == "as good, for less"
    assert (Pilot.objects.count(), Plan.objects.count()) == (1, 1)


@pytest.mark.parametrize("scorer", [key for key, _ in OpenForm.base_fields["scorer"].choices])  # type: ignore[attr-defined]
def test_every_scorer_on_offer_makes_a_plan_that_can_be_frozen(ana: Client, scorer: str) -> None:
    given = {"scorer": scorer, "field": "category", "words": "120", "latency_ratio": "125"}
    assert ana.post(reverse("pilots:open"), PLAN | given).status_code == 302
    assert ana.post(reverse("pilots:freeze", args=["triage-to-mai"])).status_code == 302
    (frozen,) = PlanVersion.objects.get(plan__slug="triage-to-mai").document["scorers"]
    config = {"json_field": {"field": "category", "compare": "exact"}, "length": {"maximum": 120}}.get(scorer, {})
    assert frozen == {"key": scorer, "name": scorer, "version": "1", "config": config}


def test_those_who_manage_no_team_cannot_open(ana: Client) -> None:
    viewer = session(make.member(Team.objects.get(), role=TeamRole.VIEWER))
    assert viewer.get(reverse("pilots:open")).status_code == 403


def test_a_replay_starts_only_with_its_estimate_confirmed(ana: Client) -> None:
    address = reverse("pilots:start-replay", args=["triage-to-new"])
    form = ana.get(address).context["form"]
    wanted = {"sample_set": form["sample_set"].initial, "take": "10", "repeats": "2", "budget": "1.5"}
    estimated = ana.post(address, wanted)
    assert estimated.status_code == 200
    assert (estimated.context["estimate"].samples, estimated.context["estimate"].calls) == (10, 40)
    assert not ReplayRun.objects.exists()
    started = ana.post(address, wanted | {"confirmed": "yes"})
    run = ReplayRun.objects.get()
    assert started["Location"] == reverse("pilots:run", args=[run.pk])
    assert (run.total, run.budget_amount, run.created_by and run.created_by.username) == (40, 1.5, "ana")
    assert Pilot.objects.get(slug="triage-to-new").status is PilotStatus.EVALUATING


def test_what_is_better_known_before_a_replay_is_said_before_it(ana: Client) -> None:
    """An agreement without the candidate's vendor, a cap that is too low, models that never answered."""
    address = reverse("pilots:start-replay", args=["triage-to-new"])
    wanted = {"sample_set": ana.get(address).context["form"]["sample_set"].initial, "repeats": "1", "budget": "0.0001"}
    DataAgreement.objects.update(vendors=["openai"])
    page = ana.post(address, wanted)
    for sentence in (*page.context["estimate"].warnings, *page.context["estimate"].unknown):
        assert escape(sentence) in page.content.decode()
    refusal, cap = page.context["estimate"].warnings
    assert "the data agreement of team support does not list vendor microsoft" in refusal
    assert "is above the hard cap of 0.0001 USD" in cap
    DataAgreement.objects.all().delete()
    refused = ana.post(address, wanted | {"confirmed": "yes"})
    assert refused.status_code == 400
    assert "No sample may be sent: team support has no data agreement in force" in refused.content.decode()
    assert not ReplayRun.objects.exists()


def test_a_sample_set_of_another_workload_is_absent(ana: Client) -> None:
    from tests.replays import add_samples

    other = make.workload("other", "support")
    add_samples(other, 2, stem="o")
    address = reverse("pilots:start-replay", args=["triage-to-new"])
    foreign = other.sample_sets.get().pk
    response = ana.post(address, {"sample_set": foreign, "repeats": "1", "budget": "1", "confirmed": "yes"})
    assert list(response.context["form"].errors) == ["sample_set"]
    assert not ReplayRun.objects.exists()
