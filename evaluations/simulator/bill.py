"""The vendor's own bill: what it charges, whatever the client believes. Public surface: ``Bill``, ``ModelBill``."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class ModelBill:
    """One model's part."""

    requests: int = 0  # everything that arrived, refused requests included
    billed: int = 0  # answers charged for
    input_tokens: int = 0
    output_tokens: int = 0
    rate_limited: int = 0
    early: int = 0  # requests that came before an announced wait was over
    faults: Counter[str] = field(default_factory=Counter)
    times_billed: Counter[str] = field(default_factory=Counter)  # by request: model and body

    def charge(self, key: str, input_tokens: int, output_tokens: int) -> None:
        self.billed += 1
        self.input_tokens += input_tokens
        self.output_tokens += output_tokens
        self.times_billed[key] += 1

    def document(self) -> dict[str, Any]:
        """As JSON. ``billed_times`` tells how many distinct requests were billed once, twice, ..."""
        histogram = Counter(self.times_billed.values())
        return {
            "requests": self.requests,
            "billed": self.billed,
            "distinct": len(self.times_billed),
            "billed_times": {str(times): histogram[times] for times in sorted(histogram)},
            "input_tokens": self.input_tokens,
            "output_tokens": self.output_tokens,
            "rate_limited": self.rate_limited,
            "early": self.early,
            "faults": dict(sorted(self.faults.items())),
        }


@dataclass(slots=True)
class Bill:
    """All models together, since the start or the last reset."""

    requests: int = 0  # including those that name no model or carry no credential
    in_flight: int = 0
    in_flight_peak: int = 0
    models: dict[str, ModelBill] = field(default_factory=dict)

    def model(self, name: str) -> ModelBill:
        return self.models.setdefault(name, ModelBill())

    def document(self) -> dict[str, Any]:
        """The bill as JSON: totals, then the same by model."""
        total = ModelBill()
        for name, part in self.models.items():
            total.billed += part.billed
            total.input_tokens += part.input_tokens
            total.output_tokens += part.output_tokens
            total.rate_limited += part.rate_limited
            total.early += part.early
            total.faults.update(part.faults)
            total.times_billed.update({f"{name} {key}": times for key, times in part.times_billed.items()})
        return {
            **total.document(),
            "requests": self.requests,
            "in_flight_peak": self.in_flight_peak,
            "models": {name: part.document() for name, part in sorted(self.models.items())},
        }
