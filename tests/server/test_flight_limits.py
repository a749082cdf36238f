"""Arrow Flight SQL: what ends a query, and what a client that does not read, or does not end, can hold."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import adbc_driver_flightsql.dbapi as dbapi
import pyarrow as pa
import pyarrow.flight as flight
import pytest

from stack.http.flight import messages
from tests.server.conftest import FreshServer
from tests.server.flight import ENVIRONMENT, Client, connect, wait_until_open
from tests.server.process import Replaystack, free_port, wait_until
from tests.server.sql_queries import ENDLESS, busy_worker, workers

pytestmark = pytest.mark.slow

PORT = free_port()
LARGE = "SELECT repeat('x', 50) AS t FROM range(3000000)"
SETTINGS = {
    "flight_port": PORT,
    "sql_queries": 1,
    "sql_waiting": 1,
    "sql_timeout_s": 8.0,
    "sql_max_rows": 10_000_000,
    "sql_max_bytes": 2**28,
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Replaystack]:
    data = tmp_path_factory.mktemp("flight") / "data"
    with Replaystack(data, settings=SETTINGS, environment=ENVIRONMENT) as server:
        wait_until_open(server)
        yield server
        server.check_healthy()
    assert server.wait() == 0
    assert '"level":"error"' not in server.log, server.log


@pytest.fixture
def client(server: Replaystack) -> Iterator[Client]:
    with Client(PORT) as client:
        yield client


def begun(client: Client, query: str = LARGE) -> tuple[flight.FlightInfo, flight.FlightStreamReader]:
    """A result of which one batch was read; the rest is more than fits on the way."""
    info = client.info("CommandStatementQuery", query=query)
    reader = client.flight.do_get(info.endpoints[0].ticket, client.options)
    reader.read_chunk()
    return info, reader


def rest(reader: flight.FlightStreamReader) -> None:
    """Reads to the end; `read_all` would take a cancelled query for Ctrl-C."""
    for _ in reader:
        pass


def cancelling(info: flight.FlightInfo) -> bytes:
    content = messages.parsed("FlightInfo", info.serialize(), "info")
    return bytes(messages.new("CancelFlightInfoRequest", info=content).SerializeToString())


def test_metadata_starts_no_process(fresh_server: FreshServer) -> None:
    port = free_port()
    server = fresh_server(flight_port=port, environment=ENVIRONMENT)
    wait_until_open(server)
    with Client(port) as client:
        assert client.table("CommandGetTables").num_rows > 10
        assert client.table("CommandGetSqlInfo").num_rows > 10
        assert workers(server) == []


def test_a_client_that_does_not_read_frees_its_place(client: Client) -> None:
    _, reader = begun(client)
    with Client(PORT, "bob") as other:
        assert other.rows("SELECT 1 AS a") == [{"a": 1}]
    with pytest.raises(flight.FlightTimedOutError, match="sql_timeout_s"):
        rest(reader)


def test_a_client_that_leaves_ends_its_query(server: Replaystack, client: Client) -> None:
    _, reader = begun(client)
    reader.cancel()
    assert client.rows("SELECT 1 AS a") == [{"a": 1}]
    with Client(PORT) as leaving:
        info = leaving.info("CommandStatementQuery", query=ENDLESS)
        thread = threading.Thread(target=failure, args=(leaving, info))
        thread.start()
        busy = busy_worker(server)
    thread.join()
    wait_until(lambda: not busy.is_running())


def failure(client: Client, info: flight.FlightInfo) -> str:
    with pytest.raises((pa.ArrowException, flight.FlightError, OSError)) as error:
        client.read(info)
    return str(error.value)


@pytest.mark.parametrize("action", ["CancelFlightInfo", "CancelQuery"])
def test_a_query_is_cancelled(client: Client, action: str) -> None:
    info, reader = begun(client)
    body = cancelling(info)
    if action == "CancelQuery":
        body = messages.wrapped("ActionCancelQueryRequest", info=info.serialize())
    done, gone = [client.act(action, body)[0] for _ in range(2)]
    if action == "CancelQuery":
        done, gone = (messages.unwrapped(one, "result")[1].SerializeToString() for one in (done, gone))
    assert (done, gone) == (b"\x08\x01", b"\x08\x03")
    with pytest.raises(flight.FlightCancelledError, match="cancelled"):
        rest(reader)
    assert client.rows("SELECT 1 AS a") == [{"a": 1}]


def test_adbc_cancels(server: Replaystack) -> None:
    with connect(PORT) as connection, connection.cursor() as cursor:
        thread = threading.Thread(target=lambda: (busy_worker(server), cursor.adbc_cancel()))
        thread.start()
        with pytest.raises(dbapi.Error):
            cursor.execute(ENDLESS)
            cursor.fetchall()
        thread.join()


def test_a_query_that_takes_too_long_is_ended(client: Client) -> None:
    with pytest.raises(pa.ArrowInvalid, match="sql_timeout_s"):
        client.rows(ENDLESS)
    with pytest.raises(pa.ArrowInvalid, match="sql_memory_bytes"):
        client.rows("SELECT list(i) FROM range(1000000000) r(i)")


def test_more_than_may_wait_are_refused(client: Client) -> None:
    info = client.info("CommandStatementQuery", query=ENDLESS)
    said: list[str] = []
    threads = [threading.Thread(target=lambda: said.append(failure(client, info))) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    refused = [one for one in said if "sql_queries and sql_waiting" in one]
    ended = [one for one in said if "sql_timeout_s" in one]
    assert len(refused) + len(ended) == 6
    assert len(refused) >= 3


def test_the_server_ends_while_a_client_does_not_read(fresh_server: FreshServer) -> None:
    port = free_port()
    settings: dict[str, Any] = SETTINGS | {
        "flight_port": port,
        "sql_timeout_s": 600.0,
        "shutdown_grace_s": 0.0,
    }
    server = fresh_server(environment=ENVIRONMENT, **settings)
    wait_until_open(server)
    with Client(port) as client:
        _, reader = begun(client)
        assert server.stop() == 0
        with pytest.raises(flight.FlightUnavailableError):
            rest(reader)
    assert '"level":"error"' not in server.log, server.log
