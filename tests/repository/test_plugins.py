"""A distribution of somebody else (``tests/plugin_package``), built and installed: all of it works as ours does."""

from __future__ import annotations

import csv
import itertools
import json
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from evaluations.capture.base import BadLine
from evaluations.capture.registry import READERS, detect
from evaluations.models import Endpoint, Plan
from evaluations.plugins import PluginError, Registry
from evaluations.providers.registry import PROVIDERS
from evaluations.scorers.registry import SCORERS
from evaluations.services.audit import Actor
from pilots.exporters.registry import EXPORTERS
from pilots.models import Pilot
from pilots.services.exports import write_export
from pilots.services.planning import freeze_pilot_plan
from pilots.services.portfolio_file import apply_portfolio
from tests import factories as make
from tests.contract import test_providers as provider_contract
from tests.contract import test_scorers as scorer_contract
from tests.repository.wheels import build_wheel, unpack

PACKAGE = Path(__file__).resolve().parents[1] / "plugin_package"
REGISTRIES: dict[str, Registry[Any]] = {
    "shorter_than": SCORERS,
    "house_chat": PROVIDERS,
    "house_log": READERS,
    "pilot_names": EXPORTERS,
}
BY = Actor.command("test")
AT = datetime(2026, 6, 10, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("plugins")
    unpack(build_wheel(PACKAGE, tmp_path_factory.mktemp("wheel")), folder)
    return folder


def forget() -> None:
    """The registries look once in the life of a process; a test is a new one."""
    for registry in REGISTRIES.values():
        registry.__dict__.pop("_by_key", None)
    for name in [name for name in sys.modules if name.partition(".")[0] in ("house_plugins", "clashing")]:
        del sys.modules[name]


@pytest.fixture
def installed(built: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.delenv("PILOTS_PLUGINS", raising=False)
    monkeypatch.syspath_prepend(built)
    forget()
    yield
    forget()


def found() -> set[str]:
    return {key for key, registry in REGISTRIES.items() if key in registry.keys()}  # noqa: SIM118 - not a mapping


def test_nothing_is_found_where_nothing_is_installed() -> None:
    assert found() == set()


@pytest.mark.usefixtures("installed")
def test_every_registry_finds_its_plugin_beside_the_built_ins() -> None:
    assert found() == set(REGISTRIES)
    assert {key: type(registry.get(key)).__module__ for key, registry in REGISTRIES.items()} == {
        "shorter_than": "house_plugins.scorer",
        "house_chat": "house_plugins.provider",
        "house_log": "house_plugins.reader",
        "pilot_names": "house_plugins.exporter",
    }
    assert {"exact", "numeric"} < set(SCORERS.keys())


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize(
    ("allowed", "expected"),
    [
        ("house-plugins", set(REGISTRIES)),
        ("other, House_Plugins", set(REGISTRIES)),  # names of distributions are spelt in many ways
        ("other", set()),
        ("", set()),
    ],
)
def test_the_allow_list_names_distributions(allowed: str, expected: set[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PILOTS_PLUGINS", allowed)
    assert found() == expected
    assert SCORERS.get("exact").key == "exact"  # the built-ins need no permission


@pytest.mark.usefixtures("installed")
def test_a_key_that_is_taken_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "clashing.py").write_text("class Exact:\n    key, version = 'exact', '9'\n")
    metadata = tmp_path / "clashing-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: clashing\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[evaluations.scorers]\nanother_name = clashing:Exact\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(PluginError, match=r"^two evaluations\.scorers plugins are called 'exact'$"):
        SCORERS.get("numeric")


def suite(contract: ModuleType, subject: str) -> list[Any]:
    """The tests of a contract that take nothing but a plugin of its kind, with each of their other parameters."""
    cases = []
    for name, test in vars(contract).items():
        marks = [mark for mark in getattr(test, "pytestmark", []) if mark.name == "parametrize"]
        if not name.startswith("test_") or subject not in [mark.args[0] for mark in marks]:
            continue
        others = [mark for mark in marks if mark.args[0] != subject]
        for values in itertools.product(*(mark.args[1] for mark in others)):
            given = dict(zip((mark.args[0] for mark in others), values, strict=True))
            cases.append(pytest.param(test, given, id="-".join([name, *(str(value)[:12] for value in values)])))
    return cases


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize(("test", "given"), suite(provider_contract, "provider"))
def test_the_provider_keeps_the_contract_of_providers(test: Callable[..., None], given: dict[str, Any]) -> None:
    test(provider=PROVIDERS.get("house_chat"), **given)


# Which scorers need a reference is each one's own affair.
SCORER_SUITE = [case for case in suite(scorer_contract, "scorer") if "missing_reference" not in str(case.id)]


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize(("test", "given"), SCORER_SUITE)
def test_the_scorer_keeps_the_contract_of_scorers(
    test: Callable[..., None], given: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(scorer_contract.VALID, "shorter_than", {"characters": 40})  # type: ignore[arg-type]
    test(scorer=SCORERS.get("shorter_than"), **given)


def test_the_contracts_hold_something_to_keep() -> None:
    assert len(suite(provider_contract, "provider")) >= 10
    assert len(SCORER_SUITE) >= 10


@pytest.mark.usefixtures("installed")
def test_the_reader_is_detected_and_names_bad_lines(tmp_path: Path) -> None:
    log = tmp_path / "house.log"
    log.write_text('{"asked": "2+2?", "answered": "4"}\n{"asked": "", "answered": "x"}\n')
    assert detect(log).key == "house_log"
    sample, bad = READERS.get("house_log").read(log)
    assert sample.request == {"messages": [{"role": "user", "content": "2+2?"}]}
    assert sample.response.text == "4"
    assert bad == BadLine(2, "asked", "is missing")


PORTFOLIO = {
    "vendors": [{"slug": "openai"}, {"slug": "microsoft"}],
    "models": [{"slug": "gpt-4", "vendor": "openai"}, {"slug": "mai-thinking-1", "vendor": "microsoft"}],
    "endpoints": [
        {"slug": slug, "model": model, "protocol": "house_chat", "base_url": "https://gateway.example.com"}
        for slug, model in (("old", "gpt-4"), ("new", "mai-thinking-1"))
    ],
    "teams": [{"slug": "support", "name": "Customer Support"}],
    "workloads": [{"slug": "ticket-triage", "team": "support", "name": "Ticket triage"}],
    "pilots": [
        {
            "slug": "triage-to-mai",
            "workload": "ticket-triage",
            "incumbent": {"endpoint": "old"},
            "candidate": {"endpoint": "new"},
            "plan": {
                "scorers": [{"key": "short", "name": "shorter_than", "config": {"characters": 80}}],
                "criteria": [{"metric": "short", "role": "primary", "margin": "0.03"}],
                "minimum_samples": 100,
                "budget": {"amount": "25", "currency": "USD", "max_calls": 1000},
            },
        }
    ],
}


@pytest.mark.django_db
@pytest.mark.usefixtures("installed")
def test_a_portfolio_file_names_plugins_and_the_frozen_plan_keeps_their_version(tmp_path: Path) -> None:
    path = tmp_path / "portfolio.json"
    path.write_text(json.dumps(PORTFOLIO))
    apply_portfolio(path=path, by=BY, at=AT)
    assert list(Endpoint.objects.values_list("protocol", flat=True)) == ["house_chat", "house_chat"]
    version = freeze_pilot_plan(pilot=Pilot.objects.get(), by=BY, at=AT)
    [scorer] = version.document["scorers"]
    assert scorer == {"key": "short", "name": "shorter_than", "version": "1", "config": {"characters": 80}}
    assert Plan.objects.get().versions.count() == 1


@pytest.mark.django_db
@pytest.mark.usefixtures("installed")
def test_the_exporter_writes_through_the_one_writer(tmp_path: Path) -> None:
    make.pilot("a", workload=make.workload(name="=1+1"))
    make.pilot("b", workload=make.workload(name="Triage"))
    written = write_export(key="pilot_names", filters={}, by=BY, at=make.NOW, output=tmp_path / "names.csv")
    with open(written.path, newline="", encoding="utf-8-sig") as file:
        rows = list(csv.reader(file))
    assert rows[-2:] == [["a", "'=1+1"], ["b", "Triage"]]
    assert write_export(key="pilot_names", filters={}, by=BY, at=make.NOW, output=tmp_path / "n.xlsx").sheets == {
        "Pilots": 2
    }


def test_the_guide_shows_this_very_scorer() -> None:
    guide = (PACKAGE.parents[1] / "docs" / "extending.md").read_text()
    scorer = (PACKAGE / "house_plugins" / "scorer.py").read_text()
    indented = "\n".join(f"    {line}".rstrip() for line in scorer.splitlines())
    assert indented in guide
