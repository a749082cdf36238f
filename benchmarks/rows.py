"""Rows of about 200 bytes, as text: what the benchmarks of datasets and evaluations send."""

from __future__ import annotations

from msgspec import Raw

ROW_BYTES = 200


def row(number: int) -> bytes:
    start = (
        b'{"question":"What is %d and one?","answer":"%d","difficulty":0.5,"tags":["sum","%d"],"note":"'
        % (
            number,
            number + 1,
            number % 7,
        )
    )
    return start + b"x" * (ROW_BYTES - len(start) - 2) + b'"}'


def rows(first: int, count: int) -> Raw:
    """The JSON array of rows `first` to `first + count`."""
    return Raw(b"[" + b",".join([row(number) for number in range(first, first + count)]) + b"]")
