"""Conditions as SQL, against the plainest reading of what they mean, over random attributes."""

from __future__ import annotations

import json
from typing import Any

import duckdb
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from projections.filter_sql import Parameters, condition, pointer
from schemas.api.telemetry import QueryCondition
from telemetry.query.parse_filters import parse_filters
from tests.telemetry.otlp_requests import PlainSpan
from tests.telemetry.span_oracle import meets, shown

COLUMNS = {
    "own": "s.attributes",
    "resource": "s.resource",
    "name": "s.name",
    "kind": "s.kind",
    "failed": "s.failed",
}
KEYS = [
    "a",
    "a.b",
    "a/b",
    "~",
    "~1",
    "$.a",
    '"',
    "0",
    "a'; DROP TABLE spans; --",
    "\x00",
    "é",
    "\n",
    "*",
    "resource.a",
]

numbers = st.one_of(
    st.integers(-3, 3),
    st.sampled_from(
        [2**53, 2**53 + 1, -(2**53) - 1, 2**63 - 1, -(2**63), 0.5, 1.0, -0.0, 1e300, 9007199254740993.0]
    ),
    st.floats(allow_nan=False, allow_infinity=False),
)
scalars = st.one_of(
    st.none(),
    st.booleans(),
    numbers,
    st.sampled_from(["", "1", "true", "null", "a", "b", "\x00", "NaN"]),
    st.text(max_size=3),
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS[:8]), inner, max_size=3),
    max_leaves=5,
)
attributes = st.dictionaries(st.sampled_from(KEYS), values, max_size=6)
wanted = st.one_of(values, numbers, st.integers(-(2**70), 2**70))


class Table:
    """Spans in a table, and those that meet filters."""

    def __init__(self) -> None:
        self._db = duckdb.connect()
        self._db.execute(
            "CREATE TABLE spans (n INTEGER, name VARCHAR, kind UTINYINT, failed INTEGER, attributes VARCHAR, resource VARCHAR)"
        )

    def fill(self, spans: list[PlainSpan]) -> None:
        self._db.execute("TRUNCATE spans")
        for number, span in enumerate(spans):
            row = [number, span.name, span.kind, int(span.status == 2)]
            row += [json.dumps(shown(one), ensure_ascii=False) for one in (span.attributes, span.resource)]
            self._db.execute("INSERT INTO spans VALUES (?, ?, ?, ?, ?, ?)", row)

    def meeting(self, filters: list[dict[str, Any]]) -> set[int]:
        parameters = Parameters()
        tests = [
            condition(one, COLUMNS, parameters)
            for one in parse_filters([QueryCondition(**given) for given in filters])
        ]
        sql = f"SELECT n FROM spans AS s WHERE {' AND '.join(f'({one})' for one in tests)}"
        return {number for (number,) in self._db.execute(sql, parameters.values).fetchall()}


@pytest.fixture(scope="module")
def table() -> Table:
    return Table()


def operators(value: Any) -> list[str]:
    ordered = isinstance(value, int | float | str) and not isinstance(value, bool)
    return ["eq", "ne", "gt", "lt"] if ordered else ["eq", "ne"]


@pytest.mark.slow
@settings(max_examples=150)
@given(st.data())
def test_it_is_what_the_plainest_reading_says(table: Table, data: st.DataObject) -> None:
    spans = [
        PlainSpan(trace=1, span=number, attributes=of_span, resource=of_resource)
        for number, (of_span, of_resource) in enumerate(
            data.draw(st.lists(st.tuples(attributes, attributes), min_size=1, max_size=4))
        )
    ]
    table.fill(spans)
    seen = [value for span in spans for value in span.attributes.values()]
    for _ in range(data.draw(st.integers(1, 6))):
        key = data.draw(st.sampled_from(["{}", "attributes.{}", "resource.{}"])).format(
            data.draw(st.sampled_from(KEYS))
        )
        value = data.draw(st.one_of(wanted, st.sampled_from(seen)) if seen else wanted)
        op = data.draw(st.sampled_from(operators(value)))
        one = {"key": key, "op": op, "value": value}
        assert table.meeting([one]) == {number for number, span in enumerate(spans) if meets(span, [one])}, (
            one
        )


@pytest.mark.slow
@example(2**53 + 1, float(2**53))
@example(-(2**63), -float(2**63))
@example(2**63 - 1, float(2**63))
@settings(max_examples=150)
@given(numbers, st.one_of(numbers, st.integers(-(2**70), 2**70)))
def test_numbers_compare_exactly(table: Table, found: float, value: float) -> None:
    span = PlainSpan(trace=1, span=0, attributes={"n": found})
    table.fill([span])
    for op in ("eq", "ne", "gt", "lt"):
        one = {"key": "n", "op": op, "value": value}
        assert bool(table.meeting([one])) == meets(span, [one]), one


def test_names_kinds_and_statuses(table: Table) -> None:
    spans = [
        PlainSpan(trace=1, span=number, name=name, kind=kind, status=status)
        for number, (name, kind, status) in enumerate(
            [("chat", 3, 0), ("Chat", 2, 1), ("", 1, 2), ("漢", 0, 2)]
        )
    ]
    table.fill(spans)
    for key, value in [
        ("span.name", "chat"),
        ("span.name", "b"),
        ("span.kind", "client"),
        ("span.status", "error"),
        ("span.status", "ok"),
    ]:
        for op in ("eq", "ne", "gt", "lt") if key == "span.name" else ("eq", "ne"):
            one = {"key": key, "op": op, "value": value}
            assert table.meeting([one]) == {
                number for number, span in enumerate(spans) if meets(span, [one])
            }, one
    for op, everyone in (("eq", False), ("ne", True)):
        assert bool(table.meeting([{"key": "span.kind", "op": op, "value": None}])) is everyone


def test_statements_hold_no_text_of_the_caller() -> None:
    poison = "'; DROP TABLE spans; -- $p0 ?"
    parameters = Parameters()
    conditions = [
        QueryCondition(key, op, value)  # type: ignore[arg-type]
        for key in (poison, f"resource.{poison}", f"attributes.{poison}")
        for op, value in (("eq", poison), ("gt", poison), ("ne", [poison, {poison: poison}]), ("eq", None))
    ]
    conditions.append(QueryCondition("span.name", "eq", poison))
    for one in parse_filters(conditions):
        assert "DROP" not in condition(one, COLUMNS, parameters)
    assert parameters.values


def test_pointers() -> None:
    assert pointer("a") == "/a" and pointer("a/~b", "/x") == "/x/a~1~0b" and pointer("") == "/"
