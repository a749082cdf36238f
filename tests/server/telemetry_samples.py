"""Spans that the tests of telemetry send: families of five, and every oddness."""

from __future__ import annotations

import math
import random
from typing import Any

from projections.warehouse.reader import rfc3339
from tests.telemetry.otlp_requests import BASE_NS, PlainSpan

IDS = random.Random(20260101)
"""Every run its own ids: the server is shared, and ids must not meet."""

EVERY_TYPE: dict[str, Any] = {
    "text": "words",
    "empty": "",
    "integer": 2**63 - 1,
    "negative": -(2**63),
    "zero": 0,
    "float": 0.1,
    "whole float": 1.0,
    "nan": math.nan,
    "infinity": math.inf,
    "minus infinity": -math.inf,
    "yes": True,
    "no": False,
    "nothing": None,
    "bytes": b"\x00\xff bytes",
    "array": ["a", 1, 2.5, True, None, b"x", [], {}],
    "object": {"nested": {"deeper": [1, {"x": "y"}]}, "": 1, "a.b": 2},
    "unicode \U0001f680 key": "\u202e\x00漢\U0001f680\x1b[31m",
    "a'; DROP TABLE spans; --": "'; DROP TABLE spans; --",
    "long": "x" * 100_000,
}


def new_id(bits: int = 64) -> int:
    return IDS.getrandbits(bits) | 1


def family(marker: str, **more: Any) -> list[PlainSpan]:
    """A trace of five spans in three levels, all with the attribute `family` = marker."""
    trace, ids = new_id(128), [new_id() for _ in range(5)]
    parents = [None, 0, 0, 1, 1]
    return [
        PlainSpan(
            trace=trace,
            span=ids[number],
            parent=None if above is None else ids[above],
            name=f"step {number}",
            kind=number + 1,
            status=2 if number == 4 else number % 2,
            start_ns=BASE_NS + number * 1_000_003,
            end_ns=BASE_NS + 50_000_001 - number * 1_000,
            attributes={"family": marker, "number": number, **more},
            resource={"service.name": f"service {marker}"},
        )
        for number, above in enumerate(parents)
    ]


def odd_spans() -> list[PlainSpan]:
    """A span with attributes of every type, one that is its own parent, and two that are each other's."""
    own, a, b = new_id(), new_id(), new_id()
    circle = new_id(128)
    return [
        PlainSpan(
            trace=new_id(128),
            span=new_id(),
            parent=new_id(),
            name="orphan",
            attributes=EVERY_TYPE | {"family": "odd"},
        ),
        PlainSpan(trace=new_id(128), span=own, parent=own, name="own parent", attributes={"family": "odd"}),
        PlainSpan(trace=circle, span=a, parent=b, name="circle a", attributes={"family": "odd"}),
        PlainSpan(trace=circle, span=b, parent=a, name="circle b", start_ns=BASE_NS - 5),
    ]


def text_of(ns: int) -> str:
    """As the API shows it."""
    return rfc3339(ns // 1000)
