"""Filters as they are parsed: where they look, what they compare with, and what is refused."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.api.telemetry import QueryCondition
from schemas.telemetry_query import AttributeFilter, NumberFilter, TextFilter
from telemetry.query import parse_filters as filters
from telemetry.query.errors import QueryInvalid
from telemetry.query.parse_filters import KINDS, MAX_FILTERS, parse_filters

OPS = ("eq", "ne", "gt", "lt")


def one(key: str, op: Any, value: Any) -> Any:
    [found] = parse_filters([QueryCondition(key, op, value)])
    return found


def meets(found: NumberFilter, number: int) -> bool:
    """Evaluates a number filter."""
    return (found.low <= number <= found.high) != found.inverted


def compared(a: Any, op: str, b: Any) -> bool:
    """Evaluates an operator."""
    return bool({"eq": a == b, "ne": a != b, "gt": a > b, "lt": a < b}[op])


@pytest.mark.parametrize(
    ("key", "of", "name"),
    [
        ("session_id", "own", "session_id"),
        ("a.b.c", "own", "a.b.c"),
        ("resource.service.name", "resource", "service.name"),
        ("resource.resource.x", "resource", "resource.x"),
        ("attributes.trace_id", "own", "trace_id"),
        ("attributes.resource.x", "own", "resource.x"),
        ("attributes.attributes.x", "own", "attributes.x"),
        ("attributes.", "own", "attributes."),
        ("resource.", "own", "resource."),
        ("span.names", "own", "span.names"),
        ("Span.name", "own", "Span.name"),
        ("'; DROP TABLE spans; --", "own", "'; DROP TABLE spans; --"),
        ('$."a"[*]', "own", '$."a"[*]'),
        ("\x00", "own", "\x00"),
    ],
)
def test_keys_are_names_exactly_as_sent(key: str, of: Any, name: str) -> None:
    assert one(key, "eq", "x") == AttributeFilter(of, name, "eq", "x")


@pytest.mark.parametrize(
    "value", [None, True, 0, 1, 1.0, 2**63, -(2**100), "", "1", [], [1, [2]], {}, {"a": None}]
)
def test_values_keep_their_type(value: Any) -> None:
    found = one("key", "ne", value)
    assert found.value == value and type(found.value) is type(value)


def test_no_filters_are_none() -> None:
    assert parse_filters(None) == parse_filters([]) == ()


def test_the_own_fields() -> None:
    assert one("span.name", "gt", "chat") == TextFilter("name", "gt", "chat")
    assert one("span.kind", "eq", "server") == NumberFilter("kind", 2, 2)
    assert one("span.kind", "ne", "SPAN_KIND_CLIENT") == NumberFilter("kind", 3, 3, inverted=True)
    assert one("span.status", "eq", "error") == NumberFilter("failed", 1, 1)
    assert one("span.status", "eq", "STATUS_CODE_OK") == NumberFilter("failed", 0, 0)
    assert one("span.duration_ms", "eq", 1.5) == NumberFilter("duration", 1_500_000, 1_500_000)
    assert one("span.start_time", "eq", "1970-01-01T00:00:01Z") == NumberFilter(
        "start_time", 10**9, 10**9 + 999
    )
    assert KINDS.index("consumer") == 5


@pytest.mark.parametrize("key", list(filters.FIELDS))
def test_an_own_field_is_never_missing(key: str) -> None:
    never, always = one(key, "eq", None), one(key, "ne", None)
    assert not meets(never, 0) and not meets(never, 1)
    assert meets(always, 0) and meets(always, 1)


@given(st.sampled_from(OPS), st.integers(0, 2**63 - 1), st.integers(0, 2**63 - 1), st.booleans())
def test_durations_compare_as_milliseconds(op: str, wanted: int, duration: int, same: bool) -> None:
    duration = wanted if same else duration
    # A float of milliseconds has 53 bits; beyond that neighbours are one.
    wanted, duration = wanted >> 12, duration >> 12
    assert meets(one("span.duration_ms", op, wanted / 1e6), duration) == compared(duration, op, wanted)


@given(st.sampled_from(OPS), st.integers(0, 4 * 10**18), st.integers(-2_000, 2_000))
def test_times_compare_as_they_are_shown(op: str, ns: int, more: int) -> None:
    """With microseconds: spans that are shown with the same time are equal to it."""
    from projections.warehouse.reader import rfc3339

    shown = rfc3339(ns // 1000)
    other = max(0, ns + more)
    assert meets(one("span.start_time", op, shown), other) == compared(other // 1000, op, ns // 1000)


@given(st.sampled_from(OPS), st.integers(0, 4 * 10**18), st.integers(-2_000, 2_000))
def test_times_with_nanoseconds_compare_exactly(op: str, ns: int, more: int) -> None:
    from projections.warehouse.reader import rfc3339

    text = f"{rfc3339(ns // 10**9 * 10**6)[:-8]}.{ns % 10**9:09}Z"
    other = max(0, ns + more)
    assert meets(one("span.start_time", op, text), other) == compared(other, op, ns)


hexadecimal = st.text("0123456789abcdef", max_size=18)


@given(
    st.sampled_from(OPS),
    st.one_of(hexadecimal, st.text(max_size=18)),
    st.integers(0, 2**64 - 1),
    st.integers(0, 17),
)
def test_ids_compare_as_texts(op: str, text: str, number: int, alike: int) -> None:
    shown = f"{number:016x}"
    text = shown[:alike] + text
    assert meets(one("span_id", op, text), number) == compared(shown, op, text.lower())


@given(st.integers(0, 2**128 - 1), st.integers(1, 31))
def test_a_beginning_of_an_id_is_a_range(number: int, digits: int) -> None:
    shown = f"{number:032x}"
    beginning = shown[:digits]
    assert meets(one("trace_id", "gt", beginning), number)
    assert meets(one("trace_id", "lt", beginning + "g"), number)
    assert meets(one("trace_id", "eq", shown.upper()), number)
    assert not meets(one("trace_id", "eq", beginning), number)


@pytest.mark.parametrize("value", [10**400, -(10**400), 1e308, -1e308, 2**63, -(2**63) - 1])
@pytest.mark.parametrize("key", ["span.duration_ms", "span.start_time"])
def test_numbers_out_of_range_are_compared_all_the_same(key: str, value: float) -> None:
    found = one(key, "gt", value)
    assert meets(found, 5) == (value < 0)
    assert meets(one(key, "lt", value), 5) == (value > 0)
    assert not meets(one(key, "eq", value), 5)
    assert -(2**63) - 1 <= found.low <= 2**63 + 1


@pytest.mark.parametrize(
    ("key", "op", "value", "mention"),
    [
        ("", "eq", 1, "key"),
        ("k" * 4097, "eq", 1, "4097 characters"),
        ("key", "gt", None, "null has no order"),
        ("key", "lt", True, "a boolean has no order"),
        ("key", "gt", [1], "an array has no order"),
        ("key", "gt", {}, "an object has no order"),
        ("key", "eq", "x" * 65_537, "65539 bytes"),
        ("key", "eq", ["x" * 65_537], "bytes"),
        ("key", "eq", 10**1000, "range"),
        ("span.name", "eq", 5, "span.name is a text"),
        ("span.name", "eq", "x" * 65_537, "characters"),
        ("span.kind", "eq", "srver", "server"),
        ("span.kind", "eq", 2, "internal"),
        ("span.kind", "gt", "server", "no order"),
        ("span.status", "eq", "unset", "ok, error"),
        ("span.status", "eq", None, ""),
        ("span.status", "lt", "ok", "`eq` or `ne`"),
        ("span.status", "gt", None, "null has no order"),
        ("span.duration_ms", "gt", "5", "milliseconds"),
        ("span.duration_ms", "gt", True, "milliseconds"),
        ("span.start_time", "gt", "yesterday", "'yesterday'"),
        ("span.start_time", "gt", "2026-01-01T00:00:00", "2026-01-31T12:00:00.000000Z"),
        ("span.start_time", "gt", {}, "an object"),
        ("trace_id", "eq", 5, "trace_id is a text"),
        ("span_id", "eq", [], "span_id is a text"),
    ],
)
def test_what_cannot_be_compared_is_refused(key: str, op: Any, value: Any, mention: str) -> None:
    conditions = [QueryCondition("fine", "eq", 1), QueryCondition(key, op, value)]
    if not mention:
        assert parse_filters(conditions)
        return
    with pytest.raises(QueryInvalid) as refused:
        parse_filters(conditions)
    assert mention in refused.value.detail and "attribute_filters[1]" in refused.value.detail
    assert len(refused.value.detail) < 300


def test_the_number_of_filters_is_bounded() -> None:
    conditions = [QueryCondition("key", "eq", number) for number in range(MAX_FILTERS + 1)]
    assert len(parse_filters(conditions[1:])) == MAX_FILTERS
    with pytest.raises(QueryInvalid, match="65 filters; at most 64"):
        parse_filters(conditions)
    with pytest.raises(QueryInvalid, match="264 values; at most 256"):
        parse_filters([QueryCondition("key", "eq", [0] * 32)] * 8)


def test_a_deep_value_is_counted_without_recursion() -> None:
    deep: Any = 1
    for _ in range(200):
        deep = [deep]
    assert one("key", "eq", deep).value == deep
    for _ in range(100):
        deep = {"a": deep}
    with pytest.raises(QueryInvalid, match="301 values; at most 256"):
        one("key", "eq", deep)
    assert msgspec.json.encode(deep)
