"""Spans saved to a dataset: a row a span, whole or not at all, and never twice."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.server.api import check_error
from tests.server.datasets import Datasets
from tests.server.telemetry import Telemetry, where
from tests.server.telemetry_samples import family, new_id, text_of
from tests.telemetry.otlp_requests import BASE_NS, PlainSpan


@pytest.fixture(scope="module")
def spans(telemetry: Telemetry) -> list[PlainSpan]:
    found = family("exported", name="an attribute", more=[1, {"a": None}])
    telemetry.send(found)
    return found


@pytest.fixture
def datasets(client: httpx.Client) -> Datasets:
    return Datasets(client)


def export(
    telemetry: Telemetry, dataset_id: str, attributes: list[str], *filters: Any, **more: Any
) -> httpx.Response:
    headers = more.pop("headers", None)
    body = {"attribute_filters": list(filters), "attributes_to_save": attributes, "dataset_id": dataset_id}
    answer = telemetry.post("spans/export", body | more, headers=headers)
    if answer.status_code == 200:
        assert answer.content == b""
    return answer


def test_a_row_for_each_span(telemetry: Telemetry, datasets: Datasets, spans: list[PlainSpan]) -> None:
    dataset_id = f"spans-{new_id()}"
    attributes = ["number", "more", "missing", "name", "family"]
    assert export(telemetry, dataset_id, attributes, where("family", "eq", "exported")).status_code == 200
    rows = datasets.rows(dataset_id)
    assert rows == [
        {
            "trace_id": span.trace_id,
            "span_id": span.span_id,
            "parent_span_id": span.parent_span_id,
            "name": span.name,
            "start_time": text_of(span.start_ns),
            "end_time": text_of(span.end_ns),
            "number": number,
            "more": [1, {"a": None}],
            "missing": None,
            "attributes.name": "an attribute",
            "family": "exported",
        }
        for number, span in enumerate(spans)
    ]
    assert list(rows[0])[:6] == ["trace_id", "span_id", "parent_span_id", "name", "start_time", "end_time"]


def test_it_is_an_append_like_any_other(
    telemetry: Telemetry, datasets: Datasets, spans: list[PlainSpan]
) -> None:
    dataset_id = datasets.registered([{"own": 1}], dataset_id=f"own/{new_id()}")
    for number in (1, 2):
        one = where("number", "eq", number)
        assert (
            export(telemetry, dataset_id, ["number"], one, where("family", "eq", "exported")).status_code
            == 200
        )
    assert [row.get("number") for row in datasets.rows(dataset_id)] == [None, 1, 2]
    assert [one["change"] for one in datasets.versions(dataset_id)] == [
        "registered",
        "rows_appended",
        "rows_appended",
    ]


def test_what_is_beneath_comes_with_a_depth(
    telemetry: Telemetry, datasets: Datasets, spans: list[PlainSpan]
) -> None:
    dataset_id = f"deep-{new_id()}"
    top = where("span_id", "eq", spans[1].span_id)
    assert export(telemetry, dataset_id, [], top, max_depth=2).status_code == 200
    assert [row["span_id"] for row in datasets.rows(dataset_id)] == [spans[n].span_id for n in (1, 3, 4)]


def test_no_span_makes_an_empty_dataset(telemetry: Telemetry, datasets: Datasets) -> None:
    dataset_id = f"empty-{new_id()}"
    assert export(telemetry, dataset_id, [], where("family", "eq", "no one")).status_code == 200
    assert datasets.rows(dataset_id) == []
    assert export(telemetry, dataset_id, [], where("family", "eq", "no one")).status_code == 200
    assert len(datasets.versions(dataset_id)) == 1


@pytest.mark.parametrize("known", [True, False])
def test_a_repeated_request_exports_once(
    telemetry: Telemetry, datasets: Datasets, spans: list[PlainSpan], known: bool
) -> None:
    dataset_id = f"once-{new_id()}"
    if known:
        datasets.registered([], dataset_id=dataset_id)
    ours = where("family", "eq", "exported")
    for _ in range(2):
        answer = export(telemetry, dataset_id, [], ours, headers={"idempotency-key": dataset_id})
        assert answer.status_code == 200
    assert len(datasets.rows(dataset_id)) == 5
    answer = export(telemetry, dataset_id, [], ours, headers={"x-stainless-retry-count": "1"})
    assert answer.status_code == 200


@pytest.mark.slow
def test_many_spans(telemetry: Telemetry, datasets: Datasets) -> None:
    """More than a query returns, in blocks of a megabyte."""
    trace = new_id(128)
    marker = f"many {trace}"
    sent = [
        PlainSpan(
            trace=trace,
            span=new_id(),
            start_ns=BASE_NS + n * 1_000,
            attributes={"many": marker, "n": n, "t": "x" * 1_000},
        )
        for n in range(2_500)
    ]
    for first in range(0, len(sent), 500):
        telemetry.send(sent[first : first + 500])
    dataset_id = f"many-{new_id()}"
    assert export(telemetry, dataset_id, ["n", "t"], where("many", "eq", marker)).status_code == 200
    rows = datasets.rows(dataset_id)
    assert [row["n"] for row in rows] == list(range(2_500)) and len(rows[-1]["t"]) == 1_000


@pytest.mark.parametrize("dataset_id", ["", "a//b", "..", "x" * 256, "\x00"])
def test_ids_that_no_dataset_can_have(telemetry: Telemetry, dataset_id: str) -> None:
    check_error(export(telemetry, dataset_id, []), 400, "dataset_id")
