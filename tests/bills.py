"""A run's ledger against the vendor's own bill, call by call. Public surface: ``assert_the_ledger_is_the_bill``."""

from __future__ import annotations

from collections import Counter
from decimal import Decimal
from typing import Any

from evaluations.enums import AttemptState
from evaluations.models import Attempt, ReplayRun
from evaluations.simulator.server import SimulatedVendors


def assert_the_ledger_is_the_bill(run: ReplayRun, simulated: SimulatedVendors, *, most_lost: int) -> None:
    """Every billed call has a row; what is settled is what the vendor billed, to the last token and cent.

    ``run`` is one of ``tests.replays.ready_plan``, whose prices are 2 and 8 for a million tokens. ``most_lost``: calls
    that may have been in flight when somebody was killed.
    """
    run.refresh_from_db()
    attempts = Attempt.objects.filter(run=run)
    settled = attempts.filter(state=AttemptState.SETTLED)
    lost = attempts.filter(state=AttemptState.ABANDONED)
    assert (attempts.count(), attempts.filter(state=AttemptState.SENT).count()) == (run.calls, 0)
    # Intents are committed ahead of their calls, as many again as may be in flight.
    assert lost.count() <= 2 * most_lost
    money = Decimal(0)
    for model, billed in simulated.bill_by_request().items():
        rows = settled.filter(arm__model__slug=model).values_list("request_id", "raw_usage", "cost_amount")
        ours = Counter(request_id for request_id, _, _ in rows)
        usage: dict[str, dict[str, Any]] = {request_id: raw for request_id, raw, _ in rows}
        assert ours.keys() == billed.keys()
        unknown = {request_id: times - ours[request_id] for request_id, times in billed.items()}
        assert min(unknown.values()) >= 0
        assert sum(unknown.values()) <= lost.filter(arm__model__slug=model).count()
        bill = simulated.bill()["models"][model]
        for theirs, name in (("input_tokens", "prompt_tokens"), ("output_tokens", "completion_tokens")):
            of_lost = sum(times * usage[request_id][name] for request_id, times in unknown.items())
            assert sum(raw[name] for _, raw, _ in rows) == bill[theirs] - of_lost
        for _, raw, cost in rows:
            assert cost == (2 * Decimal(raw["prompt_tokens"]) + 8 * Decimal(raw["completion_tokens"])) / 1_000_000
            money += cost
    assert run.spent_amount == money
    assert run.reserved_amount == sum((row.reserved_amount for row in lost), Decimal(0))
