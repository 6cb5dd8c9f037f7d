"""``replay PILOT``: what it says before the first call. The figures themselves: tests/evaluations/selectors."""

from __future__ import annotations

import pytest

from evaluations.models import DataAgreement, Price, ReplayRun
from tests.functional.commands import call
from tests.pilots.views.people import planned_pilot

pytestmark = pytest.mark.django_db


def test_the_estimate_makes_no_run_and_its_warnings_are_on_stderr_too() -> None:
    planned_pilot(n=20, max_calls=30)
    DataAgreement.objects.update(vendors=["openai"])
    Price.objects.filter(model__slug="new").delete()
    estimated = call("replay", "triage-to-new", "--estimate", "--repeats", "2", "--budget", "0.001", "--json")
    document = estimated.document
    assert (estimated.code, document["samples"], document["calls"]) == (0, 20, 80)
    assert document["cap"] == {"amount": "0.001", "currency": "USD"}
    assert document["cost"]["amount"] is None
    assert [arm["calls"] for arm in document["arms"]] == [40, 40]
    assert document["arms"][1]["refusal"] == "the data agreement of team support does not list vendor microsoft"
    assert estimated.err.splitlines() == document["warnings"]
    assert [sentence.split()[0] for sentence in document["warnings"]] == ["No", "The", "The"]
    assert document["unknown"][0] == "new has no USD price in force: what it costs is not in the sum."
    assert not ReplayRun.objects.exists()


def test_a_replay_says_which_arm_nothing_is_sent_to_and_is_refused_where_that_is_both() -> None:
    planned_pilot(n=2)
    DataAgreement.objects.update(vendors=["openai"])
    started = call("replay", "triage-to-new", "--json")
    assert started.code == 0
    assert started.err.splitlines() == [
        "no sample will be sent to the candidate: the data agreement of team support does not list vendor microsoft"
    ]
    DataAgreement.objects.all().delete()
    refused = call("replay", "triage-to-new", "--json")
    assert (refused.code, refused.out) == (2, "")
    assert refused.err == ("data_agreement: no sample may be sent: team support has no data agreement in force\n")
    assert ReplayRun.objects.count() == 1


def test_a_budget_that_is_no_number_is_refused() -> None:
    planned_pilot(n=2)
    refused = call("replay", "triage-to-new", "--estimate", "--budget", "much")
    assert refused.code == 2
    assert refused.err.startswith("--budget: ")
