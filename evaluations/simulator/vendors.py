"""The vendors without their HTTP: who is let in and what is answered. Public surface: ``Vendors``, ``Admission``."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import date
from math import ceil

from evaluations.simulator.answers import conversation_key
from evaluations.simulator.behaviours import ERRORS, Decision, ModelBehaviour, TokenBucket, decide
from evaluations.simulator.bill import Bill
from evaluations.simulator.config import SimulatorConfig
from evaluations.simulator.dialects.base import Call, Failure, RateLimit, Reply
from evaluations.simulator.model import reply_to


@dataclass(frozen=True, slots=True)
class Admission:
    """What happens to one call: after ``latency_ms`` it ends in ``outcome``, spoiled on the wire by ``fault``."""

    outcome: Reply | Failure
    fault: str | None = None  # a name in behaviours.FAULTS
    latency_ms: float = 0.0
    limit: RateLimit | None = None  # for the headers of vendors that tell


class Vendors:
    """Every simulated model and what it remembers between calls."""

    def __init__(self, config: SimulatorConfig) -> None:
        self.config = config
        self.reset()

    def reset(self) -> None:
        """Forget everything: bill, attempts, rate limits."""
        self.bill = Bill()
        self._attempts: Counter[str] = Counter()
        self._buckets: dict[str, TokenBucket] = {}
        self._closed_until: dict[str, float] = {}

    def admit(self, call: Call, *, tells_wait: bool, now: float, today: date) -> Admission:
        """Decide one call that arrives ``now`` (monotonic s). ``tells_wait``: the dialect can say when to come back."""
        behaviour = self.config.behaviour(call.model)
        if behaviour is None:
            if call.model not in self.config.recordings.models:
                return Admission(Failure("model_not_found"))
            behaviour = ModelBehaviour()
        bill = self.bill.model(call.model)
        decision = self._decide(call, behaviour, arrived=bill.requests, billed=bill.billed, today=today)
        bill.requests += 1
        bill.early += now < self._closed_until.get(call.model, 0.0)
        limit, wait_seconds = self._rate(call.model, behaviour, now)
        fault = "rate_limit" if wait_seconds else decision.fault
        if fault is not None:
            bill.faults[fault] += 1
        if fault == "rate_limit":
            return Admission(self._rate_limited(call.model, behaviour, wait_seconds or 1.0, tells_wait, now), fault)
        if fault is not None and fault in ERRORS:
            return Admission(Failure(ERRORS[fault]), fault, decision.latency_ms)
        if fault == "negative_rate_headers":
            limit = RateLimit(limit=0, remaining=-1, reset_seconds=0.0)
        return Admission(reply_to(call, self.config, behaviour, decision), fault, decision.latency_ms, limit)

    def _decide(self, call: Call, behaviour: ModelBehaviour, *, arrived: int, billed: int, today: date) -> Decision:
        key = conversation_key(call.model, call.conversation)
        attempt = self._attempts[key]
        self._attempts[key] += 1
        return decide(
            behaviour, seed=self.config.seed, key=key, attempt=attempt, arrived=arrived, billed=billed, today=today
        )

    def _rate(self, model: str, behaviour: ModelBehaviour, now: float) -> tuple[RateLimit | None, float]:
        if behaviour.requests_per_minute is None:
            return None, 0.0
        burst = max(1, behaviour.burst)
        bucket = self._buckets.setdefault(model, TokenBucket(behaviour.requests_per_minute / 60, burst, burst, now))
        wait_seconds = bucket.take(now)
        if not behaviour.states_limit:
            return None, wait_seconds
        full_in = (burst - bucket.level) / bucket.per_second
        return RateLimit(round(behaviour.requests_per_minute), int(bucket.level), full_in), wait_seconds

    def _rate_limited(
        self, model: str, behaviour: ModelBehaviour, wait_seconds: float, tells_wait: bool, now: float
    ) -> Failure:
        self.bill.model(model).rate_limited += 1
        told = behaviour.retry_after
        if told == "none" or not tells_wait:
            return Failure("rate_limited")
        if told == "auto":
            told = str(ceil(wait_seconds))
        if told.isdigit():
            self._closed_until[model] = max(self._closed_until.get(model, 0.0), now + int(told))
        return Failure("rate_limited", retry_after=told)
