"""Whether drawn values follow a distribution. The tests that use these have fixed seeds."""

from __future__ import annotations

from collections import Counter

from scipy import stats

LEVEL = 1e-5  # a right implementation fails a test at this level once in a hundred thousand seeds; seeds are fixed


def fits_shares(values: list, shares: dict) -> None:
    """Chi-square: ``values`` occur with ``shares``, and nothing else does."""
    seen, total = Counter(values), sum(shares.values())
    assert set(seen) <= set(shares)
    expected = [len(values) * share / total for share in shares.values()]
    p = stats.chisquare([seen[key] for key in shares], expected).pvalue
    assert p > LEVEL, (p, seen)


def fits_uniform(values: list[float], low: float, high: float) -> None:
    """Kolmogorov-Smirnov against U(low, high), and no value outside."""
    assert len(values) > 50 and low <= min(values) and max(values) <= high
    assert stats.kstest(values, stats.uniform(low, high - low).cdf).pvalue > LEVEL


def fits_integers(values: list[int], low: int, high: int) -> None:
    fits_shares(values, dict.fromkeys(range(low, high + 1), 1.0))
