"""Intervals of paired differences, against published values and against what happens by chance."""

import math

import numpy as np
import pytest

from stack.domain.comparison import PairedScores, difference, t_quantile, wilson


def binary(both: int, first: int, second: int, neither: int) -> PairedScores:
    n = both + first + second + neither
    return PairedScores(
        count=n,
        mean_a=(both + first) / n,
        mean_b=(both + second) / n,
        mean=(second - first) / n,
        squares=0.0,
        binary=True,
        both=both,
        first=first,
        second=second,
    )


def paired(a: np.ndarray, b: np.ndarray) -> PairedScores:
    d = b - a
    return PairedScores(
        count=len(d),
        mean_a=float(a.mean()),
        mean_b=float(b.mean()),
        mean=float(d.mean()),
        squares=float(((d - d.mean()) ** 2).sum()),
    )


def test_newcombe_as_published() -> None:
    """The example of Newcombe's paper: 36, 12, 2, 0 gives 0.0569 to 0.3404."""
    found = difference(binary(36, 2, 12, 0))
    assert found.method == "newcombe" and found.interval is not None
    assert found.difference == 0.2
    assert (round(found.interval.low, 4), round(found.interval.high, 4)) == (0.0569, 0.3404)


def test_it_is_the_same_seen_from_the_other_side() -> None:
    one, other = difference(binary(30, 4, 11, 5)).interval, difference(binary(30, 11, 4, 5)).interval
    assert one is not None and other is not None
    assert (one.low, one.high) == pytest.approx((-other.high, -other.low))


@pytest.mark.parametrize("counts", [(5, 0, 0, 0), (0, 0, 0, 5), (0, 5, 0, 0), (0, 0, 5, 0), (1, 0, 0, 1)])
def test_extremes_keep_a_width_and_their_bounds(counts: tuple[int, int, int, int]) -> None:
    found = difference(binary(*counts))
    assert found.interval is not None and found.difference is not None
    assert -1 <= found.interval.low <= found.difference <= found.interval.high <= 1
    assert found.interval.high - found.interval.low > 0.1


def test_wilson_as_published() -> None:
    """Newcombe 1998 (two-sided intervals for the single proportion): 81 of 263 gives 0.2553 to 0.3662."""
    low, high = wilson(81, 263)
    assert (round(low, 4), round(high, 4)) == (0.2553, 0.3662)


def test_quantiles_of_t() -> None:
    known = {1: 12.7062, 10: 2.2281, 30: 2.0423, 40: 2.0211, 60: 2.0003, 120: 1.9799, 10_000: 1.9602}
    for freedom, value in known.items():
        assert t_quantile(freedom) == pytest.approx(value, abs=1e-4)
    assert all(t_quantile(n) > t_quantile(n + 1) for n in range(1, 200))


def test_the_interval_holds_the_difference_as_often_as_it_says() -> None:
    random, held = np.random.default_rng(7), 0
    for _ in range(2_000):
        a = random.normal(0.4, 1.0, 12)
        found = difference(paired(a, a + random.normal(0.3, 0.5, 12))).interval
        assert found is not None
        held += found.low <= 0.3 <= found.high
    assert 0.935 < held / 2_000 < 0.965


def test_so_does_that_of_proportions() -> None:
    random, held = np.random.default_rng(7), 0
    for _ in range(2_000):
        both, first, second, neither = random.multinomial(40, (0.4, 0.1, 0.25, 0.25))
        found = difference(binary(int(both), int(first), int(second), int(neither))).interval
        assert found is not None
        held += found.low <= 0.15 <= found.high
    assert 0.93 < held / 2_000 < 0.98


def test_few_rows_have_no_interval() -> None:
    assert difference(None).num_rows == 0
    one = difference(paired(np.array([0.5]), np.array([1.0])))
    assert (one.difference, one.interval, one.method) == (0.5, None, None)


def test_equal_runs_differ_by_nothing() -> None:
    same = np.array([0.5, 0.25, 3.0])
    found = difference(paired(same, same))
    assert found.interval is not None and math.isclose(found.interval.high, 0.0)
