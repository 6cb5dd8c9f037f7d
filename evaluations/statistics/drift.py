"""Has something changed since the baseline: ``cusum``."""

from __future__ import annotations

from numpy.typing import ArrayLike

from evaluations.statistics.inputs import number, positive, vector
from evaluations.statistics.results import Cusum, StatisticsError


def cusum(values: ArrayLike, *, target: float, sd: float, k: float = 0.5, h: float = 10) -> Cusum:
    """Tabular two-sided CUSUM (Page 1954; Montgomery, section 9.1) of values standardised by target and sd.

    C+ = max(0, C+ + z - k), C- = max(0, C- - z - k), in standard deviations; a signal is the first value (1-based) at
    which either is above h. The sums go on after it. The default h of 10 holds false alarms at 5% in 90 nights with a
    baseline of 30 nights, where the textbook's 5 gives over 40%.
    """
    target, sd, h = number("target", target), positive("sd", sd), positive("h", h)
    if number("k", k) < 0:
        raise StatisticsError("k must not be negative")
    plus = minus = 0.0
    c_plus: list[float] = []
    c_minus: list[float] = []
    first_signal = None
    for position, z in enumerate(((vector("values", values) - target) / sd).tolist(), start=1):
        plus, minus = max(0.0, plus + z - k), max(0.0, minus - z - k)
        c_plus.append(plus)
        c_minus.append(minus)
        if first_signal is None and max(plus, minus) > h:
            first_signal = position
    return Cusum(first_signal=first_signal, c_plus=tuple(c_plus), c_minus=tuple(c_minus))
