"""Traces in every order, in pages."""

from __future__ import annotations

from typing import Any

import pytest

from tests.server.telemetry import Telemetry, where
from tests.server.telemetry_samples import new_id
from tests.telemetry.otlp_requests import BASE_NS, PlainSpan

ORDERS = ["start_time", "end_time", "duration", "name", "status", "span_count"]


@pytest.fixture(scope="module")
def ordered(telemetry: Telemetry) -> list[dict[str, Any]]:
    """Traces that differ in everything they are sorted by; ties in some."""
    sent = [
        PlainSpan(
            trace=trace,
            span=new_id(),
            name=f"name {number * 5 % 7}",
            status=2 if number % 3 == 0 and child == 0 else 0,
            start_ns=BASE_NS + (number * 7 % 12) * 1_000_000,
            end_ns=BASE_NS + 10**9 + (number * 5 % 12) * 1_000_000,
            attributes={"ordered": True},
        )
        for number, trace in enumerate(new_id(128) for _ in range(12))
        for child in range(number % 4 + 1)
    ]
    telemetry.send(sent)
    return telemetry.details(where("ordered", "eq", True))


def key_of(trace: dict[str, Any], by: str) -> Any:
    if by == "duration":
        from stack.cli.trace_text import times_of

        start, end = times_of(trace)
        return end - start
    return trace[by] == "error" if by == "status" else trace[by]


@pytest.mark.parametrize("by", [*ORDERS, *(f"-{name}" for name in ORDERS)])
def test_orders(telemetry: Telemetry, ordered: list[dict[str, Any]], by: str) -> None:
    found = telemetry.details(where("ordered", "eq", True), order_by=[by])
    keys = [key_of(trace, by.removeprefix("-")) for trace in found]
    assert len(found) == 12 and keys == sorted(keys, reverse=by.startswith("-"))


def test_several_orders_pages_and_limits(telemetry: Telemetry, ordered: list[dict[str, Any]]) -> None:
    only = where("ordered", "eq", True)
    found = telemetry.details(only, order_by=["status", "-span_count", "name"])
    keys = [(trace["status"] == "error", -trace["span_count"], trace["name"]) for trace in found]
    assert keys == sorted(keys)
    whole = [trace["trace_id"] for trace in telemetry.traces(only)]
    assert whole == [trace["trace_id"] for trace in ordered]
    times = [trace["start_time"] for trace in ordered]
    assert times == sorted(times, reverse=True)
    pages = [telemetry.traces(only, limit=5, offset=offset) for offset in (0, 5, 10, 15)]
    assert [trace["trace_id"] for page in pages for trace in page] == whole
    assert telemetry.traces(only, limit=0) == []
    assert len(telemetry.traces(only, limit=-1)) == 12
    assert len(telemetry.traces(limit=3)) == 3
