"""The results of a benchmark: figures, each with its unit, its spread over the rounds and its target."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median
from typing import Literal

from msgspec import Struct

Better = Literal["lower", "higher"]


class Result(Struct, frozen=True, omit_defaults=True):
    """One figure. `low` and `high` are the extremes of its rounds; without a `bar` it is for comparison
    only."""

    name: str
    value: float
    unit: str
    bar: float | None = None
    better: Better = "lower"
    low: float | None = None
    high: float | None = None

    @property
    def reached(self) -> bool | None:
        """Returns whether the value reaches the bar; None without one."""
        if self.bar is None:
            return None
        return self.value <= self.bar if self.better == "lower" else self.value >= self.bar


def of_rounds(
    name: str, rounds: Sequence[float], unit: str, bar: float | None = None, better: Better = "lower"
) -> Result:
    """Returns the median of the rounds, with the least and the greatest of them, which show the noise of the
    machine."""
    return Result(name, median(rounds), unit, bar, better, min(rounds), max(rounds))


def percentile(values: Sequence[float], share: float) -> float:
    """Returns the value below which `share` (0 to 1) of the values lie; the nearest one that occurs."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]
