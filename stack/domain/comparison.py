"""How much two runs of a benchmark differ, and with what certainty: 95 % intervals of paired differences.

Both runs answer the same rows, so the differences are taken row by row: they vary less than the scores.
"""

from __future__ import annotations

import math

from msgspec import Struct

from schemas.api.comparison import Interval, ScoreDifference

CONFIDENCE = 0.95
# Quantiles at 0.975 of the standard normal distribution, and of Student's t with 1 to 30 degrees of freedom.
_Z = 1.959963984540054
_T = (
    12.7062, 4.3027, 3.1824, 2.7764, 2.5706, 2.4469, 2.3646, 2.3060, 2.2622, 2.2281, 2.2010, 2.1788, 2.1604, 2.1448,
    2.1314, 2.1199, 2.1098, 2.1009, 2.0930, 2.0860, 2.0796, 2.0739, 2.0687, 2.0639, 2.0595, 2.0555, 2.0518, 2.0484,
    2.0452, 2.0423,
)  # fmt: skip


class PairedScores(Struct, frozen=True, kw_only=True):
    """Statistics of the scores of two runs over the `count` rows that have a numeric score in both.

    `mean` is the mean of the differences (second minus first), `squares` the sum of their squared distances
    from it. If `binary`, all scores are 0 or 1, and `both`, `first` and `second` count the rows with a 1 in
    both runs, in the first run only, and in the second run only.
    """

    count: int
    mean_a: float
    mean_b: float
    mean: float
    squares: float
    binary: bool = False
    both: int = 0
    first: int = 0
    second: int = 0


def difference(pairs: PairedScores | None) -> ScoreDifference:
    """Returns the difference of the means with its interval. `pairs` is None if there are no rows."""
    if pairs is None:
        return ScoreDifference(num_rows=0)
    interval: Interval | None = None
    if pairs.count > 1:
        low, high = _newcombe(pairs) if pairs.binary else _paired_t(pairs)
        interval = Interval(low, high, CONFIDENCE)
    return ScoreDifference(
        num_rows=pairs.count,
        mean_a=pairs.mean_a,
        mean_b=pairs.mean_b,
        difference=pairs.mean,
        interval=interval,
        method=None if interval is None else ("newcombe" if pairs.binary else "paired-t"),
    )


def _paired_t(pairs: PairedScores) -> tuple[float, float]:
    """Returns the interval of Student's t over the differences."""
    variance = pairs.squares / (pairs.count - 1)
    margin = t_quantile(pairs.count - 1) * math.sqrt(max(0.0, variance) / pairs.count)
    return pairs.mean - margin, pairs.mean + margin


def t_quantile(freedom: int) -> float:
    """Returns the quantile at 0.975 of Student's t; above 30 degrees of freedom by the Cornish-Fisher
    expansion."""
    if freedom <= len(_T):
        return _T[freedom - 1]
    z, n = _Z, float(freedom)
    return z + (z**3 + z) / (4 * n) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * n**2)


def _newcombe(pairs: PairedScores) -> tuple[float, float]:
    """Newcombe's interval for the difference of paired proportions (Statistics in Medicine 17, 1998, method
    10): the Wilson intervals of both, squared and added, reduced by the effect of their correlation. Unlike
    the t interval it has a width even if all rows agree, and it never exceeds -1 to 1."""
    n, both, first, second = pairs.count, pairs.both, pairs.first, pairs.second
    neither = n - both - first - second
    p_b, p_a = (both + second) / n, (both + first) / n
    (low_b, high_b), (low_a, high_a) = wilson(both + second, n), wilson(both + first, n)
    phi = _correlation(both, second, first, neither)
    down_b, up_b, down_a, up_a = p_b - low_b, high_b - p_b, p_a - low_a, high_a - p_a
    below = math.sqrt(max(0.0, down_b**2 - 2 * phi * down_b * up_a + up_a**2))
    above = math.sqrt(max(0.0, up_b**2 - 2 * phi * up_b * down_a + down_a**2))
    return max(-1.0, p_b - p_a - below), min(1.0, p_b - p_a + above)


def wilson(successes: int, count: int) -> tuple[float, float]:
    """Returns Wilson's score interval of a proportion."""
    z2 = _Z * _Z
    middle = 2 * successes + z2
    spread = _Z * math.sqrt(z2 + 4 * successes * (1 - successes / count))
    width = 2 * (count + z2)
    return (middle - spread) / width, (middle + spread) / width


def _correlation(both: int, second: int, first: int, neither: int) -> float:
    """Returns Newcombe's phi, corrected for continuity if it is positive."""
    product = (both + second) * (first + neither) * (both + first) * (second + neither)
    if not product:
        return 0.0
    cross = float(both * neither - first * second)
    half = (both + first + second + neither) / 2
    if cross > 0:
        cross = max(0.0, cross - half)
    return cross / math.sqrt(product)
