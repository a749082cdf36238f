"""Splits paths under `/eval/benchmarks/` into the benchmark's id, which may contain slashes, and the rest.

Paths are parsed from the right, so that each has exactly one meaning:

    <id>
    <id>/evaluations, <id>/compare, <id>/jobs
    <id>/jobs/<job>
    <id>/jobs/<job>/result, .../outcome, .../events
"""

from __future__ import annotations

from typing import NamedTuple

BELOW_BENCHMARK = frozenset(("evaluations", "compare", "jobs"))
BELOW_JOB = frozenset(("result", "outcome", "events"))


class BenchmarkPath(NamedTuple):
    """`below` is what follows the id, without the leading slash; empty for the benchmark itself."""

    benchmark_id: str
    below: str


def split_path(path: str) -> BenchmarkPath:
    """Splits the part of a path that follows `/eval/benchmarks/`."""
    parts = path.split("/")
    below = 0
    if len(parts) > 3 and parts[-3] == "jobs" and parts[-1] in BELOW_JOB:
        below = 3
    elif len(parts) > 2 and parts[-2] == "jobs":
        below = 2
    elif len(parts) > 1 and parts[-1] in BELOW_BENCHMARK:
        below = 1
    cut = len(parts) - below
    return BenchmarkPath("/".join(parts[:cut]), "/".join(parts[cut:]))
