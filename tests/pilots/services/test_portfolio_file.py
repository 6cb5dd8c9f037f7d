from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.apps import apps
from django.contrib.auth import get_user_model

from evaluations.enums import AuditSource, PriceKind, Purpose, TeamRole
from evaluations.models import (
    AuditEvent,
    DataAgreement,
    Endpoint,
    Membership,
    ModelVersion,
    Plan,
    PlanVersion,
    Price,
    Team,
    Vendor,
    Workload,
)
from evaluations.services import audit
from evaluations.services.errors import Refused
from pilots.enums import ClaimKind, EventKind, Motive, PilotStatus
from pilots.models import Claim, Pilot, PilotEvent, Schedule
from pilots.services.planning import freeze_pilot_plan
from pilots.services.portfolio_file import ApplyReport, apply_portfolio

pytestmark = pytest.mark.django_db

BY = audit.Actor(name="ana", source=AuditSource.COMMAND)
AT = datetime(2026, 6, 10, 12, tzinfo=UTC)

# The public interface's own example, with the endpoint of the candidate that it refers to.
EXAMPLE = """\
vendors:   [{slug: openai, name: OpenAI}, {slug: microsoft, name: Microsoft}]
models:
  - {slug: gpt-4, vendor: openai, family: gpt, retirement_announced_on: 2026-04-22, retires_on: 2026-10-23}
  - {slug: mai-thinking-1, vendor: microsoft, family: mai-thinking}
prices:                                   # omit a number, or the whole row, when undisclosed; endpoint: only for a contract price
  - {model: gpt-4, effective_from: 2023-06-13, currency: USD, kind: list, input_per_mtok: "30", output_per_mtok: "60", cache_read_per_mtok: null, cache_write_per_mtok: null, above_input_tokens: null, source: "https://..."}
endpoints:                                # base_url: OpenAI style ends in /v1; Anthropic, Gemini, MAI: the host (paths are added)
  - {slug: gpt-4-prod, model: gpt-4, protocol: openai_chat, base_url: "https://api.openai.com/v1", wire_model: gpt-4-0613, region: us, credential_env: OPENAI_API_KEY, credential_file: null,
     max_concurrency: 64, requests_per_minute: 5000, tokens_per_minute: null, deadline_seconds: 120, stream: false, parameters: {}, options: {}}
  - {slug: mai-prod, model: mai-thinking-1, protocol: mai_chat, base_url: "https://mai.example.com"}
teams:     [{slug: support, name: Customer Support, monthly_cap: {amount: "500", currency: USD}, members: [{user: ana, role: manager}], data_agreement: {vendors: [openai, microsoft], regions: [us, eu], purposes: [evaluation, judging], expires_on: 2027-12-31}}]
workloads: [{slug: ticket-triage, team: support, name: Ticket triage, task_type: classification, monthly_requests: 420000, runs_on: gpt-4}]
pilots:
  - slug: triage-to-mai
    workload: ticket-triage
    incumbent: {endpoint: gpt-4-prod}     # or {model: gpt-4, recorded: true}; may carry request: {system_prefix, parameters}
    candidate: {endpoint: mai-prod, request: {parameters: {max_completion_tokens: 2000}}}   # hashed, shown as "adapted"
    owner: ana                             # unknown users are created without a usable password
    deputy: ben
    motive: quality                        # quality cost speed risk contract retirement
    plan:
      hypothesis: "MAI answers triage at least as well at lower cost"
      scorers: [{key: exact, name: exact, config: {normalise: true}}]
      criteria:
        - {metric: exact, role: primary, margin: "0.03"}
        - {metric: cost_per_request, role: guardrail, max_ratio: "0.90"}
        - {metric: latency_p95_ms, role: guardrail, max_ratio: "1.25"}
        - {metric: failure_rate, role: guardrail, margin: "0.03"}
      looks: every_night                  # one_look | every_night | planned_horizon
      alpha: "0.05"
      minimum_samples: 350
      maximum_samples: 1500
      decide_by: 2026-09-30
      budget: {amount: "25.00", currency: USD}
    schedule: {cron: "0 2 * * *", timezone: Europe/Berlin, take: 100}
claims:
  - {model: mai-thinking-1, words: "matches leading models on key benchmarks", kind: quality, source: "https://...", stated_on: 2026-06-02}
"""  # noqa: E501
ENTITIES = 11


def apply(folder: Path, text: str, name: str = "portfolio.yaml", dry_run: bool = False) -> ApplyReport:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return apply_portfolio(path=path, by=BY, at=AT, dry_run=dry_run)


def refusal(folder: Path, text: str, name: str = "portfolio.yaml") -> str:
    with pytest.raises(Refused) as refused:
        apply(folder, text, name)
    assert "\n" not in refused.value.message
    assert refused.value.field == ""
    return refused.value.message


def changed(**sections: Any) -> str:
    """The example with the first entry of each section changed."""
    document = yaml.safe_load(EXAMPLE)
    for section, change in sections.items():
        document[section][0].update(change)
    return yaml.safe_dump(document)


def rows() -> int:
    labels = ("evaluations", "pilots", "auth")
    return sum(model.objects.count() for label in labels for model in apps.get_app_config(label).get_models())


def test_every_field_of_the_example_is_stored(tmp_path: Path) -> None:
    assert apply(tmp_path, EXAMPLE) == ApplyReport(created=ENTITIES, updated=0, unchanged=0)

    assert list(Vendor.objects.values_list("slug", "name")) == [("microsoft", "Microsoft"), ("openai", "OpenAI")]
    gpt, mai = ModelVersion.objects.order_by("slug")
    assert (gpt.vendor.slug, gpt.family, gpt.retirement_announced_on, gpt.retires_on) == (
        "openai",
        "gpt",
        date(2026, 4, 22),
        date(2026, 10, 23),
    )
    assert (mai.slug, mai.vendor.slug, mai.family, mai.retires_on) == (
        "mai-thinking-1",
        "microsoft",
        "mai-thinking",
        None,
    )

    price = Price.objects.get()
    assert (price.model, price.endpoint, price.effective_from, price.currency, price.kind) == (
        gpt,
        None,
        date(2023, 6, 13),
        "USD",
        PriceKind.LIST,
    )
    assert (price.input_per_mtok, price.output_per_mtok, price.source) == (30, 60, "https://...")
    assert (price.cache_read_per_mtok, price.cache_write_per_mtok, price.above_input_tokens) == (None, None, None)

    prod = Endpoint.objects.get(slug="gpt-4-prod")
    assert (prod.model, prod.protocol, prod.base_url) == (gpt, "openai_chat", "https://api.openai.com/v1")
    assert (prod.wire_model, prod.region, prod.credential_env, prod.credential_file) == (
        "gpt-4-0613",
        "us",
        "OPENAI_API_KEY",
        "",
    )
    assert (prod.max_concurrency, prod.requests_per_minute, prod.tokens_per_minute, prod.deadline_seconds) == (
        64,
        5000,
        None,
        120,
    )
    assert (prod.stream, prod.parameters, prod.options) == (False, {}, {})

    team = Team.objects.get()
    assert (team.slug, team.name, team.monthly_cap_amount, team.monthly_cap_currency) == (
        "support",
        "Customer Support",
        500,
        "USD",
    )
    member = Membership.objects.get()
    assert (member.team, member.user.get_username(), member.role) == (team, "ana", TeamRole.MANAGER)
    agreement = DataAgreement.objects.get()
    assert (agreement.team, agreement.vendors, agreement.regions) == (team, ["openai", "microsoft"], ["us", "eu"])
    assert (agreement.purposes, agreement.expires_on) == ([Purpose.EVALUATION, Purpose.JUDGING], date(2027, 12, 31))

    workload = Workload.objects.get()
    assert (workload.slug, workload.team, workload.name, workload.task_type) == (
        "ticket-triage",
        team,
        "Ticket triage",
        "classification",
    )
    assert (workload.monthly_requests, workload.runs_on) == (420000, gpt)

    pilot = Pilot.objects.get()
    assert (pilot.slug, pilot.workload, pilot.incumbent, pilot.candidate) == ("triage-to-mai", workload, gpt, mai)
    assert pilot.owner is not None
    assert pilot.deputy is not None
    assert (pilot.owner.get_username(), pilot.deputy.get_username(), pilot.motive, pilot.status) == (
        "ana",
        "ben",
        Motive.QUALITY,
        PilotStatus.DRAFT,
    )
    assert not any(user.has_usable_password() for user in get_user_model().objects.all())
    event = PilotEvent.objects.get()
    assert (event.kind, event.occurred_at, event.actor) == (EventKind.OPENED, AT, "ana")

    plan = Plan.objects.get()
    assert (pilot.plan, plan.slug, plan.workload) == (plan, "triage-to-mai", workload)
    assert (plan.incumbent_endpoint, plan.incumbent_request) == (prod, {})
    assert plan.candidate_endpoint is not None
    assert (plan.candidate_endpoint.slug, plan.candidate_request) == (
        "mai-prod",
        {"parameters": {"max_completion_tokens": 2000}},
    )
    assert (plan.budget_amount, plan.budget_currency) == (25, "USD")
    assert plan.definition == {
        "hypothesis": "MAI answers triage at least as well at lower cost",
        "scorers": [{"key": "exact", "name": "exact", "config": {"normalise": True}}],
        "criteria": [
            {"metric": "exact", "margin": "0.03"},
            {"metric": "cost_per_request", "role": "guardrail", "max_ratio": "0.9"},
            {"metric": "latency_p95_ms", "role": "guardrail", "max_ratio": "1.25"},
            {"metric": "failure_rate", "role": "guardrail", "margin": "0.03"},
        ],
        "looks": "every_night",
        "alpha": "0.05",
        "minimum_samples": 350,
        "maximum_samples": 1500,
        "decide_by": "2026-09-30",
        "budget": {"amount": "25", "currency": "USD"},
    }
    assert not PlanVersion.objects.exists()

    schedule = Schedule.objects.get()
    assert (schedule.pilot, schedule.cron, schedule.timezone, schedule.take, schedule.enabled) == (
        pilot,
        "0 2 * * *",
        "Europe/Berlin",
        100,
        True,
    )
    claim = Claim.objects.get()
    assert (claim.model, claim.words, claim.kind, claim.source, claim.stated_on) == (
        mai,
        "matches leading models on key benchmarks",
        ClaimKind.QUALITY,
        "https://...",
        date(2026, 6, 2),
    )
    assert audit.verify() is None


def test_a_second_application_changes_nothing_and_is_not_audited(tmp_path: Path) -> None:
    apply(tmp_path, EXAMPLE)
    before = rows()
    assert apply(tmp_path, EXAMPLE) == ApplyReport(created=0, updated=0, unchanged=ENTITIES)
    assert rows() == before


def test_the_same_portfolio_as_json_is_the_same(tmp_path: Path) -> None:
    import json

    apply(tmp_path, EXAMPLE)
    text = json.dumps(yaml.safe_load(EXAMPLE), default=str, indent="\t")
    assert apply(tmp_path, text, "portfolio.json") == ApplyReport(created=0, updated=0, unchanged=ENTITIES)


def test_a_dry_run_counts_and_stores_nothing(tmp_path: Path) -> None:
    before = rows()
    assert apply(tmp_path, EXAMPLE, dry_run=True) == ApplyReport(created=ENTITIES, updated=0, unchanged=0)
    assert rows() == before


@pytest.mark.parametrize(
    "change",
    [
        {"vendors": {"name": "Open AI"}},
        {"models": {"retires_on": date(2026, 11, 23)}},
        {"prices": {"input_per_mtok": "25"}},
        {"endpoints": {"max_concurrency": 32}},
        {"teams": {"monthly_cap": None}},
        {"teams": {"members": [{"user": "ana", "role": "admin"}]}},
        {"teams": {"members": [{"user": "eve"}]}},
        {"teams": {"data_agreement": {"vendors": ["openai"], "regions": ["us"], "purposes": ["evaluation"]}}},
        {"teams": {"data_agreement": None}},
        {"workloads": {"runs_on": "mai-thinking-1"}},
        {"pilots": {"owner": "ben"}},
        {"pilots": {"motive": None}},
        {"pilots": {"plan": {"hypothesis": "another"}}},
        {"pilots": {"incumbent": {"model": "gpt-4", "recorded": True}}},
        {"pilots": {"schedule": {"cron": "0 3 * * *"}}},
        {"pilots": {"schedule": None}},
        {"claims": {"kind": "cost"}},
    ],
)
def test_one_change_updates_one_entity_once(tmp_path: Path, change: dict[str, Any]) -> None:
    apply(tmp_path, EXAMPLE)
    assert apply(tmp_path, changed(**change)) == ApplyReport(created=0, updated=1, unchanged=ENTITIES - 1)
    assert apply(tmp_path, changed(**change)) == ApplyReport(created=0, updated=0, unchanged=ENTITIES)


def test_an_absent_key_leaves_what_is_stored_and_null_clears_it(tmp_path: Path) -> None:
    apply(tmp_path, EXAMPLE)
    short = """
        workloads: [{slug: ticket-triage, team: support, monthly_requests: null}]
        pilots: [{slug: triage-to-mai, workload: ticket-triage, deputy: null, incumbent: {endpoint: gpt-4-prod},
                  candidate: {endpoint: mai-prod, request: {parameters: {max_completion_tokens: 2000}}}}]
    """
    assert apply(tmp_path, short) == ApplyReport(created=0, updated=2, unchanged=0)
    workload = Workload.objects.get()
    assert (workload.name, workload.monthly_requests) == ("Ticket triage", None)
    pilot = Pilot.objects.get()
    assert pilot.owner is not None
    assert (pilot.owner.get_username(), pilot.deputy, pilot.motive) == ("ana", None, Motive.QUALITY)
    assert Plan.objects.get().definition["minimum_samples"] == 350
    assert Schedule.objects.get().enabled is True


def test_null_ends_the_agreement_and_the_schedule(tmp_path: Path) -> None:
    apply(tmp_path, EXAMPLE)
    apply(tmp_path, changed(teams={"data_agreement": None}, pilots={"schedule": None}))
    assert DataAgreement.objects.get().ended_at == AT
    assert Schedule.objects.get().enabled is False
    assert apply(tmp_path, EXAMPLE) == ApplyReport(created=0, updated=2, unchanged=ENTITIES - 2)
    assert DataAgreement.objects.filter(ended_at=None).count() == 1
    assert Schedule.objects.get().enabled is True


def test_a_changed_plan_that_was_frozen_is_the_next_version_and_in_the_history(tmp_path: Path) -> None:
    apply(tmp_path, EXAMPLE)
    first = freeze_pilot_plan(pilot=Pilot.objects.get(), by=BY, at=AT)
    plan = yaml.safe_load(EXAMPLE)["pilots"][0]["plan"]
    apply(tmp_path, changed(pilots={"plan": {**plan, "minimum_samples": 400}}))
    versions = PlanVersion.objects.order_by("number")
    assert [version.document["minimum_samples"] for version in versions] == [350, 400]
    assert versions[0].digest == first.digest
    planned = PilotEvent.objects.filter(kind=EventKind.PLANNED).order_by("seq")
    assert [event.data["plan_version"] for event in planned] == [1, 2]
    # The budget is not what the digest covers.
    apply(tmp_path, changed(pilots={"plan": {**plan, "minimum_samples": 400, "budget": {"amount": "1"}}}))
    assert (PlanVersion.objects.count(), Plan.objects.get().budget_amount) == (2, 1)


def test_one_bad_entry_at_the_end_leaves_nothing_of_the_file(tmp_path: Path) -> None:
    before = rows()
    message = refusal(tmp_path, changed(claims={"model": "gpt-5"}))
    assert message == "portfolio.yaml: claims[0].model: unknown model gpt-5"
    assert rows() == before


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"models": {"vendor": "acme"}}, "models[0].vendor: unknown vendor acme"),
        ({"prices": {"model": "gpt-5"}}, "prices[0].model: unknown model gpt-5"),
        ({"prices": {"endpoint": "x"}}, "prices[0].endpoint: unknown endpoint x"),
        ({"prices": {"input_per_mtok": "-1"}}, "prices[0].input_per_mtok: must be 0 or more"),
        ({"prices": {"input_per_mtok": "NaN"}}, "prices[0].input_per_mtok: is not a finite number"),
        ({"endpoints": {"model": "gpt-5"}}, "endpoints[0].model: unknown model gpt-5"),
        (
            {"endpoints": {"base_url": "http://x.example/v1"}},
            "endpoints[0].base_url: plain http is not called; list x.example:80 in PILOTS_EGRESS_ALLOW to permit it",
        ),
        ({"teams": {"slug": "a b"}}, "teams[0].slug: "),
        (
            {"teams": {"data_agreement": {"vendors": ["acme"], "regions": [], "purposes": []}}},
            "teams[0].data_agreement.vendors[0]: unknown vendor acme",
        ),
        (
            {"teams": {"members": [{"user": "ana", "role": "boss"}]}},
            "teams[0].members[0].role: 'boss' is not one of viewer, reviewer, manager, admin",
        ),
        (
            {"teams": {"members": [{"user": "ana"}, {"user": "ana"}]}},
            "teams[0].members[1]: is the same as teams[0].members[0]",
        ),
        ({"workloads": {"team": "sales"}}, "workloads[0].team: unknown team sales"),
        ({"workloads": {"runs_on": "gpt-5"}}, "workloads[0].runs_on: unknown model gpt-5"),
        ({"pilots": {"workload": "x"}}, "pilots[0].workload: unknown workload x"),
        ({"pilots": {"candidate": {"endpoint": "x"}}}, "pilots[0].candidate.endpoint: unknown endpoint x"),
        (
            {"pilots": {"incumbent": {"model": "gpt-4"}}},
            "pilots[0].incumbent: names an endpoint, or a model with recorded: true",
        ),
        (
            {"pilots": {"incumbent": {"endpoint": "gpt-4-prod", "recorded": True}}},
            "pilots[0].incumbent: names an endpoint, or a model with recorded: true, not both",
        ),
        (
            {"pilots": {"incumbent": {"endpoint": "gpt-4-prod", "request": {"parameters": {"model": "x"}}}}},
            "pilots[0].incumbent.request.parameters.model: 'model' cannot be adapted",
        ),
        (
            {"pilots": {"plan": {"criteria": [{"metric": "failure_rate"}]}}},
            "pilots[0].plan.criteria[0].margin: failure_rate needs margin",
        ),
        (
            {"pilots": {"plan": {"criteria": [{"metric": "failure_rate", "margin": "NaN"}]}}},
            "pilots[0].plan.criteria[0].margin: is not a finite number",
        ),
        (
            {"pilots": {"plan": {"look": "one_look"}}},
            (
                "pilots[0].plan.look: is not a known key (known: hypothesis, scorers, criteria, looks, alpha, "
                "minimum_samples, maximum_samples, decide_by, planned_looks, budget, judge)"
            ),
        ),
        (
            {"pilots": {"schedule": {"cron": "61 * * * *"}}},
            "pilots[0].schedule.cron: '61 * * * *' is not a cron line (Bad minute)",
        ),
        (
            {"pilots": {"schedule": {"cron": "* * * * * *"}}},
            (
                "pilots[0].schedule.cron: '* * * * * *' is not a cron line "
                "(five fields are needed: minute, hour, day, month, weekday)"
            ),
        ),
        (
            {"pilots": {"schedule": {"cron": "0 2 * * *", "timezone": "Berlin"}}},
            "pilots[0].schedule.timezone: 'Berlin' is not a time zone like Europe/Berlin",
        ),
        ({"pilots": {"schedule": {"cron": "0 2 * * *", "take": 0}}}, "pilots[0].schedule.take: must be at least 1"),
        ({"claims": {"stated_on": date(2026, 6, 11)}}, "claims[0].stated_on: lies in the future"),
        ({"claims": {"words": " "}}, "claims[0].words: a claim needs its exact words"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    before = rows()
    said = refusal(tmp_path, changed(**change))
    if message.endswith(": "):  # the rest is Django's
        said = said[: len(f"portfolio.yaml: {message}")]
    assert said == f"portfolio.yaml: {message}"
    assert rows() == before


def test_a_pilot_is_one_switch_for_ever(tmp_path: Path) -> None:
    apply(tmp_path, EXAMPLE)
    other = changed(pilots={"incumbent": {"model": "mai-thinking-1", "recorded": True}})
    assert refusal(tmp_path, other) == (
        "portfolio.yaml: pilots[0].incumbent: the pilot's incumbent is gpt-4; for mai-thinking-1 open another pilot"
    )


def test_a_refusal_does_not_touch_what_was_applied_before(tmp_path: Path) -> None:
    apply(tmp_path, EXAMPLE)
    events = AuditEvent.objects.count()
    refusal(tmp_path, changed(vendors={"name": "Other"}, claims={"model": "gpt-5"}))
    assert Vendor.objects.get(slug="openai").name == "OpenAI"
    assert AuditEvent.objects.count() == events


def test_a_claim_is_found_again_without_its_day(tmp_path: Path) -> None:
    apply(tmp_path, EXAMPLE)
    words = "{model: mai-thinking-1, words: matches leading models on key benchmarks}"
    assert apply(tmp_path, f"claims: [{words}]") == ApplyReport(created=0, updated=0, unchanged=1)
    fresh = "claims: [{model: gpt-4, words: trained on clean data, kind: provenance}]"
    assert apply(tmp_path, fresh) == ApplyReport(created=1, updated=0, unchanged=0)
    assert Claim.objects.get(model__slug="gpt-4").stated_on == AT.date()
    assert apply(tmp_path, fresh) == ApplyReport(created=0, updated=0, unchanged=1)


def test_prices_keep_their_digits(tmp_path: Path) -> None:
    apply(tmp_path, EXAMPLE)
    apply(tmp_path, "prices: [{model: gpt-4, effective_from: 2024-01-01, input_per_mtok: 0.15, output_per_mtok: 3}]")
    price = Price.objects.get(effective_from=date(2024, 1, 1))
    assert (price.input_per_mtok, price.output_per_mtok) == (Decimal("0.15"), Decimal("3"))


def test_a_price_says_for_which_hours_and_which_tokens_it_is(tmp_path: Path) -> None:
    apply(tmp_path, EXAMPLE)
    entry = """
        prices:
          - {model: gpt-4, effective_from: 2024-01-01, input_per_mtok: 2, output_per_mtok: 4, hours: "16:30-00:30",
             service_tier: flex, audio_input_per_mtok: 30, audio_cache_read_per_mtok: 3, audio_output_per_mtok: 60,
             image_output_per_mtok: 40}
    """
    assert apply(tmp_path, entry).created == 1
    assert apply(tmp_path, entry).unchanged == 1
    price = Price.objects.get(effective_from=date(2024, 1, 1))
    assert (price.hours, price.service_tier) == ("16:30-00:30", "flex")
    assert (price.audio_input_per_mtok, price.audio_cache_read_per_mtok) == (30, 3)
    assert (price.audio_output_per_mtok, price.image_output_per_mtok) == (60, 40)
