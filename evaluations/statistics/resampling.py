"""Totals of bootstrap resamples: ``resampled_totals``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import ArrayLike

from evaluations.statistics.inputs import Vector


def resampled_totals(columns: Iterable[ArrayLike], draws: int) -> Iterator[Vector]:
    """The totals of ``columns`` over each of ``draws`` resamples of their rows, the rows of a resample drawn together.

    Figures are added in the order of drawing, so that the same evidence gives the same limits to the last digit.
    """
    rows = [np.asarray(column, dtype=np.float64) for column in columns]
    # Sums of whole numbers are exact in any order, and faster in numpy's own.
    whole = [bool((row == np.floor(row)).all()) for row in rows]
    n = len(rows[0])
    generator = np.random.default_rng(0)
    for _ in range(draws):
        chosen = generator.integers(0, n, n)
        yield np.array(
            [
                row[chosen].sum() if exact else np.add.accumulate(row[chosen])[-1]
                for row, exact in zip(rows, whole, strict=True)
            ]
        )
