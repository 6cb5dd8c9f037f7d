"""Geometry of the drawings, in user units of their viewBox; templates only write it down.

Public surface: ``interval_bar``, ``survival_chart``, ``traffic_chart``, ``trend_chart``, ``months_chart``,
``sparkline``, ``bar_length``. Coordinates are rounded to a tenth.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Protocol

INTERVAL_WIDTH = 200.0
INTERVAL_HEIGHT = 24.0
_PAD = 8.0


@dataclass(frozen=True, slots=True)
class IntervalBar:
    """One estimate with its interval on an axis of its own. None: that part is not drawn."""

    width: float
    height: float
    middle: float
    reference: float  # where candidate and incumbent are equal
    margin: float | None  # the largest accepted loss
    beyond_x: float | None  # the zone past the margin, from here ...
    beyond_width: float | None  # ... this wide
    lower: float | None
    upper: float | None
    estimate: float | None


def interval_bar(
    *,
    estimate: float | None,
    lower: float | None,
    upper: float | None,
    reference: float = 0.0,
    margin: float | None = None,
    higher_is_worse: bool = False,
) -> IntervalBar:
    """Lay out an interval around ``reference``; ``margin`` is a position on the same axis.

    The zone past the margin lies above it where higher is worse, else below. The axis is just wide enough for
    everything given, and reaches as far past the reference as the margin does on the other side.
    """
    values = [value for value in (estimate, lower, upper, margin) if value is not None]
    low, high = min([reference, *values]), max([reference, *values])
    if margin is not None:
        reach = abs(margin - reference)
        low, high = min(low, reference - reach), max(high, reference + reach)
    span = (high - low) or 1.0
    scale = (INTERVAL_WIDTH - 2 * _PAD) / span

    def x(value: float | None) -> float | None:
        return None if value is None else round(_PAD + (value - low) * scale, 1)

    beyond_x = beyond_width = None
    margin_x = x(margin)
    if margin_x is not None:
        beyond_x = margin_x if higher_is_worse else 0.0
        beyond_width = round(INTERVAL_WIDTH - margin_x, 1) if higher_is_worse else margin_x
    return IntervalBar(
        width=INTERVAL_WIDTH,
        height=INTERVAL_HEIGHT,
        middle=INTERVAL_HEIGHT / 2,
        reference=round(_PAD + (reference - low) * scale, 1),
        margin=margin_x,
        beyond_x=beyond_x,
        beyond_width=beyond_width,
        lower=x(lower),
        upper=x(upper),
        estimate=x(estimate),
    )


class CurvePoint(Protocol):
    """A row of a Kaplan-Meier table: what held just before ``day``, and after what happened on it."""

    @property
    def day(self) -> int: ...
    @property
    def at_risk(self) -> int: ...
    @property
    def censored(self) -> int: ...
    @property
    def survival(self) -> float: ...
    @property
    def lower(self) -> float | None: ...
    @property
    def upper(self) -> float | None: ...


@dataclass(frozen=True, slots=True)
class Tick:
    at: float
    label: str


@dataclass(frozen=True, slots=True)
class SurvivalChart:
    """A step curve from 100 % at day 0, its confidence band, censoring marks and the row of numbers at risk."""

    width: float
    height: float
    left: float
    right: float
    top: float
    bottom: float
    curve: str  # path data
    band: str  # path data; "": no limits
    censored: tuple[tuple[float, float], ...]
    days: tuple[Tick, ...]
    shares: tuple[Tick, ...]
    at_risk: tuple[Tick, ...]


_DAY_STEPS = (1, 2, 5, 10, 15, 30, 60, 90, 180, 365, 730, 1825)


def survival_chart(
    points: Sequence[CurvePoint], *, width: float = 760.0, height: float = 300.0, least_days: int = 30
) -> SurvivalChart:
    """Lay out ``points`` (ascending by day). Without points: an empty frame of ``least_days``."""
    left, right, top, bottom = 44.0, width - 12.0, 10.0, height - 62.0
    last = max([least_days, *(point.day for point in points)])
    step = next((step for step in _DAY_STEPS if last / step <= 8), _DAY_STEPS[-1])
    horizon = -(-last // step) * step

    def x(day: float) -> float:
        return round(left + (right - left) * day / horizon, 1)

    def y(share: float) -> float:
        return round(bottom - (bottom - top) * share, 1)

    curve = [f"M{x(0)} {y(1)}"]
    upper = [f"M{x(0)} {y(1)}"]
    lower: list[tuple[float, float]] = [(x(0), y(1))]
    for point in points:
        curve.append(f"H{x(point.day)}V{y(point.survival)}")
        if point.upper is not None and point.lower is not None:
            upper.append(f"H{x(point.day)}V{y(point.upper)}")
            lower.append((x(point.day), y(point.lower)))
    # Back along the lower limit: down a step at a time, each level held until the day it began.
    back = [f"V{lower[-1][1]}"]
    for (begins, _), (_, before) in zip(reversed(lower[1:]), reversed(lower[:-1]), strict=True):
        back.append(f"H{begins}V{before}")
    ticks = range(0, horizon + 1, step)
    days_seen = [point.day for point in points]
    return SurvivalChart(
        width=width,
        height=height,
        left=left,
        right=right,
        top=top,
        bottom=bottom,
        curve="".join(curve) if points else "",
        band="".join([*upper, *back, "Z"]) if len(lower) > 1 else "",
        censored=tuple((x(point.day), y(point.survival)) for point in points if point.censored),
        days=tuple(Tick(x(day), str(day)) for day in ticks),
        shares=tuple(Tick(y(share / 100), f"{share} %") for share in (0, 25, 50, 75, 100)),
        at_risk=tuple(Tick(x(day), str(_at_risk(points, days_seen, day))) for day in ticks),
    )


def _at_risk(points: Sequence[CurvePoint], days: Sequence[int], day: int) -> int:
    """Number at risk just before ``day``: that of the next row of the table, none past its end."""
    at = bisect_left(days, day)
    return points[at].at_risk if at < len(points) else 0


@dataclass(frozen=True, slots=True)
class TrafficChart:
    """A bar a day: the candidate's share below, the incumbent's on it, the rest left empty. No bar: no data."""

    width: float
    height: float
    left: float
    right: float
    top: float
    bottom: float
    candidate: str  # path data of all bars, here and below
    incumbent: str
    shares: tuple[Tick, ...]
    days: tuple[Tick, ...]
    marks: tuple[Tick, ...]  # days with a name, for example the cutover


def traffic_chart(
    rows: Sequence[tuple[date, float, float]],
    *,
    first: date,
    last: date,
    marks: Sequence[tuple[date, str]] = (),
    width: float = 760.0,
    height: float = 180.0,
) -> TrafficChart:
    """``rows``: day, share on the candidate, share on the incumbent; only days with data, all from first to last."""
    left, right, top, bottom = 44.0, width - 12.0, 18.0, height - 26.0
    step = (right - left) / ((last - first).days + 1)

    def x(day: date) -> float:
        return round(left + step * (day - first).days, 1)

    def y(share: float) -> float:
        return round(bottom - (bottom - top) * share, 1)

    def bar(day: date, low: float, high: float) -> str:
        return f"M{x(day)} {y(low)}V{y(high)}h{round(max(step - 1, 1), 1)}V{y(low)}Z" if high > low else ""

    every = -(-((last - first).days + 1) // 6)
    labelled = [first + timedelta(days=number) for number in range(0, (last - first).days + 1, every)]
    return TrafficChart(
        width=width,
        height=height,
        left=left,
        right=right,
        top=top,
        bottom=bottom,
        candidate="".join(bar(day, 0, candidate) for day, candidate, _ in rows),
        incumbent="".join(bar(day, candidate, candidate + incumbent) for day, candidate, incumbent in rows),
        shares=tuple(Tick(y(share / 100), f"{share} %") for share in (0, 50, 80, 100)),
        days=tuple(Tick(x(day), f"{day:%-d %b}") for day in labelled),
        marks=tuple(Tick(x(day), name) for day, name in marks if first <= day <= last),
    )


@dataclass(frozen=True, slots=True)
class MonthsChart:
    """A bar a month up or down from zero. No bar: no figure."""

    width: float
    height: float
    left: float
    right: float
    zero: float
    bottom: float
    bars: str  # path data
    amounts: tuple[Tick, ...]  # the axis: highest, zero, lowest
    months: tuple[Tick, ...]


def months_chart(
    rows: Sequence[tuple[date, float | None]],
    *,
    label: Callable[[float], str],
    width: float = 760.0,
    height: float = 140.0,
) -> MonthsChart:
    """``rows``: month and amount, every month from first to last; ``label`` writes an amount."""
    left, right, top, bottom = 76.0, width - 12.0, 10.0, height - 26.0
    amounts = [amount for _, amount in rows if amount is not None]
    high, low = max([0.0, *amounts]), min([0.0, *amounts])
    span = (high - low) or 1.0
    step = (right - left) / max(len(rows), 1)
    wide = min(step - 2, 48.0)

    def x(place: int) -> float:
        return round(left + step * place + (step - wide) / 2, 1)

    def y(amount: float) -> float:
        return round(bottom - (bottom - top) * (amount - low) / span, 1)

    every = -(-max(len(rows), 1) // 8)
    return MonthsChart(
        width=width,
        height=height,
        left=left,
        right=right,
        zero=y(0),
        bottom=bottom,
        bars="".join(
            f"M{x(place)} {y(0)}V{y(amount)}h{round(wide, 1)}V{y(0)}Z"
            for place, (_, amount) in enumerate(rows)
            if amount is not None
        ),
        amounts=tuple(Tick(y(amount), label(amount)) for amount in sorted({high, 0.0, low})),
        months=tuple(Tick(x(place), f"{month:%b %Y}") for place, (month, _) in enumerate(rows) if place % every == 0),
    )


def bar_length(value: float, largest: float, width: float) -> float:
    """Length of a bar for ``value`` where ``largest`` fills ``width``; a visible sliver for anything above zero."""
    if value <= 0 or largest <= 0:
        return 0.0
    return round(max(2.0, width * min(1.0, value / largest)), 1)


@dataclass(frozen=True, slots=True)
class Sparkline:
    """Values in their order, the band that they were expected in, and the one that stands out."""

    width: float
    height: float
    line: str  # path data; '': under two values
    band_y: float | None  # top of the band; None: there is none
    band_height: float | None
    marked: tuple[float, float] | None


def sparkline(
    values: Sequence[float],
    *,
    band: tuple[float, float] | None = None,
    marked: int | None = None,
    width: float = 200.0,
    height: float = 32.0,
) -> Sparkline:
    """Lay out ``values``; ``band`` are two positions on their axis, ``marked`` is the place of the value that is."""
    pad = 4.0
    given = [*values, *(band or ())]
    low, high = min(given, default=0.0), max(given, default=1.0)
    span = (high - low) or 1.0
    step = (width - 2 * pad) / max(len(values) - 1, 1)

    def y(value: float) -> float:
        return round(height - pad - (height - 2 * pad) * (value - low) / span, 1)

    points = [(round(pad + place * step, 1), y(value)) for place, value in enumerate(values)]
    return Sparkline(
        width=width,
        height=height,
        line="M" + "L".join(f"{across} {down}" for across, down in points) if len(points) > 1 else "",
        band_y=None if band is None else y(band[1]),
        band_height=None if band is None else round(max(y(band[0]) - y(band[1]), 1.0), 1),
        marked=None if marked is None else points[marked],
    )


_LABEL_HEIGHT = 14.0


class TrendPoint(Protocol):
    """One night: an estimate with its limits; None: not computable, or unbounded."""

    @property
    def estimate(self) -> float | None: ...
    @property
    def lower(self) -> float | None: ...
    @property
    def upper(self) -> float | None: ...
    @property
    def period(self) -> int: ...


@dataclass(frozen=True, slots=True)
class TrendChart:
    """An estimate with its interval a night, the line of equality and the agreed limit."""

    width: float
    height: float
    left: float
    right: float
    top: float
    bottom: float
    ranges: str  # path data of all intervals; what leaves the frame is cut at it
    dots: tuple[tuple[float, float], ...]
    reference: float
    bound: float | None
    beyond_y: float | None  # the zone past the agreed limit, from here ...
    beyond_height: float | None  # ... this high
    levels: tuple[tuple[float, float], ...]  # position and value of what is labelled
    nights: tuple[tuple[float, int], ...]  # position and place of nights that are labelled
    periods: tuple[float, ...]  # where a new period begins

    @property
    def span(self) -> float:
        return round(self.right - self.left, 1)


def trend_chart(
    nights: Sequence[TrendPoint],
    *,
    reference: float,
    bound: float | None,
    higher_is_worse: bool,
    width: float = 760.0,
    height: float = 180.0,
) -> TrendChart:
    """Lay out ``nights``, oldest first. The axis holds every estimate and three times the agreed limit: the first
    intervals are far wider than what is asked of the last.
    """
    left, right, top, bottom = 60.0, width - 12.0, 12.0, height - 26.0
    known = [night.estimate for night in nights if night.estimate is not None]
    reach = max([*(abs(value - reference) * 1.2 for value in known), 0.0])
    if bound is not None:
        reach = max(reach, 3 * abs(bound - reference))
    if not reach:
        limits = [limit for night in nights for limit in (night.lower, night.upper) if limit is not None]
        reach = max([*(abs(limit - reference) for limit in limits), 0.0]) or 1.0
    low, high = reference - reach, reference + reach
    step = (right - left) / max(len(nights), 1)

    def x(place: int) -> float:
        return round(left + step * (place + 0.5), 1)

    def y(value: float) -> float:
        return round(bottom - (bottom - top) * (min(max(value, low), high) - low) / (high - low), 1)

    ranges = [
        f"M{x(place)} {y(low if night.lower is None else night.lower)}"
        f"V{y(high if night.upper is None else night.upper)}"
        for place, night in enumerate(nights)
        if night.lower is not None or night.upper is not None
    ]
    every = -(-len(nights) // 6) or 1
    beyond_y = beyond_height = None
    if bound is not None:
        beyond_y = top if higher_is_worse else y(bound)
        beyond_height = round((y(bound) - top) if higher_is_worse else (bottom - y(bound)), 1)
    return TrendChart(
        width=width,
        height=height,
        left=left,
        right=right,
        top=top,
        bottom=bottom,
        ranges="".join(ranges),
        dots=tuple((x(place), y(night.estimate)) for place, night in enumerate(nights) if night.estimate is not None),
        reference=y(reference),
        bound=None if bound is None else y(bound),
        beyond_y=beyond_y,
        beyond_height=beyond_height,
        # The limit's own label only where there is room for it beside that of equality.
        levels=tuple(
            (y(value), value)
            for value in (low, reference, bound, high)
            if value is not None and (value is not bound or abs(y(value) - y(reference)) >= _LABEL_HEIGHT)
        ),
        nights=tuple((x(place), place) for place in range(0, len(nights), every)),
        periods=tuple(
            round(left + step * place, 1)
            for place in range(1, len(nights))
            if nights[place].period != nights[place - 1].period
        ),
    )
