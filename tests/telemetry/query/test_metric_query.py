"""The valid and invalid forms of a metric query."""

from typing import Any

import pytest

from schemas.api.telemetry import MetricLabelMatcher, QueryMetricsRequest
from telemetry.query.errors import QueryInvalid
from telemetry.query.metric_query import MetricQuery, metric_query

NOW_S = 1_790_000_000


def query(**asked: Any) -> MetricQuery:
    return metric_query(
        "a.metric", QueryMetricsRequest(**({"start_time": 1_000, "query_type": "range"} | asked)), NOW_S
    )


def test_what_is_left_out() -> None:
    found = query()
    assert (found.start_s, found.end_s, found.step_s, found.instant) == (1_000, NOW_S, None, False)
    assert (found.begin_ns, found.until_ns) == (1_000 * 10**9, (NOW_S + 1) * 10**9)
    assert query(query_type="instant").instant


@pytest.mark.parametrize(
    ("granularity", "step_s"),
    [
        ("1s", 1),
        ("30s", 30),
        ("1m", 60),
        ("5m", 300),
        ("7m", 420),
        ("1h", 3600),
        ("1d", 86_400),
        ("007d", 604_800),
    ],
)
def test_granularities(granularity: str, step_s: int) -> None:
    assert query(granularity=granularity).step_s == step_s


@pytest.mark.parametrize("granularity", ["9999999999d", "9999999999s"])
def test_a_granularity_longer_than_time_is_one_bucket(granularity: str) -> None:
    step_s = query(granularity=granularity).step_s
    assert step_s and step_s * 10**9 < 2**63


@pytest.mark.parametrize(
    "granularity",
    ["", "0s", "00m", "m", "1", "1w", "-1m", "1.5h", "1 m", "1M", "1m ", "99999999999s", "1m; DROP", "١m"],
)
def test_what_is_no_granularity(granularity: str) -> None:
    with pytest.raises(QueryInvalid, match="granularity is"):
        query(granularity=granularity)


@pytest.mark.parametrize(
    ("asked", "mention"),
    [
        ({"end_time": 999}, "end_time is 999, before start_time, which is 1000"),
        ({"start_time": NOW_S + 1}, "absent"),
        ({"start_time": -1}, "start_time is -1"),
        ({"start_time": NOW_S * 1_000, "end_time": NOW_S * 1_000}, "milliseconds"),
        ({"end_time": 10**30}, "end_time is 1000"),
        ({"label_matchers": [MetricLabelMatcher(name="l", operator="=~", value="(")]}, "label_matchers[0]"),
    ],
)
def test_what_is_refused(asked: dict[str, Any], mention: str) -> None:
    with pytest.raises(QueryInvalid) as refused:
        query(**asked)
    assert mention in refused.value.detail


def test_names() -> None:
    for name in ("", "m" * 1025):
        with pytest.raises(QueryInvalid, match="metric_name"):
            metric_query(name, QueryMetricsRequest(start_time=0, query_type="range"), NOW_S)
    assert query(start_time=1_000, end_time=1_000).until_ns == 1_001 * 10**9
