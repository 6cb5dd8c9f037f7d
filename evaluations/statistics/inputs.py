"""Checks at the door of every method: ``vector``, ``flags``, ``labels``, ``number``, ``count``, ``share`` and friends.

Each takes the name under which the value was passed, so that the refusal says what to correct, and raises
``StatisticsError``. NaN, infinities, booleans in place of numbers and text are refused, never coerced.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from evaluations.statistics.results import StatisticsError

Vector = NDArray[np.float64]
Whole = NDArray[np.int64]

# Products of four accepted values stay finite in double precision.
LARGEST = 1e50
LARGEST_COUNT = 10**15
SMALLEST_SHARE = 1e-10


def vector(name: str, values: ArrayLike, *, at_least: int = 1, infinite: bool = False) -> Vector:
    """A flat list of numbers as float64; ``infinite`` also admits +inf (a timeout)."""
    array = _array(name, values)
    if array.dtype.kind not in "iuf":
        raise StatisticsError(f"{name} must hold numbers only")
    numbers: Vector = array.astype(np.float64)
    allowed = np.abs(numbers) <= LARGEST
    if infinite:
        allowed |= np.isposinf(numbers)
    if not allowed.all():
        raise StatisticsError(f"{name} holds a value that is not a finite number of usable size")
    if len(numbers) < at_least:
        raise StatisticsError(
            f"{name} needs at least {at_least} value{'s' if at_least > 1 else ''}, got {len(numbers)}"
        )
    return numbers


def flags(name: str, values: ArrayLike) -> NDArray[np.bool_]:
    """A flat list of 0/1 or false/true."""
    array = _array(name, values, booleans=True)
    if array.dtype.kind not in "biuf" or not np.isin(array, (0, 1)).all():
        raise StatisticsError(f"{name} must hold 0 or 1 only")
    return array.astype(np.bool_)


def whole(name: str, values: ArrayLike, *, smallest: int = 0) -> Whole:
    """A flat list of integers of at least ``smallest``."""
    array = _array(name, values)
    if len(array) == 0:
        return np.zeros(0, dtype=np.int64)
    if array.dtype.kind not in "iu" or array.min() < smallest or array.max() > LARGEST_COUNT:
        raise StatisticsError(f"{name} must hold whole numbers from {smallest}")
    return array.astype(np.int64)


def square(name: str, rows: Sequence[Sequence[float]], *, integers: bool) -> Vector:
    """A square table of counts, or of non-negative numbers."""
    table = [
        (whole(name, row) if integers else vector(name, row, at_least=0)).astype(np.float64)
        for row in listed(name, rows)
    ]
    if not table or any(len(row) != len(table) for row in table):
        raise StatisticsError(f"{name} must be a square table")
    array = np.array(table)
    if (array < 0).any():
        raise StatisticsError(f"{name} must not hold negative numbers")
    return array


def labels(name: str, values: Sequence[Any]) -> tuple[NDArray[np.intp], list[Hashable]]:
    """Codes from 0 in order of first appearance, and the label behind each code. Labels are text or integers."""
    known: dict[Hashable, int] = {}
    codes = np.empty(len(listed(name, values)), dtype=np.intp)
    for position, value in enumerate(values):
        if not isinstance(value, (str, int, np.integer)) or isinstance(value, bool):
            raise StatisticsError(f"{name} must hold text or whole numbers as labels")
        codes[position] = known.setdefault(value, len(known))
    return codes, list(known)


def listed(name: str, values: Any) -> Sequence[Any]:
    """``values`` itself when it is a list, tuple or array."""
    if not isinstance(values, (list, tuple, np.ndarray)):
        raise StatisticsError(f"{name} must be a list")
    return values  # type: ignore[return-value]


def same_length(**arrays: Sequence[Any] | NDArray[Any]) -> None:
    if len({len(array) for array in arrays.values()}) > 1:
        sizes = ", ".join(f"{name} {len(array)}" for name, array in arrays.items())
        raise StatisticsError(f"lists of different length: {sizes}")


def number(name: str, value: float) -> float:
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, float, np.integer, np.floating)):
        raise StatisticsError(f"{name} must be a number")
    if not abs(value) <= LARGEST:
        raise StatisticsError(f"{name} is not a finite number of usable size")
    return float(value)


def positive(name: str, value: float) -> float:
    if number(name, value) <= 0:
        raise StatisticsError(f"{name} must be above 0")
    return float(value)


def share(name: str, value: float) -> float:
    """A number strictly between 0 and 1, and not so near either end that a quantile would leave double precision."""
    if not SMALLEST_SHARE <= number(name, value) <= 1 - SMALLEST_SHARE:
        raise StatisticsError(f"{name} must lie between 0 and 1")
    return float(value)


def limit(name: str, value: float | None) -> float | None:
    """A limit of an interval; ``None`` = unbounded on that side."""
    return None if value is None else number(name, value)


def count(name: str, value: int, *, smallest: int = 0) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
        raise StatisticsError(f"{name} must be a whole number")
    if not smallest <= value <= LARGEST_COUNT:
        raise StatisticsError(f"{name} must be a whole number from {smallest}")
    return int(value)


def flag(name: str, value: bool) -> bool:
    if not isinstance(value, bool):
        raise StatisticsError(f"{name} must be true or false")
    return value


def defined(value: float | np.floating[Any]) -> float | None:
    """A plain float, or ``None`` where the value is not a finite number."""
    return float(value) if math.isfinite(value) else None


def _array(name: str, values: ArrayLike, *, booleans: bool = False) -> NDArray[Any]:
    rows = listed(name, values)
    # numpy would quietly turn [true, 2] into [1, 2].
    if not booleans and not isinstance(rows, np.ndarray) and any(isinstance(value, bool) for value in rows):
        raise StatisticsError(f"{name} must hold numbers only")
    try:
        array = np.asarray(rows)
    except (ValueError, OverflowError):
        raise StatisticsError(f"{name} must be a flat list") from None
    if array.ndim != 1:
        raise StatisticsError(f"{name} must be a flat list")
    return array
