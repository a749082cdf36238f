"""The parts of Arrow Flight SQL that need no server: patterns of names, frames of messages, tickets and handles."""

from __future__ import annotations

import itertools
from io import BytesIO

import pyarrow as pa
import pytest

from stack.errors import NotFound, TooManyRequests
from stack.http.flight import messages, statements
from stack.http.flight.catalog import matches
from stack.http.flight.statements import IDLE_S, PreparedStatements, Statement, Tickets
from stack.providers.sql.ipc import Malformed, Splitter, body_length, flight_data_of, schema_of

ANN = Statement("ann", "SELECT 1", [])


@pytest.mark.parametrize(
    ("pattern", "wanted"),
    [
        ("turns", True),
        ("TURNS", False),
        ("", False),
        ("%", True),
        ("%%%", True),
        ("t%s", True),
        ("t%z%", False),
        ("%u%n%", True),
        ("_urns", True),
        ("______", False),
        ("turn\\s", True),
        ("turn\\_", False),
        ("turns\\", False),
        ("t\\%s", False),
        ("%s%", True),
        ("turns%_", False),
    ],
)
def test_patterns_of_names(pattern: str, wanted: bool) -> None:
    assert matches("turns", pattern) is wanted


def test_wildcards_can_be_escaped() -> None:
    assert matches("eval_jobs", "eval\\_jobs")
    assert matches("a%b\\", "a\\%b\\\\")
    assert not matches("evalxjobs", "eval\\_jobs")


def stream() -> bytes:
    table = pa.table(
        {"a": [1, 2, None], "t": ["x", "", "long"], "d": pa.array(["k", "k", "l"]).dictionary_encode()}
    )
    out = BytesIO()
    with pa.ipc.new_stream(out, table.schema) as writer:
        writer.write_table(table, max_chunksize=2)
    return out.getvalue()


@pytest.mark.parametrize("size", [1, 7, 64, 10_000])
def test_a_stream_is_split_wherever_it_is_cut(size: int) -> None:
    whole, splitter = stream(), Splitter()
    pieces = [whole[at : at + size] for at in range(0, len(whole), size)]
    found = list(itertools.chain.from_iterable(splitter.messages(piece) for piece in pieces))
    assert splitter.ended
    assert b"".join(one.encapsulated for one in found) == whole[:-8]
    assert pa.ipc.read_schema(pa.py_buffer(schema_of(whole))).names == ["a", "t", "d"]
    for one in found:
        data = messages.parsed("FlightData", one.flight_data, "data")
        assert (data.data_header, data.data_body) == (one.header, one.body)
        parts = (
            [one.encapsulated[:100], one.encapsulated[100:]] if len(one.header) < 92 else [one.encapsulated]
        )
        assert flight_data_of(parts) == one.flight_data


@pytest.mark.parametrize(
    "data", [b"", b"\0" * 7, b"\xff" * 64, b"\x10\0\0\0" + b"\xff" * 12, b"\x04\0\0\0\xfc\xff\xff\x7f"]
)
def test_a_header_that_is_noise(data: bytes) -> None:
    with pytest.raises(Malformed):
        body_length(data)


@pytest.mark.parametrize(
    "data", [b"noise" * 10, b"\xff\xff\xff\xff\xff\xff\xff\xff", b"\xff\xff\xff\xff\0\0\0\x7f" + bytes(8)]
)
def test_a_stream_that_is_noise(data: bytes) -> None:
    with pytest.raises(Malformed):
        list(Splitter().messages(data))


def test_tickets() -> None:
    tickets = Tickets()
    issued, other = tickets.issued(ANN), tickets.issued(ANN)
    assert issued != other
    assert tickets.statement(issued, "ann").query == "SELECT 1"
    for wrong, actor in ((issued, "bob"), (issued[:-1], "ann"), (b"", "ann"), (Tickets().issued(ANN), "ann")):
        with pytest.raises(NotFound):
            tickets.statement(wrong, actor)


def test_idle_statements_make_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(statements, "MAX_PREPARED", 2)
    now_s = 0.0
    prepared = PreparedStatements(lambda: now_s)
    first, second = prepared.add(ANN), prepared.add(ANN)
    with pytest.raises(TooManyRequests):
        prepared.add(ANN)
    now_s = IDLE_S
    prepared.used(first, "ann")
    third = prepared.add(ANN)
    with pytest.raises(NotFound):
        prepared.used(second, "ann")
    prepared.close(third, "ann")
    assert prepared.used(first, "ann") == ANN
    assert prepared.add(ANN)


def test_large_statements_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(statements, "MAX_PREPARED_BYTES", 1000)
    prepared = PreparedStatements()
    handle = prepared.add(ANN)
    with pytest.raises(TooManyRequests):
        prepared.bind(handle, "ann", ["x" * 1000])
    assert prepared.used(handle, "ann").parameters == []
    for _ in range(20):
        prepared.bind(handle, "ann", ["x" * 500])
