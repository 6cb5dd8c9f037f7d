"""``run RUN_ID --rescore``: in this process, without a call."""

from __future__ import annotations

import pytest

from evaluations.models import Attempt
from tests.functional.commands import call
from tests.pilots.views.people import planned_pilot
from tests.rescoring import install_newer, judged_run

pytestmark = pytest.mark.django_db


def test_a_run_is_judged_again_by_the_plan_as_frozen_now(monkeypatch: pytest.MonkeyPatch) -> None:
    run = judged_run(planned_pilot(n=40).plan)  # type: ignore[arg-type]
    calls = Attempt.objects.count()
    install_newer(monkeypatch)
    refused = call("run", str(run.pk), "--rescore", "--json")
    assert (refused.code, refused.out) == (2, "")
    assert "freeze it again" in refused.err
    assert call("freeze_plan", "triage-to-new").code == 0
    judged = call("run", str(run.pk), "--rescore", "--json")
    assert (judged.code, judged.document["plan_version"], judged.document["after_the_fact"]) == (0, 2, True)
    assert (judged.document["decision"], judged.document["evidence_samples"]) == ("do_not_switch", 40)
    assert call("run", str(run.pk), "--rescore", "--json").document == judged.document
    assert call("run", str(run.pk), "--json").document["decision"] == "keep_testing"
    assert Attempt.objects.count() == calls
