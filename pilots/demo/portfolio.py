"""The demo's portfolio file. Public surface: ``portfolio``, ``MAIN_PILOT``, ``RECORDED_PILOT``."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

MAIN_PILOT = "ticket-triage-to-mai"
RECORDED_PILOT = "claims-intake-to-claude"

TEAMS: tuple[tuple[str, str], ...] = (
    ("support", "Customer Support"),
    ("claims", "Claims Operations"),
    ("retail-bank", "Retail Banking"),
    ("logistics", "Logistics"),
    ("legal", "Legal"),
    ("marketing", "Marketing"),
    ("hr", "People and Hiring"),
    ("procurement", "Procurement"),
    ("field-service", "Field Service"),
    ("risk", "Risk and Fraud"),
    ("pharma-safety", "Pharma Safety"),
    ("insights", "Customer Insights"),
    ("travel", "Travel Desk"),
    ("utilities", "Utilities Desk"),
    ("publishing", "Publishing"),
    ("treasury", "Treasury"),
    ("warranty", "Warranty"),
    ("onboarding", "Onboarding"),
)

# They run on a model that ends, and nobody has begun to move them.
WITHOUT_A_PILOT: tuple[tuple[str, str, str, str], ...] = (
    ("contract-clauses", "legal", "Contract clauses", "extraction"),
    ("meeting-notes", "hr", "Meeting notes", "summarisation"),
    ("campaign-texts", "marketing", "Campaign texts", "generation"),
)

_VENDORS = {"openai": "OpenAI", "microsoft": "Microsoft", "anthropic": "Anthropic", "google": "Google"}

_SCORERS = [{"name": "json_field", "key": "category", "config": {"field": "category", "compare": "exact"}}]
_CRITERIA = [
    {"metric": "category", "role": "primary", "margin": "0.03"},
    {"metric": "cost_per_request", "role": "guardrail", "max_ratio": "1.00"},
    {"metric": "latency_p95_ms", "role": "guardrail", "max_ratio": "1.50"},
    {"metric": "failure_rate", "role": "guardrail", "margin": "0.02"},
]


def portfolio(*, anchor: date, vendor_url: str) -> dict[str, Any]:
    """The portfolio as of ``anchor`` with every endpoint at ``vendor_url``, the simulated vendors."""
    agreement = {
        "vendors": list(_VENDORS),
        "regions": ["eu", "us"],
        "purposes": ["evaluation", "judging"],
        "expires_on": anchor + timedelta(days=540),
    }
    return {
        "vendors": [{"slug": slug, "name": name} for slug, name in _VENDORS.items()],
        "models": _models(anchor),
        "prices": _prices(),
        "endpoints": _endpoints(vendor_url),
        "teams": [
            {
                "slug": slug,
                "name": name,
                "monthly_cap": {"amount": "500", "currency": "USD"},
                "members": [{"user": "demo", "role": "manager"}, {"user": "ana", "role": "manager"}],
                "data_agreement": agreement,
            }
            for slug, name in TEAMS
        ],
        "workloads": [
            {
                "slug": "ticket-triage",
                "team": "support",
                "name": "Ticket triage",
                "task_type": "classification",
                "monthly_requests": 420000,
                "runs_on": "gpt-4o",
            },
            {
                "slug": "claims-intake",
                "team": "claims",
                "name": "Claims intake",
                "task_type": "extraction",
                "monthly_requests": 96000,
                "runs_on": "gpt-4",
            },
            *(
                {"slug": slug, "team": team, "name": name, "task_type": task_type, "runs_on": "gpt-4o"}
                for slug, team, name, task_type in WITHOUT_A_PILOT
            ),
        ],
        "pilots": _pilots(anchor),
        "claims": [
            {
                "model": "mai-thinking-1",
                "words": "matches leading models on key benchmarks",
                "kind": "quality",
                "source": "https://example.com/announcements/mai-thinking-1",
                "stated_on": date(2026, 6, 2),
            },
            {
                "model": "mai-thinking-1",
                "words": "trained on clean data, without distillation",
                "kind": "provenance",
                "source": "https://example.com/announcements/mai-thinking-1",
                "stated_on": date(2026, 6, 2),
            },
        ],
    }


def _models(anchor: date) -> list[dict[str, Any]]:
    return [
        {
            "slug": "gpt-4",
            "vendor": "openai",
            "family": "gpt",
            "retirement_announced_on": date(2026, 4, 22),
            "retires_on": date(2026, 10, 23),
        },
        # Made up, so that there is a model whose end is near whenever the demo is looked at.
        {"slug": "gpt-4o", "vendor": "openai", "family": "gpt", "retires_on": anchor + timedelta(days=75)},
        {"slug": "mai-thinking-1", "vendor": "microsoft", "family": "mai-thinking"},
        {"slug": "claude-sonnet-4.5", "vendor": "anthropic", "family": "claude-sonnet"},
        {"slug": "gemini-2.5-pro", "vendor": "google", "family": "gemini-pro"},
    ]


def _prices() -> list[dict[str, Any]]:
    made = "illustrative figure of the demo"
    rows = (
        ("gpt-4", date(2023, 6, 13), "list", "30", "60"),
        ("gpt-4o", date(2024, 8, 6), "list", "2.5", "10"),
        ("mai-thinking-1", date(2026, 6, 2), "third_party", "2", "8"),
        ("claude-sonnet-4.5", date(2025, 9, 29), "list", "3", "15"),
        ("gemini-2.5-pro", date(2025, 6, 17), "list", "1.25", "10"),
    )
    return [
        {
            "model": model,
            "effective_from": start,
            "currency": "USD",
            "kind": kind,
            "input_per_mtok": input_price,
            "output_per_mtok": output_price,
            "source": made,
        }
        for model, start, kind, input_price, output_price in rows
    ]


def _endpoints(vendor_url: str) -> list[dict[str, Any]]:
    common = {"region": "eu", "credential_env": "DEMO_VENDOR_KEY", "max_concurrency": 32, "deadline_seconds": 30}
    return [
        {
            "slug": "gpt-4o-prod",
            "model": "gpt-4o",
            "protocol": "openai_chat",
            "base_url": f"{vendor_url}/v1",
            "wire_model": "gpt-4o",
            **common,
        },
        {
            "slug": "mai-foundry",
            "model": "mai-thinking-1",
            "protocol": "mai_chat",
            "base_url": vendor_url,
            "wire_model": "mai-thinking-1",
            **common,
        },
        {
            "slug": "claude-prod",
            "model": "claude-sonnet-4.5",
            "protocol": "anthropic_messages",
            "base_url": vendor_url,
            "wire_model": "claude-sonnet-4.5",
            **common,
        },
        {
            "slug": "gemini-prod",
            "model": "gemini-2.5-pro",
            "protocol": "gemini_generate",
            "base_url": vendor_url,
            "wire_model": "gemini-2.5-pro",
            **common,
        },
    ]


def _pilots(anchor: date) -> list[dict[str, Any]]:
    return [
        {
            "slug": MAIN_PILOT,
            "workload": "ticket-triage",
            "incumbent": {"endpoint": "gpt-4o-prod"},
            "candidate": {"endpoint": "mai-foundry"},
            "owner": "demo",
            "deputy": "ana",
            "motive": "cost",
            "plan": {
                "hypothesis": "MAI-Thinking-1 triages tickets at least as well as GPT-4o, at lower cost",
                "scorers": _SCORERS,
                "criteria": [*_CRITERIA, {"metric": "judge_preference", "role": "advisory", "margin": "0.05"}],
                "looks": "one_look",
                "alpha": "0.05",
                "minimum_samples": 500,
                "decide_by": anchor + timedelta(days=60),
                "budget": {"amount": "10.00", "currency": "USD"},
                "judge": {
                    "endpoint": "gemini-prod",
                    "rubric": "The better answer names the category that a senior agent would choose, as valid JSON.",
                    "budget": {"amount": "10.00", "currency": "USD"},
                },
            },
        },
        {
            "slug": RECORDED_PILOT,
            "workload": "claims-intake",
            "incumbent": {"model": "gpt-4", "recorded": True},
            "candidate": {"endpoint": "claude-prod"},
            "owner": "ana",
            "deputy": "demo",
            "motive": "retirement",
            "plan": {
                "hypothesis": "Claude Sonnet 4.5 sorts claims at least as well as the recorded answers of GPT-4",
                "scorers": _SCORERS,
                "criteria": _CRITERIA,
                "looks": "one_look",
                "alpha": "0.05",
                "minimum_samples": 300,
                "decide_by": anchor + timedelta(days=60),
                "budget": {"amount": "10.00", "currency": "USD"},
            },
        },
    ]
