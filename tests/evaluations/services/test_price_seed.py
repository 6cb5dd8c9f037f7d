"""List prices into the catalogue: exact names only, nobody's row is touched, no past run changes.

Expected figures: OpenAI's list prices of gpt-4 ($30 / $60) and of o3 before and from 2025-06-10 (`data/prices`).
"""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal

import pytest

from evaluations.enums import PriceKind
from evaluations.models import AuditEvent, Endpoint, ModelVersion, Price
from evaluations.price_list import Listed, ListPrice, PriceList
from evaluations.pricing import AMOUNTS, price_in_force
from evaluations.selectors.prices import prices_for
from evaluations.services import price_seed
from evaluations.services.catalogue import save_endpoint, save_price
from evaluations.services.price_seed import SeedReport, seed_prices
from tests.factories import model
from tests.functional.commands import call
from tests.replays import BY

pytestmark = pytest.mark.django_db
AT = datetime(2026, 11, 20, 12, tzinfo=UTC)


def seed(**options) -> dict[str, tuple[str, int]]:
    report = seed_prices(by=BY, at=AT, **options)
    return {entry.model: (entry.status, entry.rows) for entry in report.models}


def endpoint(slug: str, of: ModelVersion, **fields) -> Endpoint:
    given = {"protocol": "openai_chat", "base_url": "https://api.openai.com/v1", **fields}
    return save_endpoint(slug=slug, model=of, by=BY, at=AT, **given)[0]


def rows(of: ModelVersion) -> list[tuple[date, int | None, Decimal | None, Decimal | None]]:
    listed = Price.objects.filter(model=of).order_by("effective_from", "above_input_tokens")
    return [(row.effective_from, row.above_input_tokens, row.input_per_mtok, row.output_per_mtok) for row in listed]


def test_models_that_are_listed_get_their_price_and_the_others_stay_undisclosed() -> None:
    gpt4, o3 = model("gpt-4"), model("o3")
    mai, own = model("mai-thinking-1", "microsoft"), model("our-gpt-4")
    report = seed_prices(by=BY, at=AT)
    assert {entry.model: (entry.status, entry.rows) for entry in report.models} == {
        "gpt-4": ("seeded", 1),
        "mai-thinking-1": ("not_listed", 0),
        "o3": ("seeded", 1),
        "our-gpt-4": ("not_listed", 0),
    }
    assert rows(gpt4) == [(report.as_of, None, 30, 60)]
    assert rows(o3) == [(date(2025, 6, 10), None, 2, 8)]
    assert rows(mai) == rows(own) == []
    price = Price.objects.get(model=gpt4)
    assert (price.kind, price.currency, price.source) == (PriceKind.LIST, "USD", report.source)
    assert report.source.startswith("genai-prices 0.")
    assert AuditEvent.objects.filter(action="catalogue.created", object_type="price").count() == 2


def test_a_price_of_the_hour_is_one_row_for_each_part_of_the_day_once() -> None:
    reasoner = model("deepseek-reasoner", "deepseek")
    assert seed() == {"deepseek-reasoner": ("seeded", 2)}
    assert set(Price.objects.filter(model=reasoner).values_list("hours", "input_per_mtok")) == {
        ("", Decimal("0.135")),
        ("00:30-16:30", Decimal("0.55")),
    }
    assert seed() == {"deepseek-reasoner": ("unchanged", 0)}


def test_since_says_from_when_an_undated_price_holds() -> None:
    o3 = model("o3")
    seed(since=date(2025, 4, 16))
    assert rows(o3) == [(date(2025, 4, 16), None, 10, 40), (date(2025, 6, 10), None, 2, 8)]


def test_a_model_is_found_by_the_name_on_the_wire() -> None:
    ours = model("gpt-4-in-production")
    endpoint("prod", ours, wire_model="gpt-4-0613")
    assert seed() == {"gpt-4-in-production": ("seeded", 1)}
    assert rows(ours)[0][2:] == (30, 60)


def test_a_second_time_changes_nothing() -> None:
    model("gpt-4"), model("claude-sonnet-4-6", "anthropic")
    seed()
    before = list(Price.objects.order_by("pk").values())
    assert set(seed().values()) == {("unchanged", 0)}
    assert list(Price.objects.order_by("pk").values()) == before


def test_somebodys_own_list_price_stays_the_only_one() -> None:
    gpt4 = model("gpt-4")
    save_price(model=gpt4, effective_from=date(2023, 6, 13), input_per_mtok=Decimal(25), source="by mail", by=BY, at=AT)
    assert seed() == {"gpt-4": ("own_prices", 0)}
    assert rows(gpt4) == [(date(2023, 6, 13), None, 25, None)]


def test_a_contract_price_stays_and_goes_first() -> None:
    gpt4 = model("gpt-4")
    prod = endpoint("prod", gpt4)
    contract, _ = save_price(
        model=gpt4,
        endpoint=prod,
        effective_from=date(2024, 1, 1),
        input_per_mtok=Decimal(20),
        output_per_mtok=Decimal(40),
        by=BY,
        at=AT,
    )
    assert seed() == {"gpt-4": ("seeded", 1)}
    contract.refresh_from_db()
    assert (contract.input_per_mtok, contract.source) == (20, "")
    price = price_in_force(prices_for(gpt4, prod, "USD"), at=AT)
    assert price is not None
    assert price.id == contract.pk


def a_list(*prices: ListPrice, as_of: date, version: str) -> PriceList:
    class Other(PriceList):
        def find(self, **asked) -> Listed:
            return Listed("gpt-4", prices)

    return Other(f"genai-prices {version}", as_of, ())


def undated(amount: int) -> ListPrice:
    amounts = {**dict.fromkeys(AMOUNTS), "input_per_mtok": Decimal(amount), "output_per_mtok": Decimal(amount)}
    return ListPrice(None, None, amounts)


def test_a_newer_list_adds_what_changed_and_keeps_what_was(monkeypatch) -> None:
    gpt4 = model("gpt-4")

    def with_list(amount: int, as_of: date, version: str) -> SeedReport:
        monkeypatch.setattr(
            price_seed, "read_price_list", lambda on: a_list(undated(amount), as_of=as_of, version=version)
        )
        return seed_prices(by=BY, at=AT)

    assert with_list(30, date(2026, 9, 1), "1").rows == 1
    assert with_list(30, date(2026, 10, 1), "2").rows == 0
    assert with_list(20, date(2026, 11, 1), "3").rows == 1
    assert rows(gpt4) == [(date(2026, 9, 1), None, 30, 30), (date(2026, 11, 1), None, 20, 20)]
    sources = Price.objects.order_by("effective_from").values_list("source", flat=True)
    assert list(sources) == ["genai-prices 1", "genai-prices 3"]


def test_the_command_tries_it_out_and_does_it() -> None:
    gpt4 = model("gpt-4")
    model("o3")
    tried = call("seed_prices", "--model", "gpt-4", "--dry-run", "--json")
    assert (tried.code, tried.document["rows"], Price.objects.count()) == (0, 1, 0)
    done = call("seed_prices", "--model", "gpt-4", "--since", "2024-01-01", "--json")
    assert done.document["by_status"] == {"seeded": 1}
    assert rows(gpt4) == [(date(2024, 1, 1), None, 30, 60)]
    assert Price.objects.count() == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(["--model", "nobody"], "model: no model 'nobody'"), (["--since", "soon"], "since: 'soon' is no date")],
)
def test_the_command_refuses_in_one_line(arguments, message) -> None:
    refused = call("seed_prices", *arguments)
    assert (refused.code, refused.out) == (2, "")
    assert refused.err.startswith(message)
    assert refused.err.count("\n") == 1
