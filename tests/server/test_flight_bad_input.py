"""Arrow Flight SQL: what is malformed, forged, hostile or not offered is refused by its name, and changes nothing."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import grpc
import pyarrow as pa
import pyarrow.flight as flight
import pytest

from stack.http.flight import messages
from stack.http.flight.parameters import MAX_BYTES
from tests.server.flight import ENVIRONMENT, KEYS, Client, any_of, wait_until_open
from tests.server.hostile_sql import HOSTILE
from tests.server.process import Replaystack, free_port

pytestmark = pytest.mark.slow

PORT = free_port()
SERVICE = "/arrow.flight.protocol.FlightService/"
METHODS = (
    "GetFlightInfo",
    "GetSchema",
    "DoGet",
    "DoPut",
    "DoAction",
    "ListActions",
    "ListFlights",
    "Handshake",
)
CODE = grpc.StatusCode


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Replaystack]:
    data = tmp_path_factory.mktemp("flight") / "data"
    settings = {"flight_port": PORT, "body_timeout_s": 2.0, "sql_timeout_s": 10.0}
    with Replaystack(data, settings=settings, environment=ENVIRONMENT) as server:
        wait_until_open(server)
        yield server
        server.check_healthy()
    assert server.wait() == 0
    assert '"level":"error"' not in server.log, server.log


@pytest.fixture(scope="module")
def ann(server: Replaystack) -> Iterator[Client]:
    with Client(PORT, "ann") as client:
        yield client


@pytest.fixture(scope="module")
def bob(server: Replaystack) -> Iterator[Client]:
    with Client(PORT, "bob") as client:
        yield client


@pytest.fixture(scope="module")
def channel(server: Replaystack) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(f"127.0.0.1:{PORT}") as channel:
        yield channel


def refused(
    channel: grpc.Channel, method: str, *requests: bytes, authorization: str | None = None
) -> tuple[Any, str]:
    """The code and the text with which a call ends. Its requests end only if there are any."""
    given = f"Bearer {KEYS['ann']}" if authorization is None else authorization
    call = channel.stream_stream(f"{SERVICE}{method}")(
        iter(requests), timeout=60, metadata=[("authorization", given)] if given else []
    )
    with pytest.raises(grpc.RpcError) as error:
        list(call)
    return error.value.code(), error.value.details()


def command(data: bytes, kind: int = 2) -> bytes:
    return bytes(messages.new("FlightDescriptor", type=kind, cmd=data).SerializeToString())


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    "authorization", ["", "Bearer wrong", "Basic bm9ib2R5Ondyb25n", "Digest x", "Bearer"]
)
def test_every_method_needs_a_key(channel: grpc.Channel, method: str, authorization: str) -> None:
    code, said = refused(channel, method, b"", authorization=authorization)
    assert code == CODE.UNAUTHENTICATED
    assert "API key" in said


def test_a_key_is_taken_in_each_form(channel: grpc.Channel) -> None:
    padded, bare = "Basic YW5uOmtleS1vZi1hbm4=", "basic YW5uOmtleS1vZi1hbm4"
    for authorization in (padded, bare, f"bearer {KEYS['ann']}"):
        call = channel.unary_stream(f"{SERVICE}ListActions")(b"", metadata=[("authorization", authorization)])
        names = [messages.parsed("ActionType", one, "type").type for one in call]
        assert "CancelFlightInfo" in names
    assert refused(channel, "ListActions", b"", authorization="Basic !!")[0] == CODE.INVALID_ARGUMENT


MALFORMED = {
    "no message": ("GetFlightInfo", ()),
    "no descriptor": ("GetFlightInfo", (b"",)),
    "noise as a descriptor": ("GetFlightInfo", (b"\xff" * 100,)),
    "a path": ("GetFlightInfo", (command(b"", kind=1),)),
    "noise as a command": ("GetFlightInfo", (command(b"\xff" * 100),)),
    "no command": ("GetFlightInfo", (command(b""),)),
    "a command of another package": (
        "GetFlightInfo",
        (command(any_of("type.googleapis.com/x.CommandGetTables")),),
    ),
    "a command without its content": (
        "GetFlightInfo",
        (command(any_of(f"type.googleapis.com/{messages.PACKAGE}.CommandStatementQuery", b"\x0a\xff")),),
    ),
    "a text that is not UTF-8": (
        "GetSchema",
        (
            command(
                any_of(f"type.googleapis.com/{messages.PACKAGE}.CommandStatementQuery", b"\x0a\x02\xff\xfe")
            ),
        ),
    ),
    "an empty query": ("GetFlightInfo", (command(messages.wrapped("CommandStatementQuery", query="")),)),
    "noise as a ticket": ("DoGet", (b"\xff" * 100,)),
    "no ticket": ("DoGet", (b"",)),
    "a query as a ticket": (
        "DoGet",
        (
            messages.new(
                "Ticket", ticket=messages.wrapped("CommandStatementQuery", query="SELECT 1")
            ).SerializeToString(),
        ),
    ),
    "noise as data": ("DoPut", (b"\xff" * 100,)),
    "data without a command": ("DoPut", (b"",)),
    "noise as an action": ("DoAction", (b"\xff" * 100,)),
    "noise as the body of an action": (
        "DoAction",
        (messages.new("Action", type="CreatePreparedStatement", body=b"\xff").SerializeToString(),),
    ),
    "another body of an action": (
        "DoAction",
        (
            messages.new(
                "Action", type="ClosePreparedStatement", body=messages.wrapped("CommandGetCatalogs")
            ).SerializeToString(),
        ),
    ),
    "noise to cancel": (
        "DoAction",
        (messages.new("Action", type="CancelFlightInfo", body=b"\xff").SerializeToString(),),
    ),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed_calls(channel: grpc.Channel, name: str) -> None:
    method, requests = MALFORMED[name]
    code, said = refused(channel, method, *requests)
    assert (code, bool(said)) == (CODE.INVALID_ARGUMENT, True), said


def test_a_call_that_sends_nothing_ends(channel: grpc.Channel) -> None:
    done = threading.Event()

    def nothing() -> Iterator[bytes]:
        done.wait(60)
        yield from ()

    call = channel.stream_stream(f"{SERVICE}GetFlightInfo")(
        nothing(), timeout=60, metadata=[("authorization", f"Bearer {KEYS['ann']}")]
    )
    with pytest.raises(grpc.RpcError) as error:
        list(call)
    done.set()
    assert error.value.code() == CODE.DEADLINE_EXCEEDED
    assert "body_timeout_s" in error.value.details()


def test_huge_messages(channel: grpc.Channel, ann: Client) -> None:
    assert refused(channel, "DoGet", bytes(5 * 2**20))[0] == CODE.RESOURCE_EXHAUSTED
    ticket = messages.wrapped("TicketStatementQuery", statement_handle=bytes(3 * 2**20))
    assert (
        refused(channel, "DoGet", messages.new("Ticket", ticket=ticket).SerializeToString())[0]
        == CODE.NOT_FOUND
    )
    with pytest.raises(pa.ArrowInvalid, match="at most 100000 are allowed"):
        ann.rows("SELECT " + " " * 100_000 + "1")


def test_tickets_are_good_for_their_caller_only(ann: Client, bob: Client) -> None:
    info = ann.info("CommandStatementQuery", query="SELECT 1 AS a")
    assert ann.read(info).to_pylist() == ann.read(info).to_pylist() == [{"a": 1}]
    with pytest.raises(KeyError, match="ticket is unknown"):
        bob.read(info)
    [endpoint] = info.endpoints
    whole = endpoint.ticket.ticket
    for forged in (whole[:-1] + b"!", whole[:60] + bytes([whole[60] ^ 1]) + whole[61:]):
        with pytest.raises((KeyError, pa.ArrowInvalid)):
            ann.flight.do_get(flight.Ticket(forged), ann.options).read_all()
    request = messages.new(
        "CancelFlightInfoRequest", info=messages.parsed("FlightInfo", info.serialize(), "info")
    )
    with pytest.raises(KeyError, match="ticket is unknown"):
        bob.act("CancelFlightInfo", request.SerializeToString())


def test_handles_are_good_for_their_caller_only(ann: Client, bob: Client) -> None:
    handle = ann.prepared("SELECT $1 AS a").prepared_statement_handle
    ann.bind(handle, pa.table({"1": [7]}))
    execution = {"name": "CommandPreparedStatementQuery", "prepared_statement_handle": handle}
    with pytest.raises(KeyError, match="prepared statement is unknown"):
        bob.table(**execution)
    with pytest.raises(KeyError, match="prepared statement is unknown"):
        bob.bind(handle, pa.table({"1": [8]}))
    close = messages.wrapped("ActionClosePreparedStatementRequest", prepared_statement_handle=handle)
    bob.act("ClosePreparedStatement", close)
    assert ann.table(**execution).to_pylist() == [{"a": 7}]
    ann.act("ClosePreparedStatement", close)
    ann.act("ClosePreparedStatement", close)
    with pytest.raises(KeyError, match="prepared statement is unknown"):
        ann.table(**execution)


def parameters(header: bytes, body: bytes, handle: bytes) -> bytes:
    descriptor = messages.new(
        "FlightDescriptor",
        type=2,
        cmd=messages.wrapped("CommandPreparedStatementQuery", prepared_statement_handle=handle),
    )
    data = messages.new("FlightData", flight_descriptor=descriptor, data_header=header, data_body=body)
    return bytes(data.SerializeToString())


def test_parameters_that_are_no_arrow_data(channel: grpc.Channel, ann: Client) -> None:
    handle = ann.prepared("SELECT $1 AS a").prepared_statement_handle
    schema = pa.schema([("1", pa.string())])
    columns = schema.serialize().to_pybytes()[8:]
    batch = pa.record_batch([["text"]], schema=schema).serialize().to_pybytes()
    length = int.from_bytes(batch[4:8], "little")
    header, body = batch[8 : 8 + length], bytearray(batch[8 + length :])
    # The offsets of the text end far behind its bytes.
    body[4:8] = (2**30).to_bytes(4, "little")
    begun = parameters(columns, b"", handle)
    for name, requests in {
        "noise": (parameters(b"\xff" * 64, b"", handle),),
        "a header that is cut off": (parameters(columns[:20], b"", handle),),
        "a batch without columns": (parameters(header, bytes(body), handle),),
        "offsets outside of the text": (begun, parameters(header, bytes(body), handle)),
        "a body that is cut off": (begun, parameters(header, bytes(body[:8]), handle)),
        "no row": (begun,),
        "too much": (begun, *[parameters(columns, b"", handle)] * (MAX_BYTES // len(columns) + 1)),
    }.items():
        code, said = refused(channel, "DoPut", *requests)
        assert (name, code, said.partition(":")[0]) == (name, CODE.INVALID_ARGUMENT, "parameters")
    ann.bind(handle, pa.table({"1": ["whole"]}))
    found = ann.table("CommandPreparedStatementQuery", prepared_statement_handle=handle)
    assert found.to_pylist() == [{"a": "whole"}]


@pytest.mark.parametrize(
    "name",
    ["CommandStatementUpdate", "CommandPreparedStatementUpdate", "CommandStatementIngest", "CommandNew"],
)
def test_nothing_is_written(channel: grpc.Channel, name: str) -> None:
    descriptor = messages.new(
        "FlightDescriptor", type=2, cmd=any_of(f"type.googleapis.com/{messages.PACKAGE}.{name}")
    )
    data = messages.new("FlightData", flight_descriptor=descriptor).SerializeToString()
    code, said = refused(channel, "DoPut", data)
    assert code == CODE.UNIMPLEMENTED
    assert name in said
    assert "read only" in said


@pytest.mark.parametrize(
    "name",
    [
        "BeginTransaction",
        "EndTransaction",
        "BeginSavepoint",
        "EndSavepoint",
        "CreatePreparedSubstraitPlan",
        "x" * 1000,
    ],
)
def test_actions_that_are_not_offered(ann: Client, name: str) -> None:
    with pytest.raises(NotImplementedError, match="is not offered"):
        ann.act(name, b"")


def test_transactions_are_refused_in_commands(ann: Client) -> None:
    with pytest.raises(NotImplementedError, match="autocommit"):
        ann.info("CommandStatementQuery", query="SELECT 1", transaction_id=b"x")
    with pytest.raises(NotImplementedError, match="not offered"):
        ann.flight.do_exchange(flight.FlightDescriptor.for_command(b"x"), ann.options)[1].read_all()
    assert list(ann.flight.list_flights(options=ann.options)) == []


def test_hostile_statements_are_refused(ann: Client) -> None:
    for statement in HOSTILE:
        with pytest.raises((pa.ArrowInvalid, pa.ArrowException)):
            ann.rows(statement)
    assert ann.rows("SELECT 1 AS a") == [{"a": 1}]


def test_names_with_a_place_are_those_of_views_only(ann: Client) -> None:
    assert ann.rows("SELECT count(*) AS n FROM memory.main.turns JOIN main.steps USING (turn_id)") == [
        {"n": 0}
    ]
    for name in (
        "views.main.turns",
        "main.progress",
        "memory.information_schema.tables",
        "memory.main._verdicts",
        "x.turns",
    ):
        with pytest.raises(pa.ArrowInvalid, match="is not a view that is offered"):
            ann.rows(f"SELECT * FROM {name}")
    with pytest.raises(pa.ArrowInvalid, match="is not a view that is offered"):
        ann.rows("WITH progress AS (SELECT 1) SELECT * FROM main.progress")
