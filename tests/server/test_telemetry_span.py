"""Spans and trees of spans over HTTP: depth, attributes, order, bounds."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.server.api import check_error
from tests.server.conftest import FreshServer
from tests.server.telemetry import Telemetry, where
from tests.server.telemetry_samples import EVERY_TYPE, family, new_id, odd_spans, text_of
from tests.telemetry.otlp_requests import BASE_NS, PlainSpan
from tests.telemetry.span_oracle import shown


@pytest.fixture(scope="module")
def spans(telemetry: Telemetry) -> list[PlainSpan]:
    """A family: 0 above 1 and 2, 1 above 3 and 4."""
    found = family("tree", more="x")
    telemetry.send(found[::-1])
    return found


def ids(spans: list[PlainSpan], *numbers: int) -> list[str]:
    return [spans[number].span_id for number in numbers]


@pytest.mark.parametrize(
    ("top", "max_depth", "expected"),
    [
        (0, None, [0, 1, 2, 3, 4]),
        (0, 1, [0]),
        (0, 2, [0, 1, 2]),
        (0, 3, [0, 1, 2, 3, 4]),
        (0, 2**31, [0, 1, 2, 3, 4]),
        (1, None, [1, 3, 4]),
        (4, None, [4]),
    ],
)
def test_a_tree_goes_as_deep_as_it_is_asked_to(
    telemetry: Telemetry, spans: list[PlainSpan], top: int, max_depth: int | None, expected: list[int]
) -> None:
    tree = telemetry.tree(spans[top], max_depth=max_depth)
    assert list(tree) == ids(spans, *expected)


def test_a_tree_has_spans_with_status(telemetry: Telemetry, spans: list[PlainSpan]) -> None:
    tree = telemetry.tree(spans[0])
    assert [span["status"] for span in tree.values()] == ["ok", "ok", "ok", "ok", "error"]
    assert tree[spans[4].span_id] == {
        "span_id": spans[4].span_id,
        "trace_id": spans[4].trace_id,
        "parent_span_id": spans[1].span_id,
        "name": "step 4",
        "start_time": text_of(spans[4].start_ns),
        "end_time": text_of(spans[4].end_ns),
        "attributes": shown(spans[4].attributes),
        "status": "error",
    }


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (None, {"family": "tree", "number": 0, "more": "x"}),
        ([], {"family": "tree", "number": 0, "more": "x"}),
        (["number"], {"number": 0}),
        (["number", "missing", "family"], {"number": 0, "family": "tree"}),
        (["missing"], {}),
    ],
)
def test_attributes_are_limited(
    telemetry: Telemetry, spans: list[PlainSpan], wanted: Any, expected: Any
) -> None:
    tree = telemetry.tree(spans[0], attributes_to_return=wanted, max_depth=1)
    assert tree[spans[0].span_id].get("attributes", {}) == expected
    found = telemetry.spans(where("span_id", "eq", spans[0].span_id), returning=wanted or ())
    assert [one.get("attributes", {}) for one in found] == [expected]


def test_trees_of_odd_spans(telemetry: Telemetry) -> None:
    odd = odd_spans()
    telemetry.send(odd)
    orphan, own, a, b = odd
    assert list(telemetry.tree(orphan)) == [orphan.span_id]
    assert telemetry.tree(orphan)[orphan.span_id]["attributes"] == shown(EVERY_TYPE | {"family": "odd"})
    assert list(telemetry.tree(own)) == [own.span_id]
    assert list(telemetry.tree(a)) == [a.span_id, b.span_id]
    assert list(telemetry.tree(b)) == [b.span_id, a.span_id]


def test_a_tree_stays_in_its_trace(telemetry: Telemetry) -> None:
    """Span ids of two traces may meet; the newest trace is taken."""
    ids = [new_id() for _ in range(3)]
    for number in range(2):
        trace = new_id(128)
        telemetry.send(
            [
                PlainSpan(trace=trace, span=ids[0], name=f"top {number}", start_ns=BASE_NS + number * 1_000),
                PlainSpan(trace=trace, span=ids[1 + number], parent=ids[0], name=f"child {number}"),
            ]
        )
    tree = telemetry.tree(PlainSpan(trace=0, span=ids[0]))
    assert [span["name"] for span in tree.values()] == ["top 1", "child 1"]


@pytest.mark.parametrize("span_id", ["0000000000000abc", "x", "f" * 17, "'; DROP TABLE spans", "%00"])
def test_trees_of_unknown_spans(telemetry: Telemetry, span_id: str) -> None:
    check_error(telemetry.post(f"spans/{span_id}/tree"), 404)


def test_spans_come_newest_first(telemetry: Telemetry, spans: list[PlainSpan]) -> None:
    found = telemetry.spans(where("family", "eq", "tree"))
    assert [one["span_id"] for one in found] == ids(spans, 4, 3, 2, 1, 0)
    assert [one["start_time"] for one in found] == sorted((one["start_time"] for one in found), reverse=True)
    assert {one["trace_id"] for one in found} == {spans[0].trace_id}
    assert all("status" not in one for one in found)


@pytest.mark.parametrize(
    ("number", "max_depth", "expected"),
    [
        ([1], None, [1]),
        ([1], 1, [1]),
        ([1], 2, [4, 3, 1]),
        ([0], 2, [2, 1, 0]),
        ([0], 3, [4, 3, 2, 1, 0]),
        ([2, 3], 2, [3, 2]),
    ],
)
def test_what_is_beneath_comes_with_a_depth(
    telemetry: Telemetry, spans: list[PlainSpan], number: list[int], max_depth: int, expected: list[int]
) -> None:
    low, high = min(number) - 1, max(number) + 1
    filters = where("number", "gt", low), where("number", "lt", high), where("family", "eq", "tree")
    found = telemetry.spans(*filters, max_depth=max_depth)
    assert [one["span_id"] for one in found] == ids(spans, *expected)


@pytest.mark.parametrize("max_depth", [0, -1])
def test_a_depth_is_one_at_least(telemetry: Telemetry, spans: list[PlainSpan], max_depth: int) -> None:
    body = {"attribute_filters": [], "attributes_to_return": [], "max_depth": max_depth}
    check_error(telemetry.post("spans", body), 400, "max_depth")
    check_error(telemetry.post(f"spans/{spans[0].span_id}/tree", {"max_depth": max_depth}), 400, "max_depth")


def chain(length: int, marker: str) -> list[PlainSpan]:
    trace, first = new_id(128), new_id()
    return [
        PlainSpan(
            trace=trace,
            span=first + number,
            parent=first + number - 1 if number else None,
            start_ns=BASE_NS + number * 1_000,
            attributes={"chain": marker, "number": number},
        )
        for number in range(length)
    ]


@pytest.mark.slow
def test_a_long_chain(telemetry: Telemetry) -> None:
    spans = chain(3_000, "long")
    telemetry.send(spans)
    assert list(telemetry.tree(spans[0])) == [span.span_id for span in spans]
    answer = telemetry.post(
        "spans", {"attribute_filters": [where("chain", "eq", "long")], "attributes_to_return": ["number"]}
    )
    assert answer.headers["x-truncated"] == "true"
    assert [one["attributes"]["number"] for one in answer.json()["data"]] == list(range(2_999, 1_999, -1))


def test_bounds(fresh_server: FreshServer) -> None:
    server = fresh_server(telemetry_max_spans=5)
    with server.http() as http:
        telemetry = Telemetry(http)
        spans = chain(60, "bounded")
        telemetry.send(spans)

        def cut(answer: httpx.Response) -> tuple[list[Any], bool]:
            data = answer.raise_for_status().json()["data"]
            return list(data), answer.headers.get("x-truncated") == "true"

        body = {"attribute_filters": [where("number", "lt", 5)], "attributes_to_return": []}
        found, truncated = cut(telemetry.post("spans", body))
        assert len(found) == 5 and not truncated
        body["attribute_filters"] = [where("number", "lt", 6)]
        found, truncated = cut(telemetry.post("spans", body))
        assert [one["attributes"]["number"] for one in found] == [5, 4, 3, 2, 1] and truncated
        body |= {"attribute_filters": [where("number", "eq", 55)], "max_depth": 100}
        found, truncated = cut(telemetry.post("spans", body))
        assert [one["attributes"]["number"] for one in found] == [59, 58, 57, 56, 55] and not truncated
        body["attribute_filters"] = [where("number", "eq", 50)]
        found, truncated = cut(telemetry.post("spans", body))
        assert len(found) == 5 and truncated


@pytest.mark.slow
def test_answers_are_bounded_in_bytes(telemetry: Telemetry) -> None:
    """Two hundred spans of 900 kB: what comes back is cut, and the memory for it is bounded."""
    for batch in range(20):
        trace = new_id(128)
        large = {"large": True, "text": "x" * 90_000}
        telemetry.send(
            [
                PlainSpan(trace=trace, span=new_id(), start_ns=BASE_NS + batch, attributes=large)
                for _ in range(10)
            ]
        )
    body = {"attribute_filters": [where("large", "eq", True)], "attributes_to_return": []}
    answer = telemetry.post("spans", body)
    assert answer.status_code == 200 and len(answer.json()["data"]) == 200
    assert len(answer.content) > 18_000_000
