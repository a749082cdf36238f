"""Limits, order, depth and attributes of a query."""

from typing import Any

import pytest

from schemas.api.telemetry import QueryCondition, QueryTracesRequest
from schemas.telemetry_query import AttributeFilter, OrderKey
from stack.domain.near import nearest
from telemetry.query.errors import QueryInvalid
from telemetry.query.span_query import checked_depth, trace_query, wanted_attributes


def test_what_is_left_out() -> None:
    query = trace_query(QueryTracesRequest(), nearest)
    assert (query.filters, query.limit, query.offset) == ((), 100, 0)
    assert query.order == (OrderKey("start_time", descending=True),)


def test_what_is_said() -> None:
    query = trace_query(
        QueryTracesRequest(
            attribute_filters=[QueryCondition("a", "eq", 1)],
            limit=7,
            offset=3,
            order_by=["-span_count", "name"],
        ),
        nearest,
    )
    assert query.filters == (AttributeFilter("own", "a", "eq", 1),)
    assert (query.limit, query.offset) == (7, 3)
    assert query.order == (OrderKey("span_count", descending=True), OrderKey("name", descending=False))
    assert trace_query(QueryTracesRequest(limit=-1), nearest).limit is None
    assert trace_query(QueryTracesRequest(limit=0), nearest).limit == 0


@pytest.mark.parametrize(
    ("request_", "mention"),
    [
        ({"limit": -2}, "limit is -2"),
        ({"offset": -1}, "offset is -1"),
        ({"order_by": ["starttime"]}, "did you mean 'start_time'"),
        ({"order_by": ["name", "--name"]}, "order_by[1]"),
        ({"order_by": ["name", "-name"]}, "name it once"),
        ({"order_by": [""]}, "start_time, end_time"),
        ({"order_by": ["start_time; DROP TABLE spans"]}, "order_by[0]"),
        ({"order_by": ["name"] * 7}, "7 names"),
    ],
)
def test_what_is_refused(request_: dict[str, Any], mention: str) -> None:
    with pytest.raises(QueryInvalid) as refused:
        trace_query(QueryTracesRequest(**request_), nearest)
    assert mention in refused.value.detail


def test_depths() -> None:
    assert checked_depth(None) is None
    assert checked_depth(1) == 1
    for wrong in (0, -1):
        with pytest.raises(QueryInvalid, match="max_depth"):
            checked_depth(wrong)


def test_attributes() -> None:
    assert wanted_attributes(None, "attributes_to_return") == ()
    assert wanted_attributes(["b", "a", "b"], "attributes_to_return") == ("b", "a")
    with pytest.raises(QueryInvalid, match="attributes_to_save"):
        wanted_attributes([str(number) for number in range(1025)], "attributes_to_save")
    with pytest.raises(QueryInvalid, match="4097 characters"):
        wanted_attributes(["k" * 4097], "attributes_to_return")
