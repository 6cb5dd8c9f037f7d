"""P21: whatever the OpenAPI document allows or forbids is sent to a live site, and every answer is one it describes.

A few hundred cases here, the promised 5,000 in ``make soak``.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from evaluations.models import SampleSet
from pilots.services.lifecycle import record_cutover
from tests import factories as make
from tests.pilots.api.programs import token_of
from tests.pilots.views.people import evaluated_pilot
from tests.workers import SOAK

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.fault]

# Identifiers that exist, beside those that are made up.
CONFIG = """
[[operations]]
include-path-regex = "^/pilots/"
parameters = {{ "path.slug" = "{pilot}" }}

[[operations]]
include-path-regex = "^/workloads/"
parameters = {{ "path.slug" = "{workload}" }}

[[operations]]
include-path-regex = "^/teams/"
parameters = {{ "path.slug" = "{team}", "path.user" = "ana" }}

[[operations]]
include-path-regex = "^/replay-runs/"
parameters = {{ "path.id" = {run} }}

[[operations]]
include-path-regex = "^/sample-sets/"
parameters = {{ "path.id" = {set} }}

[[operations]]
include-path-regex = "reports/"
parameters = {{ "path.name" = "retention" }}
"""


@pytest.mark.parametrize("who", ["a site administrator", "a pilot manager"])
def test_every_answer_is_one_that_the_document_describes(
    live_server: Any, tmp_path: Path, data_dir: Path, who: str
) -> None:
    pilot, run = evaluated_pilot(n=3)
    record_cutover(pilot=pilot, by=make.actor(), at=timezone.now())
    team = pilot.workload.team
    person = make.user("ana", is_superuser=True) if who == "a site administrator" else make.member(team, "ana")
    facts = {"pilot": pilot.slug, "workload": pilot.workload.slug, "team": team.slug, "run": run.pk}
    (tmp_path / "schemathesis.toml").write_text(CONFIG.format(**facts, set=SampleSet.objects.get().pk))
    size = ["--max-examples=40"] if SOAK else ["--phases=fuzzing", "--max-examples=4"]
    command = [
        str(Path(sys.executable).parent / "schemathesis"),
        "run",
        f"{live_server.url}/api/v1/schema",
        f"--header=Authorization: Bearer {token_of(person)}",
        # What the rules of the product refuse is 400, and no schema can say those rules.
        "--exclude-checks=positive_data_acceptance",
        # A busy machine is no failure, nor is a body of lines that is hard to make up.
        "--request-timeout=120",
        "--suppress-health-check=filter_too_much,too_slow",
        "--continue-on-failure",
        "--no-color",
        "--seed=1",
        *size,
    ]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=3600)
    assert done.returncode == 0, done.stdout.partition("= FAILURES =")[2] or done.stdout
    cases = re.search(r"(\d+) generated, (\d+) passed", done.stdout)
    assert cases is not None
    assert cases[1] == cases[2]
    assert int(cases[1]) >= (5_000 if SOAK else 300)
