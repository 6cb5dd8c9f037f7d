"""Numbers as people and models write them. Public surface: ``first_number``, ``close``, ``tolerance_of``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import MAX_EMAX, MIN_EMIN, Context, Decimal
from typing import Any

from evaluations.scorers.base import ScorerConfigError
from evaluations.scorers.text import as_text

# No traps: a number of a million digits or an overflow is a value that differs, not an error.
_CONTEXT = Context(prec=50, Emax=MAX_EMAX, Emin=MIN_EMIN, traps=[])
_NUMBER = re.compile(r"(-?(?:\d+(?:\.\d+)?|\.\d+)(?:[eE][+-]?\d{1,3}(?!\d))?)(?:/(\d+(?:\.\d+)?))?", re.ASCII)


def first_number(value: Any) -> Decimal | None:
    """The first number in a text or JSON value; ``None`` without one.

    ``$`` and ``,`` are dropped (``$1,234`` is 1234, so a decimal comma is not understood) and a plain fraction ``a/b``
    becomes its value, as in the published GSM8K scoring.
    """
    if isinstance(value, bool):
        return None
    match = _NUMBER.search(as_text(value).translate({ord("$"): None, ord(","): None}))
    if match is None:
        return None
    number = Decimal(match[1])
    below = Decimal(match[2] or 0)
    return _CONTEXT.divide(number, below) if below else number


def close(left: Decimal, right: Decimal, tolerance: Decimal = Decimal(0)) -> bool:
    """Whether two numbers differ by at most ``tolerance`` (absolute)."""
    return left == right or _CONTEXT.abs(_CONTEXT.subtract(left, right)) <= tolerance


def tolerance_of(config: Mapping[str, Any]) -> Decimal:
    """``config["tolerance"]``, 0 when absent. Raises ``ScorerConfigError``."""
    value = config.get("tolerance", 0)
    number = first_number(value) if isinstance(value, int | float | str) else None
    try:
        exact = Decimal(str(value))
    except ArithmeticError:
        exact = None
    if number is None or number != exact or number < 0:
        raise ScorerConfigError("'tolerance' must be a number of 0 or more")
    return number
