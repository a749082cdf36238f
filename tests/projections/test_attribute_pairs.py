"""Attributes share a text exactly if they are equal."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from projections.attribute_pairs import fragments_of
from tests.telemetry.otlp_requests import key_values
from tests.telemetry.span_oracle import same

keys = st.text('a1:sn\x1e\x1f"', max_size=4)
values = st.one_of(
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.integers(-2, 2),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from([1.0, -0.0, 1e30, 0.5, 2.0**63, -(2.0**63), 2.0**53]),
    st.text('a1:sn\x1e\x1f2"', max_size=4),
)


@given(keys, values, keys, values)
def test_a_text_is_shared_if_and_only_if_they_are_equal(
    key: str, value: Any, other: str, other_value: Any
) -> None:
    one, two = fragments_of(key, value), fragments_of(other, other_value)
    assert one and two
    assert (not set(one).isdisjoint(two)) == (key == other and same(value, other_value))


@given(keys, values)
def test_the_text_that_is_stored_is_one_of_them(key: str, value: Any) -> None:
    from telemetry.wire.attribute_json import Attributes

    [encoded] = [pair.SerializeToString() for pair in key_values({key: value})]
    [stored] = Attributes().fragments([encoded]).values()
    assert stored.decode() in (fragments_of(key, value) or [])


def test_what_is_not_simple_has_none() -> None:
    for value in (None, [], [1], {}, {"a": 1}):
        assert fragments_of("a", value) is None


def test_what_no_stored_value_equals_finds_nothing() -> None:
    for value in (2**63 + 1, 10**400, float("nan"), float("inf")):
        assert fragments_of("a", value) == []
