from __future__ import annotations

from pathlib import Path

import pytest
from django.core.management import load_command_class

from evaluations.models import PlanVersion, Vendor
from pilots.enums import EventKind, PilotStatus
from pilots.models import Pilot, PilotEvent
from tests.functional.commands import call
from tests.pilots.services.test_portfolio_file import ENTITIES, EXAMPLE

pytestmark = pytest.mark.django_db


@pytest.fixture
def portfolio(tmp_path: Path) -> Path:
    path = tmp_path / "portfolio.yaml"
    path.write_text(EXAMPLE)
    return path


def test_apply_counts_and_a_second_time_finds_everything_unchanged(portfolio: Path) -> None:
    dry = call("apply", str(portfolio), "--dry-run", "--json")
    assert (dry.code, dry.document) == (0, {"created": ENTITIES, "updated": 0, "unchanged": 0})
    assert not Vendor.objects.exists()
    assert call("apply", str(portfolio), "--json").document == {"created": ENTITIES, "updated": 0, "unchanged": 0}
    second = call("apply", str(portfolio), "--json")
    assert (second.code, second.err) == (0, "")
    assert second.document == {"created": 0, "updated": 0, "unchanged": ENTITIES}
    assert call("apply", str(portfolio)).out == f"0 created, 0 updated, {ENTITIES} unchanged\n"


def test_bad_input_is_one_line_and_exit_2_and_nothing_is_stored(portfolio: Path) -> None:
    portfolio.write_text(EXAMPLE.replace("model: gpt-4, protocol", "model: gpt-5, protocol"))
    called = call("apply", str(portfolio), "--json")
    assert (called.code, called.out, called.err) == (2, "", "portfolio.yaml: endpoints[0].model: unknown model gpt-5\n")
    assert not Vendor.objects.exists()


def test_a_file_that_is_not_there_is_bad_input(tmp_path: Path) -> None:
    called = call("apply", str(tmp_path / "none.yaml"))
    assert (called.code, called.err) == (2, "none.yaml: cannot be read (No such file or directory)\n")


def test_freeze_plan_locks_the_plan_and_records_it_in_the_history(portfolio: Path) -> None:
    call("apply", str(portfolio))
    frozen = call("freeze_plan", "triage-to-mai", "--json")
    version = PlanVersion.objects.get()
    assert (frozen.code, frozen.document) == (0, {"pilot": "triage-to-mai", "version": 1, "digest": version.digest})
    assert Pilot.objects.get().status is PilotStatus.PLANNED
    event = PilotEvent.objects.get(kind=EventKind.PLANNED)
    assert (event.data, event.actor) == ({"plan_version": 1, "digest": version.digest}, "manage.py freeze_plan")
    assert call("freeze_plan", "triage-to-mai", "--json").document == frozen.document
    assert PilotEvent.objects.filter(kind=EventKind.PLANNED).count() == 1
    assert call("apply", str(portfolio), "--json").document == {"created": 0, "updated": 0, "unchanged": ENTITIES}


def test_a_plan_that_could_not_be_decided_is_not_frozen(portfolio: Path) -> None:
    text = EXAMPLE.replace("role: primary", "role: advisory").replace("role: guardrail", "role: advisory")
    portfolio.write_text(text)
    call("apply", str(portfolio))
    called = call("freeze_plan", "triage-to-mai")
    assert (called.code, called.err) == (
        2,
        "plan.criteria: at least one primary or guardrail criterion is needed\n",
    )
    assert not PlanVersion.objects.exists()


def test_freeze_plan_of_an_unknown_pilot_is_bad_input() -> None:
    called = call("freeze_plan", "nobody")
    assert (called.code, called.err) == (2, "pilot: no pilot 'nobody'\n")


def test_a_number_written_another_way_changes_no_plan(portfolio: Path) -> None:
    call("apply", str(portfolio))
    call("freeze_plan", "triage-to-mai")
    text = EXAMPLE.replace('"0.90"', "0.9").replace('"25.00"', "25").replace('"0.05"', "0.050").replace('"30"', "30.0")
    assert text != EXAMPLE
    portfolio.write_text(text)
    assert call("apply", str(portfolio), "--json").document == {"created": 0, "updated": 0, "unchanged": ENTITIES}
    assert PlanVersion.objects.count() == 1


@pytest.mark.parametrize(("arguments", "said"), [([], "required: file"), (["f", "--nope"], "arguments: --nope")])
def test_bad_arguments_are_said_in_one_line(arguments: list[str], said: str, capsys) -> None:
    with pytest.raises(SystemExit) as ended:
        load_command_class("pilots", "apply").run_from_argv(["manage.py", "apply", *arguments])
    printed = capsys.readouterr()
    assert (ended.value.code, printed.out, printed.err.count("\n")) == (2, "", 1)
    assert printed.err.startswith("manage.py apply: error: ")
    assert printed.err.endswith(f"{said}\n")
