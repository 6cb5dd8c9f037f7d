from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest

from evaluations.enums import AuditSource, PriceKind
from evaluations.models import AuditEvent, Endpoint, ModelVersion, PlanVersion, Price, Vendor
from evaluations.providers.registry import PROVIDERS
from evaluations.selectors.prices import prices_for
from evaluations.services import audit
from evaluations.services.catalogue import save_endpoint, save_model, save_price, save_vendor
from evaluations.services.errors import Conflict, Refused
from evaluations.services.plan_document import CriterionEntry, PlanDefinition, ScorerEntry
from evaluations.services.plans import freeze_plan, save_plan
from evaluations.services.teams import save_team, save_workload

pytestmark = pytest.mark.django_db

BY = audit.Actor(name="ana", source=AuditSource.WEB)
AT = datetime(2026, 6, 1, 12, tzinfo=UTC)
BASE_URL = "https://api.openai.com/v1"


@pytest.fixture
def gpt() -> ModelVersion:
    vendor, _ = save_vendor(slug="openai", name="OpenAI", by=BY, at=AT)
    return save_model(slug="gpt-4", vendor=vendor, family="gpt", by=BY, at=AT)[0]


def endpoint(model: ModelVersion, **changes: Any) -> tuple[Endpoint, bool | None]:
    content: dict[str, Any] = {"slug": "gpt-4-prod", "protocol": "openai_chat", "base_url": BASE_URL}
    return save_endpoint(model=model, by=BY, at=AT, **{**content, **changes})


def price(model: ModelVersion, **changes: Any) -> tuple[Price, bool | None]:
    return save_price(model=model, by=BY, at=AT, **{"effective_from": date(2023, 6, 13), **changes})


def last_audit() -> tuple[str, str, str, dict[str, Any]]:
    event = AuditEvent.objects.order_by("sequence").last()
    assert event is not None
    return event.action, event.object_type, event.object_label, event.data


def test_a_vendor_is_named_after_its_slug_until_it_has_a_name() -> None:
    assert [save_vendor(slug="openai", by=BY, at=AT)[1] for _ in range(2)] == [True, None]
    assert Vendor.objects.get().name == "openai"
    vendor, created = save_vendor(slug="openai", name="OpenAI", by=BY, at=AT)
    assert (created, vendor.name) == (False, "OpenAI")
    assert last_audit() == ("catalogue.changed", "vendor", "OpenAI", {"name": {"from": "openai", "to": "OpenAI"}})


def test_a_model_keeps_what_is_not_said_and_clears_what_is_null(gpt: ModelVersion) -> None:
    days = {"retirement_announced_on": date(2026, 4, 22), "retires_on": date(2026, 10, 23)}
    model, created = save_model(slug="gpt-4", vendor=gpt.vendor, **days, by=BY, at=AT)
    assert (created, model.family, model.retires_on) == (False, "gpt", date(2026, 10, 23))
    assert save_model(slug="gpt-4", vendor=gpt.vendor, by=BY, at=AT)[1] is None
    model, created = save_model(slug="gpt-4", vendor=gpt.vendor, family=None, retires_on=None, by=BY, at=AT)
    assert (created, model.family, model.retires_on) == (False, "", None)
    assert model.retirement_announced_on == date(2026, 4, 22)


def test_a_retirement_is_announced_before_it_happens_also_over_two_calls(gpt: ModelVersion) -> None:
    save_model(slug="gpt-4", vendor=gpt.vendor, retires_on=date(2026, 10, 23), by=BY, at=AT)
    with pytest.raises(Refused) as refusal:
        save_model(slug="gpt-4", vendor=gpt.vendor, retirement_announced_on=date(2026, 10, 24), by=BY, at=AT)
    assert (refusal.value.field, refusal.value.message) == (
        "retirement_announced_on",
        "2026-10-24 is after the retirement on 2026-10-23",
    )
    assert ModelVersion.objects.get().retirement_announced_on is None


def test_an_endpoint_is_created_with_its_defaults(gpt: ModelVersion) -> None:
    row, created = endpoint(gpt)
    assert created is True
    assert (row.wire_model, row.max_concurrency, row.deadline_seconds, row.stream) == ("gpt-4", 16, 120, False)
    assert (row.requests_per_minute, row.parameters, row.options, row.region) == (None, {}, {}, "")
    assert endpoint(gpt)[1] is None


def test_null_gives_an_endpoint_its_defaults_back(gpt: ModelVersion) -> None:
    endpoint(gpt, wire_model="gpt-4-0613", max_concurrency=64, requests_per_minute=5000, parameters={"seed": 1})
    cleared = dict.fromkeys(("wire_model", "max_concurrency", "requests_per_minute", "parameters"))
    row, created = endpoint(gpt, **cleared)
    assert (created, row.wire_model, row.max_concurrency, row.requests_per_minute, row.parameters, row.version) == (
        False,
        "gpt-4",
        16,
        None,
        {},
        2,
    )


@pytest.mark.parametrize(
    ("changes", "field", "message"),
    [
        (
            {"protocol": "telepathy"},
            "protocol",
            f"unknown protocol telepathy (known: {', '.join(PROVIDERS.keys())})",
        ),
        (
            {"base_url": "https://169.254.169.254/v1"},
            "base_url",
            "169.254.169.254 is or leads to the metadata or translated address 169.254.169.254, always refused",
        ),
        (
            {"base_url": "http://api.openai.com/v1"},
            "base_url",
            "plain http is not called; list api.openai.com:80 in PILOTS_EGRESS_ALLOW to permit it",
        ),
        ({"base_url": f"{BASE_URL}?key=x"}, "base_url", "a base URL has no query and no fragment"),
        ({"max_concurrency": 0}, "max_concurrency", "must be at least 1"),
        ({"deadline_seconds": -1}, "deadline_seconds", "must be at least 1"),
        ({"parameters": {"model": "gpt-5"}}, "parameters.model", "cannot be a parameter of every request"),
    ],
)
def test_an_endpoint_that_could_not_be_called_is_refused(
    gpt: ModelVersion, changes: dict[str, Any], field: str, message: str
) -> None:
    with pytest.raises(Refused) as refusal:
        endpoint(gpt, **changes)
    assert (refusal.value.field, refusal.value.message) == (field, message)
    assert not Endpoint.objects.exists()


def test_an_endpoint_keeps_its_model(gpt: ModelVersion) -> None:
    endpoint(gpt)
    other, _ = save_model(slug="gpt-4o", vendor=gpt.vendor, by=BY, at=AT)
    with pytest.raises(Refused, match="endpoint gpt-4-prod serves gpt-4; add another endpoint for gpt-4o"):
        endpoint(other)


@pytest.mark.parametrize("base_url", ["https://evil.example/v1", "https://api.openai.com:8443/v1"])
def test_a_key_does_not_follow_its_endpoint_to_another_host(gpt: ModelVersion, base_url: str) -> None:
    endpoint(gpt, credential_env="OPENAI_API_KEY")
    with pytest.raises(Refused) as refusal:
        endpoint(gpt, base_url=base_url)
    assert (refusal.value.field, refusal.value.message) == (
        "credential_env",
        "was named for api.openai.com; name it again for another host",
    )
    with pytest.raises(Refused):
        endpoint(gpt, base_url=base_url, credential_file="/keys/other")
    assert Endpoint.objects.get().base_url == BASE_URL
    row, created = endpoint(gpt, base_url=base_url, credential_env="OPENAI_API_KEY")
    assert (created, row.base_url) == (False, base_url)


def test_another_path_on_the_same_host_needs_no_new_key(gpt: ModelVersion) -> None:
    endpoint(gpt, credential_env="OPENAI_API_KEY")
    row, created = endpoint(gpt, base_url="https://api.openai.com:443/v2")
    assert (created, row.credential_env) == (False, "OPENAI_API_KEY")


def test_a_stale_endpoint_version_is_a_conflict(gpt: ModelVersion) -> None:
    endpoint(gpt)
    endpoint(gpt, region="us", version=1)
    with pytest.raises(Conflict):
        endpoint(gpt, region="eu", version=1)
    assert Endpoint.objects.get().region == "us"


def test_a_frozen_plan_is_frozen_again_when_what_it_covers_of_an_endpoint_changes(gpt: ModelVersion) -> None:
    row, _ = endpoint(gpt, slug="gpt-4-prod")
    mai, _ = save_model(slug="mai", vendor=gpt.vendor, by=BY, at=AT)
    candidate, _ = endpoint(mai, slug="mai-prod")
    team, _ = save_team(slug="support", by=BY, at=AT)
    workload, _ = save_workload(slug="triage", team=team, by=BY, at=AT)
    for slug in ("frozen", "draft"):
        plan, _ = save_plan(
            slug=slug,
            workload=workload,
            incumbent_model=gpt,
            incumbent_endpoint=row,
            incumbent_request={},
            candidate_model=mai,
            candidate_endpoint=candidate,
            candidate_request={},
            definition=PlanDefinition(
                scorers=[ScorerEntry(name="exact")], criteria=[CriterionEntry(metric="exact", margin=Decimal("0.03"))]
            ),
            by=BY,
            at=AT,
        )
        if slug == "frozen":
            freeze_plan(plan=plan, by=BY, at=AT)
    endpoint(mai, slug="mai-prod", max_concurrency=64)
    assert PlanVersion.objects.count() == 1
    endpoint(mai, slug="mai-prod", parameters={"temperature": 0})
    versions = PlanVersion.objects.order_by("number")
    assert [(version.plan.slug, version.number) for version in versions] == [("frozen", 1), ("frozen", 2)]
    assert versions[1].document["arms"]["candidate"]["parameters"] == {"temperature": 0}
    endpoint(mai, slug="mai-prod", wire_model="mai-thinking-1-preview")
    newest = PlanVersion.objects.order_by("number").last()
    assert (newest.number, newest.document["arms"]["candidate"]["wire_model"]) == (3, "mai-thinking-1-preview")


def test_a_price_is_one_row_a_day_currency_kind_tier_and_hours(gpt: ModelVersion) -> None:
    row, created = price(gpt, input_per_mtok=Decimal("30"), output_per_mtok=Decimal("60"), source="https://x")
    assert (created, row.kind, row.input_per_mtok, row.cache_read_per_mtok) == (True, PriceKind.LIST, 30, None)
    assert price(gpt, input_per_mtok=Decimal("30.00"))[1] is None
    corrected, created = price(gpt, input_per_mtok=None)
    assert (corrected.pk, created, corrected.input_per_mtok, corrected.output_per_mtok) == (row.pk, False, None, 60)
    others: list[dict[str, Any]] = [
        *({"currency": "EUR"}, {"above_input_tokens": 200_000}, {"effective_from": date(2024, 1, 1)}),
        *({"hours": "16:30-00:30"}, {"service_tier": "flex"}),
    ]
    for other in others:
        assert price(gpt, **other)[1] is True
    assert Price.objects.count() == 6
    # The standard tier has many names, and flex is flex in capitals.
    assert price(gpt, service_tier="default", input_per_mtok=None)[1] is None
    assert price(gpt, service_tier="FLEX")[1] is None


def test_a_price_of_an_endpoint_is_a_contract_price(gpt: ModelVersion) -> None:
    prod, _ = endpoint(gpt)
    row, created = price(gpt, endpoint=prod, input_per_mtok=Decimal("0.15"))
    assert (created, row.kind, row.endpoint) == (True, PriceKind.CONTRACT, prod)


@pytest.mark.parametrize(
    ("changes", "field", "message"),
    [
        ({"input_per_mtok": Decimal("-1")}, "input_per_mtok", "must be 0 or more"),
        ({"output_per_mtok": Decimal("Infinity")}, "output_per_mtok", "must be 0 or more"),
        ({"currency": "$"}, "currency", "'$' is not a currency code of three capital letters"),
        ({"above_input_tokens": 0}, "above_input_tokens", "must be at least 1"),
        ({"audio_input_per_mtok": Decimal("-1")}, "audio_input_per_mtok", "must be 0 or more"),
        ({"hours": "night"}, "hours", "must be a part of the day in UTC, as 16:30-00:30"),
        ({"hours": "24:00-01:00"}, "hours", "must be a part of the day in UTC, as 16:30-00:30"),
        ({"hours": "01:00-01:00"}, "hours", "must be a part of the day in UTC, as 16:30-00:30"),
        ({"kind": PriceKind.CONTRACT}, "endpoint", "a contract price names its endpoint"),
        (
            {"input_per_mtok": Decimal("0.0000000000001")},
            "input_per_mtok",
            "1E-13 does not fit a number with 12 decimal places below 9.2 million",
        ),
    ],
)
def test_a_price_that_does_not_fit_is_refused(
    gpt: ModelVersion, changes: dict[str, Any], field: str, message: str
) -> None:
    with pytest.raises(Refused) as refusal:
        price(gpt, **changes)
    assert (refusal.value.field, refusal.value.message) == (field, message)
    assert not Price.objects.exists()


def test_a_contract_price_belongs_to_an_endpoint_of_its_model(gpt: ModelVersion) -> None:
    prod, _ = endpoint(gpt)
    other, _ = save_model(slug="gpt-4o", vendor=gpt.vendor, by=BY, at=AT)
    with pytest.raises(Refused, match="endpoint gpt-4-prod does not serve gpt-4o"):
        price(other, endpoint=prod)
    with pytest.raises(Refused, match="only a contract price belongs to an endpoint"):
        price(gpt, endpoint=prod, kind=PriceKind.LIST)


def test_prices_that_may_apply_to_an_arm(gpt: ModelVersion, django_assert_num_queries: Any) -> None:
    prod, _ = endpoint(gpt)
    staging, _ = endpoint(gpt, slug="gpt-4-staging")
    other, _ = save_model(slug="gpt-4o", vendor=gpt.vendor, by=BY, at=AT)
    listed = price(gpt, input_per_mtok=Decimal("30"), effective_from=date(2024, 1, 1))[0]
    third = price(gpt, kind=PriceKind.THIRD_PARTY)[0]
    contract = price(gpt, endpoint=prod, effective_from=date(2025, 1, 1))[0]
    price(gpt, endpoint=staging)
    price(gpt, currency="EUR")
    price(other)
    with django_assert_num_queries(1):
        rows = prices_for(gpt, prod, "USD")
    assert [(row.id, row.kind, row.input_per_mtok) for row in rows] == [
        (third.pk, PriceKind.THIRD_PARTY, None),
        (listed.pk, PriceKind.LIST, Decimal("30")),
        (contract.pk, PriceKind.CONTRACT, None),
    ]
    assert [row.id for row in prices_for(gpt, None, "USD")] == [third.pk, listed.pk]
