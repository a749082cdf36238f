"""Moments, against the standard library."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telemetry.query.moment import moment

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@given(
    st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30)),
    st.integers(-23 * 60 - 59, 23 * 60 + 59),
    st.sampled_from(["T", "t", " "]),
)
def test_it_is_the_moment_that_the_standard_library_reads(when: datetime, offset: int, mark: str) -> None:
    aware = when.replace(tzinfo=timezone(timedelta(minutes=offset)))
    found = moment(aware.isoformat(sep=mark))
    assert found is not None
    expected = (aware - EPOCH) // timedelta(microseconds=1) * 1000
    assert found.ns == expected


@pytest.mark.parametrize(
    ("text", "ns", "open_ns"),
    [
        ("1970-01-01T00:00:00Z", 0, 1000),
        ("1970-01-01T00:00:00.5z", 500_000_000, 1000),
        ("1970-01-01T00:00:00.000001Z", 1_000, 1000),
        ("1970-01-01T00:00:00.0000011Z", 1_100, 1),
        ("1970-01-01T00:00:00.1234567891Z", 123_456_789, 1),
        ("1970-01-01T01:00:00+01:00", 0, 1000),
        ("1970-01-01T00:00:00-0030", 1_800_000_000_000, 1000),
        ("2024-02-29T00:00:00Z", 1_709_164_800_000_000_000, 1000),
        ("0000-03-01T00:00:00Z", -62_162_035_200_000_000_000, 1000),
    ],
)
def test_decimals_and_offsets(text: str, ns: int, open_ns: int) -> None:
    assert moment(text) == (ns, open_ns)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "now",
        "1970-01-01",
        "1970-01-01T00:00:00",
        "1970-13-01T00:00:00Z",
        "1970-00-01T00:00:00Z",
        "2023-02-29T00:00:00Z",
        "1970-01-32T00:00:00Z",
        "1970-01-01T24:00:00Z",
        "1970-01-01T00:60:00Z",
        "1970-01-01T00:00:60Z",
        "1970-01-01T00:00:00+24:00",
        "1970-01-01T00:00:00.Z",
        "١٩٧٠-01-01T00:00:00Z",
        "1970-01-01T00:00:00Z; DROP TABLE spans",
    ],
)
def test_what_is_no_moment(text: str) -> None:
    assert moment(text) is None
