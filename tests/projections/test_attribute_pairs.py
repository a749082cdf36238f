"""Texts of attributes are the same exactly if the attributes are equal."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from projections.attribute_pairs import SEPARATOR, joined, pair_text
from tests.telemetry.span_oracle import same

keys = st.text("a1:sn\x1e\x1f", max_size=4)
values = st.one_of(
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.integers(-2, 2),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from([1.0, -0.0, 2**63, 2**63 + 1, 10**30, 1e30, 0.5, 2.0**63, -(2.0**63), 2.0**53]),
    st.text("a1:sn\x1e\x1f2", max_size=4),
)


@given(keys, values, keys, values)
def test_same_text_if_and_only_if_equal(key: str, value: Any, other: str, other_value: Any) -> None:
    one, two = pair_text(key, value), pair_text(other, other_value)
    assert (one == two) == (key == other and same(value, other_value))
    assert one is not None and SEPARATOR not in one


def test_what_is_not_simple_has_none() -> None:
    for value in (None, [], [1], {}, {"a": 1}):
        assert pair_text("a", value) is None


@given(st.dictionaries(keys, values))
def test_they_come_apart_again(attributes: dict[str, Any]) -> None:
    text = joined(attributes)
    assert (text.split(SEPARATOR) if text else []) == [
        pair_text(key, value) for key, value in attributes.items()
    ]
