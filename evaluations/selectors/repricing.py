"""What a run's answers would cost at other prices; nothing is stored. Public surface: ``lines_at``, ``prices_of_arms``,
``changed_since``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from evaluations.enums import ArmRole
from evaluations.models import ReplayRun, RunArm
from evaluations.pricing import AMOUNTS, PriceRow, cost_of, price_of_day
from evaluations.providers.base import Usage
from evaluations.selectors.breakeven import ArmPrices, arm_prices
from evaluations.selectors.costs import CostLine, read_costs
from evaluations.selectors.evidence import Repriced, evidence_for
from evaluations.selectors.prices import prices_for

# Tokens that pass every tier of a price.
_MANY = 10**12


def lines_at(run: ReplayRun, rows: Mapping[ArmRole, Sequence[PriceRow]], *, on: date) -> tuple[CostLine, ...]:
    """The cost lines of the plan version with the answers of these arms at the prices in force ``on``; the other arm as
    it was called. Reads the whole evidence."""
    prices = {role: price_of_day(given, on=on) for role, given in rows.items()}
    frozen = {role: row for role, row in arm_prices(run, at=run.created_at).rows.items() if role not in rows}
    in_force = ArmPrices(run.currency, {**frozen, **{role: row for role, row in prices.items() if row is not None}})
    repriced = {role: _by_tokens(given, on) for role, given in rows.items()}
    evidence = evidence_for(run.plan_version, period=run.period, repriced=repriced)
    return read_costs(run.plan_version.document, evidence, prices=in_force).lines


def _by_tokens(rows: Sequence[PriceRow], on: date) -> Repriced:
    def price(uncached: int | None, read: int | None, written: int | None, output: int | None) -> float | None:
        usage = Usage(input_uncached=uncached, cache_read=read, cache_write=written, output_total=output)
        total = (uncached or 0) + (read or 0) + (written or 0)
        amount = cost_of(usage, price_of_day(rows, on=on, input_tokens=total))
        return None if amount is None else float(amount)

    return price


def prices_of_arms(run: ReplayRun) -> dict[ArmRole, list[PriceRow]]:
    """Every price that is on record today for each arm, whatever its day."""
    return {ArmRole(arm.role): prices_for(arm.model, arm.endpoint, run.currency) for arm in _arms(run)}


def changed_since(run: ReplayRun, prices: Mapping[ArmRole, Sequence[PriceRow]], *, on: date) -> tuple[ArmRole, ...]:
    """The arms whose price ``on`` that day is not the one that they were called at."""
    called_on = run.created_at.date()
    frozen = {ArmRole(arm.role): [PriceRow.from_json(row) for row in arm.prices] for arm in _arms(run)}
    return tuple(
        role
        for role in ArmRole
        if any(
            _amounts(price_of_day(prices.get(role, ()), on=on, input_tokens=tokens))
            != _amounts(price_of_day(frozen.get(role, ()), on=called_on, input_tokens=tokens))
            for tokens in (0, _MANY)
        )
    )


def _arms(run: ReplayRun) -> list[RunArm]:
    return list(run.arms.select_related("model", "endpoint"))


def _amounts(row: PriceRow | None) -> tuple[Any, ...]:
    """None and a row without amounts say the same: nothing is disclosed."""
    return tuple(None if row is None else getattr(row, name) for name in AMOUNTS)
