"""Every path below the benchmarks has one meaning, whatever slashes an id holds."""

import pytest

from stack.domain.benchmark_path import split_path


@pytest.mark.parametrize("benchmark_id", ["a", "a/b", "meta::mmlu/v1", "jobs", "jobs/0", "result", "compare"])
@pytest.mark.parametrize(
    "below",
    ["", "evaluations", "compare", "jobs", "jobs/0", "jobs/0/result", "jobs/12/outcome", "jobs/x/events"],
)
def test_the_id_is_what_stands_before_a_known_ending(benchmark_id, below):
    path = f"{benchmark_id}/{below}" if below else benchmark_id
    assert split_path(path) == (benchmark_id, below)
