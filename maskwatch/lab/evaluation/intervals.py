"""Confidence intervals for shares, rates and medians."""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec
import numpy as np

_Z = 1.959964  # two-sided 95 %
_RESAMPLES = 1000


class Estimate(msgspec.Struct, frozen=True, kw_only=True):
    """A figure with its 95 % interval; `of` is the number of observations."""

    value: float | None
    low: float | None
    high: float | None
    of: int

    def text(self, digits: int = 3, unit: str = "") -> str:
        """Return ``0.987 (0.971 to 0.995)``, or ``-`` without observations."""
        if self.value is None or self.low is None or self.high is None:
            return "-"
        return f"{self.value:.{digits}f}{unit} ({self.low:.{digits}f} to {self.high:.{digits}f})"


_UNDEFINED = Estimate(value=None, low=None, high=None, of=0)


def share(hits: int, of: int) -> Estimate:
    """Return a share with Wilson's interval."""
    if of == 0:
        return _UNDEFINED
    p, z2 = hits / of, _Z * _Z
    centre = (p + z2 / (2 * of)) / (1 + z2 / of)
    half = _Z * math.sqrt(p * (1 - p) / of + z2 / (4 * of * of)) / (1 + z2 / of)
    low = 0.0 if hits == 0 else max(0.0, centre - half)
    high = 1.0 if hits == of else min(1.0, centre + half)
    return Estimate(value=p, low=low, high=high, of=of)


def rate_per_hour(count: int, seconds: float) -> Estimate:
    """Return events per hour with the interval of a Poisson count."""
    if seconds <= 0:
        return _UNDEFINED
    hours = seconds / 3600
    low = 0.0 if count == 0 else _poisson(count, -_Z)
    high = -math.log(0.025) if count == 0 else _poisson(count + 1, _Z)
    return Estimate(value=count / hours, low=low / hours, high=high / hours, of=count)


def _poisson(count: int, z: float) -> float:
    """Return a bound of a Poisson mean (Wilson and Hilferty's approximation of the chi-square)."""
    return count * (1 - 1 / (9 * count) + z / (3 * math.sqrt(count))) ** 3


def median(groups: Sequence[Sequence[float]]) -> Estimate:
    """Return the median of all values; the interval is a bootstrap over the groups (clips)."""
    values = [value for group in groups for value in group]
    if not values:
        return _UNDEFINED
    low, high = _bootstrap_median(groups)
    return Estimate(value=float(np.median(values)), low=low, high=high, of=len(values))


def ratio(pairs: Sequence[tuple[int, int]]) -> Estimate:
    """Return the sum of numerators over that of denominators, with a bootstrap over pairs (clips)."""
    numerator, denominator = sum(a for a, _ in pairs), sum(b for _, b in pairs)
    if denominator == 0:
        return _UNDEFINED
    table = np.array(pairs, float)
    rng = np.random.default_rng(0)
    drawn = table[rng.integers(0, len(table), (_RESAMPLES, len(table)))].sum(axis=1)
    ratios = drawn[:, 0] / np.maximum(drawn[:, 1], 1)
    low, high = np.quantile(ratios, (0.025, 0.975))
    return Estimate(value=numerator / denominator, low=float(low), high=float(high), of=denominator)


def _bootstrap_median(groups: Sequence[Sequence[float]]) -> tuple[float, float]:
    rng = np.random.default_rng(0)
    filled = [np.asarray(group, float) for group in groups if len(group)]
    medians = [
        np.median(np.concatenate([filled[i] for i in rng.integers(0, len(filled), len(filled))]))
        for _ in range(_RESAMPLES)
    ]
    low, high = np.quantile(medians, (0.025, 0.975))
    return float(low), float(high)
