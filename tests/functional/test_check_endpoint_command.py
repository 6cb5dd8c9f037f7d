"""Against the simulated vendors, over real HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest

from evaluations.enums import AttemptPurpose, AttemptState, CostState, Outcome
from evaluations.models import Attempt, AuditEvent, Endpoint, Price
from evaluations.services import audit
from evaluations.services.catalogue import save_endpoint, save_model, save_price, save_vendor
from evaluations.simulator.config import SimulatorConfig, behaviour_from
from evaluations.simulator.server import SimulatedVendors
from tests.functional.commands import call

pytestmark = pytest.mark.django_db

BY = audit.Actor.command("test")
AT = datetime(2026, 6, 10, 12, tzinfo=UTC)
MODELS: dict[str, dict[str, Any]] = {
    "mai-thinking-1": {"served_model": "mai-thinking-1-2026-06-02"},
    "gone": {"faults": {"model_gone": 1}},
}


@pytest.fixture
def vendors() -> Iterator[SimulatedVendors]:
    config = SimulatorConfig(models={name: behaviour_from(keys, name) for name, keys in MODELS.items()})
    with SimulatedVendors(config) as served:
        yield served


@pytest.fixture
def endpoint(vendors: SimulatedVendors, monkeypatch: pytest.MonkeyPatch) -> Endpoint:
    monkeypatch.setenv("MAI_KEY", "sk-secret-for-the-probe")
    vendor, _ = save_vendor(slug="microsoft", by=BY, at=AT)
    model, _ = save_model(slug="mai-thinking-1", vendor=vendor, by=BY, at=AT)
    return save_endpoint(
        slug="mai-prod",
        model=model,
        protocol="mai_chat",
        base_url=vendors.url,
        credential_env="MAI_KEY",
        parameters={"temperature": 0},
        by=BY,
        at=AT,
    )[0]


def test_one_small_call_says_what_the_endpoint_is(endpoint: Endpoint, vendors: SimulatedVendors) -> None:
    price, _ = save_price(
        model=endpoint.model,
        effective_from=date(2026, 6, 2),
        input_per_mtok=Decimal("2"),
        output_per_mtok=Decimal("8"),
        by=BY,
        at=AT,
    )
    called = call("check_endpoint", "mai-prod", "--json")
    document = called.document
    assert (called.code, document["ok"], document["outcome"], document["error"]) == (0, True, "ok", None)
    assert (document["requested_model"], document["served_model"]) == ("mai-thinking-1", "mai-thinking-1-2026-06-02")
    assert [(change["parameter"], change["action"]) for change in document["changes"]] == [("temperature", "dropped")]
    assert (document["price"]["id"], document["price"]["output_per_mtok"]) == (price.pk, "8")
    usage = document["usage"]
    cost = (usage["input_uncached"] * Decimal(2) + usage["output_total"] * Decimal(8)) / 1_000_000
    assert usage["input_uncached"] > 0
    assert document["cost"] == {"amount": str(cost), "currency": "USD"}
    assert vendors.bill()["requests"] == 1

    attempt = Attempt.objects.get()
    assert (attempt.endpoint, attempt.purpose, attempt.state, attempt.outcome) == (
        endpoint,
        AttemptPurpose.PROBE,
        AttemptState.SETTLED,
        Outcome.OK,
    )
    assert (attempt.run, attempt.cost_amount, attempt.cost_state, attempt.price) == (
        None,
        cost,
        CostState.KNOWN,
        price,
    )
    assert (attempt.raw_usage, attempt.latency_ms) == (usage["raw"], pytest.approx(document["latency_ms"], abs=0.1))
    event = AuditEvent.objects.get(action="endpoint.checked")
    assert (event.object_label, event.actor, event.data) == (
        "mai-prod",
        "manage.py check_endpoint",
        {"attempt": attempt.pk},
    )


def test_without_a_price_the_cost_is_unknown_and_not_zero(endpoint: Endpoint) -> None:
    document = call("check_endpoint", "mai-prod", "--json").document
    assert (document["ok"], document["price"], document["cost"]) == (True, None, {"amount": None, "currency": None})
    attempt = Attempt.objects.get()
    assert (attempt.cost_amount, attempt.cost_state) == (None, CostState.UNKNOWN)
    assert not Price.objects.exists()


def test_a_model_that_is_gone_is_exit_1(endpoint: Endpoint) -> None:
    Endpoint.objects.update(wire_model="gone")
    called = call("check_endpoint", "mai-prod", "--json")
    assert (called.code, called.document["ok"], called.document["outcome"]) == (1, False, "model_gone")
    assert Attempt.objects.get().outcome is Outcome.MODEL_GONE


def test_without_its_key_nothing_is_sent(
    endpoint: Endpoint, vendors: SimulatedVendors, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MAI_KEY")
    called = call("check_endpoint", "mai-prod", "--json")
    assert (called.code, called.document["outcome"], called.document["error"]) == (
        1,
        "auth",
        "the environment variable MAI_KEY holds no credential",
    )
    assert (Attempt.objects.count(), vendors.bill()["requests"]) == (0, 0)


def test_the_key_is_nowhere_to_be_read(endpoint: Endpoint) -> None:
    called = call("check_endpoint", "mai-prod")
    assert "sk-secret" not in called.out + called.err
    assert not Attempt.objects.filter(changes__icontains="sk-secret").exists()


def test_an_unknown_endpoint_is_bad_input() -> None:
    called = call("check_endpoint", "nowhere")
    assert (called.code, called.err) == (2, "endpoint: no endpoint 'nowhere'\n")
