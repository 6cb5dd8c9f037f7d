"""A model that ends, with workloads on it, for tests. 1 November 2026 is the present; gpt-4 ends 60 days later."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import Any

from evaluations.models import Endpoint, ModelVersion, Plan, Price, RecordedResponse, Sample, SampleContent, Workload
from pilots.models import Pilot
from tests import factories as make

ENDS = date(2026, 12, 31)
DEFINITION: dict[str, Any] = {
    "scorers": [{"name": "exact"}],
    "criteria": [{"metric": "exact", "margin": "0.03"}],
    "minimum_samples": 350,
}


def endpoint(model: ModelVersion) -> Endpoint:
    return Endpoint.objects.create(
        slug=f"{model.slug}-prod", model=model, protocol="openai_chat", base_url="http://127.0.0.1:9/v1",
        wire_model=model.slug, region="eu",
    )  # fmt: skip


def ending_model(**fields: Any) -> ModelVersion:
    """gpt-4 at 30 and 60 dollars a million tokens, with an endpoint."""
    model = make.model("gpt-4", family="gpt", **{"retires_on": ENDS, **fields})
    Price.objects.create(
        model=model, effective_from=date(2020, 1, 1), input_per_mtok=Decimal(30), output_per_mtok=Decimal(60)
    )
    endpoint(model)
    return model


def candidate() -> Endpoint:
    """mai-thinking-1 at 2 and 8 dollars."""
    model = make.model("mai-thinking-1", "microsoft", family="mai-thinking")
    Price.objects.create(
        model=model, effective_from=date(2020, 1, 1), input_per_mtok=Decimal(2), output_per_mtok=Decimal(8)
    )
    return endpoint(model)


def running_on(model: ModelVersion, slug: str, team: str = "support") -> Workload:
    return make.workload(slug, team, runs_on=model)


def seen(workload: Workload, day: str = "2026-10-20", at: datetime = make.NOW) -> None:
    """Traffic of 1,000 tokens in and 100 out a request."""
    make.traffic(workload, day, {"gpt-4": 30}, at=at, input_tokens=30_000, output_tokens=3_000)


def planned(workload: Workload, slug: str, definition: dict[str, Any] = DEFINITION, **fields: Any) -> Pilot:
    """A pilot off gpt-4 with a plan that is a draft."""
    old, new = ModelVersion.objects.get(slug="gpt-4"), make.model("mai-thinking-1", "microsoft")
    plan = Plan.objects.create(
        slug=slug, workload=workload, incumbent_model=old, candidate_model=new, definition=definition,
        candidate_endpoint=new.endpoints.first(),
    )  # fmt: skip
    return make.pilot(slug, workload=workload, plan=plan, incumbent=old, candidate=new, **fields)


def answered(workload: Workload, n: int, of: int | None = None) -> None:
    """``of`` samples, of which ``n`` with the answer of production."""
    rows = Sample.objects.bulk_create(
        Sample(workload=workload, external_id=f"s{number}", digest=str(number)) for number in range(of or n)
    )
    SampleContent.objects.bulk_create(SampleContent(sample=row, request={"messages": []}) for row in rows)
    RecordedResponse.objects.bulk_create(
        RecordedResponse(sample=row, usage={"prompt_tokens": 500, "completion_tokens": 50}) for row in rows[:n]
    )


AT: datetime = make.NOW
