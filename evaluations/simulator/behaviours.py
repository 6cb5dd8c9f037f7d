"""How a simulated model behaves.

Public surface: ``ModelBehaviour``, ``PRESETS``, ``FAULTS``, ``ERRORS``, ``UNBILLED_FAULTS``, ``TokenBucket``,
``decide``.

Everything but the rate limit is a function of the seed, the model, the conversation and the attempt number.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from statistics import NormalDist
from typing import Any

from evaluations.simulator.answers import draw
from evaluations.simulator.dialects.base import FailureKind, words

# What can go wrong, by name. The first group are errors, never billed; the second are answers, always billed; the third
# breaks the transport: billed unless the connection is reset before the answer.
ERRORS: Mapping[str, FailureKind] = {
    "rate_limit": "rate_limited",
    "quota": "quota_exhausted",
    "server_error": "server_error",
    "unavailable": "unavailable",
    "overloaded": "overloaded",
    "auth": "auth",
    "forbidden": "forbidden",
    "model_gone": "model_not_found",
    "context_length": "context_length",
    "bad_request": "bad_request",
}
ANSWER_FAULTS = words(
    "refusal length content_filter blocked_prompt empty odd_text other_model cached_above_input "
    "usage_missing usage_zero usage_negative usage_text usage_huge negative_rate_headers"
)
TRANSPORT_FAULTS = words(
    "reset hang drip cut_body stream_cut html_page error_in_200 broken_json invalid_utf8 huge_body gzip_bomb redirect "
    "bad_gateway"
)
FAULTS = frozenset(ERRORS) | ANSWER_FAULTS | TRANSPORT_FAULTS
UNBILLED_FAULTS = frozenset({"reset", "redirect", "bad_gateway"})  # of the transport


@dataclass(frozen=True, slots=True)
class ModelBehaviour:
    """One simulated model. The defaults are a perfect model that answers at once."""

    latency_ms: float = 0.0  # median
    latency_sigma: float = 0.0  # of the lognormal distribution; 0 = always the median
    accuracy: float = 1.0  # share of the answer key's prompts that are answered right
    drift_per_1000_calls: float = 0.0  # accuracy lost by every 1,000 billed calls
    drift_per_day: float = 0.0  # accuracy lost by every day since ``drift_from``
    drift_from: date | None = None
    faults: Mapping[str, float] = field(default_factory=dict)  # name in FAULTS: share of calls
    script: tuple[str, ...] = ()  # the first calls in order: a name in FAULTS or "ok"; after them ``faults`` applies
    requests_per_minute: float | None = None  # None = unlimited
    burst: int = 1  # requests let through at once when the budget is full
    states_limit: bool = True  # rate-limit headers, where the dialect has them; False: only a 429 tells
    retry_after: str = "auto"  # "auto" = the true wait in seconds, "none" = not sent, anything else is sent as written
    reasoning_tokens: int = 0  # added to every answer's output
    cached_input_share: float = 0.0  # part of the input served from the vendor's cache
    served_model: str | None = None  # the name in answers; None = the name asked for
    shutdown_on: date | None = None  # as told by GET /v1/models
    judge: str | None = None  # how it judges when a plan's judge is asked; a name in judges.JUDGES. None: it does not


PRESETS: Mapping[str, Mapping[str, Any]] = {
    "steady": {"latency_ms": 40, "latency_sigma": 0.3, "accuracy": 0.95},
    "slow": {"latency_ms": 3000, "latency_sigma": 0.5, "accuracy": 0.95},
    "flaky": {
        "latency_ms": 40,
        "latency_sigma": 0.3,
        "accuracy": 0.95,
        "faults": {"server_error": 0.03, "unavailable": 0.02, "reset": 0.02},
    },
    "rate_limited": {"latency_ms": 40, "accuracy": 0.95, "requests_per_minute": 300, "burst": 5},
    "refusing": {"latency_ms": 40, "accuracy": 0.95, "faults": {"refusal": 0.2}},
    "truncated": {"latency_ms": 40, "accuracy": 0.95, "faults": {"length": 0.2}},
    "drifting": {"latency_ms": 40, "accuracy": 0.95, "drift_per_1000_calls": 0.1},
}


@dataclass(slots=True)
class TokenBucket:
    """A request budget that refills steadily. Times are monotonic seconds."""

    per_second: float
    burst: int
    level: float
    at: float  # when ``level`` was right

    def take(self, now: float) -> float:
        """0 when the request may pass, else the seconds until one may."""
        self.level = min(self.burst, self.level + (now - self.at) * self.per_second)
        self.at = now
        if self.level >= 1:
            self.level -= 1
            return 0.0
        return (1 - self.level) / self.per_second


@dataclass(frozen=True, slots=True)
class Decision:
    """What happens to one call."""

    fault: str | None  # a name in FAULTS
    latency_ms: float
    accuracy: float
    luck: float  # 0 to 1; the answer is right below ``accuracy``, so that a drifting model loses answers for good


def decide(
    behaviour: ModelBehaviour, *, seed: int, key: str, attempt: int, arrived: int, billed: int, today: date
) -> Decision:
    """Decide one call.

    ``key`` is the conversation's key, ``attempt`` how often it came before, ``arrived`` and ``billed`` how many
    calls the model has seen and billed so far.
    """
    luck = draw(seed, key, "answer")
    days = (today - behaviour.drift_from).days if behaviour.drift_from else 0
    lost = behaviour.drift_per_1000_calls * billed / 1000 + behaviour.drift_per_day * max(0, days)
    return Decision(
        fault=_fault(behaviour, draw(seed, key, attempt, "fault"), arrived),
        latency_ms=_latency_ms(behaviour, draw(seed, key, attempt, "latency")),
        accuracy=max(0.0, behaviour.accuracy - lost),
        luck=luck,
    )


def _fault(behaviour: ModelBehaviour, chance: float, arrived: int) -> str | None:
    if arrived < len(behaviour.script):
        name = behaviour.script[arrived]
        return None if name == "ok" else name
    for name, rate in behaviour.faults.items():
        if chance < rate:
            return name
        chance -= rate
    return None


def _latency_ms(behaviour: ModelBehaviour, chance: float) -> float:
    if not behaviour.latency_sigma:
        return behaviour.latency_ms
    deviation = NormalDist().inv_cdf(min(max(chance, 1e-6), 1 - 1e-6))
    return behaviour.latency_ms * math.exp(behaviour.latency_sigma * deviation)
