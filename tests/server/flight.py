"""A client's parts for Arrow Flight SQL: ADBC's driver, and commands by hand through pyarrow's client."""

from __future__ import annotations

from typing import Any

import adbc_driver_flightsql.dbapi as dbapi
import pyarrow as pa
import pyarrow.flight as flight
from google.protobuf.any_pb2 import Any as Wrapped

from stack.http.flight import messages
from tests.server.process import Replaystack, wait_until

KEYS = {"ann": "key-of-ann", "bob": "key-of-bob"}
ENVIRONMENT = {"REPLAYSTACK_API_KEYS": ",".join(f"{name}:{key}" for name, key in KEYS.items())}


def wait_until_open(server: Replaystack) -> None:
    wait_until(lambda: "taking Arrow Flight SQL" in server.log, 60.0)


def connect(port: int, name: str = "ann", **options: str) -> dbapi.Connection:
    given = {"username": name, "password": KEYS[name]} | options
    return dbapi.connect(f"grpc://127.0.0.1:{port}", db_kwargs=given, autocommit=True)


class Client:
    """Sends messages of Flight SQL as they are written here."""

    def __init__(self, port: int, name: str = "ann") -> None:
        self.flight = flight.connect(("127.0.0.1", port))
        self.options = flight.FlightCallOptions(
            headers=[(b"authorization", f"Bearer {KEYS[name]}".encode())], timeout=60
        )

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.flight.close()

    def info(self, name: str, **fields: Any) -> flight.FlightInfo:
        descriptor = flight.FlightDescriptor.for_command(messages.wrapped(name, **fields))
        return self.flight.get_flight_info(descriptor, self.options)

    def columns(self, name: str, **fields: Any) -> pa.Schema:
        descriptor = flight.FlightDescriptor.for_command(messages.wrapped(name, **fields))
        return self.flight.get_schema(descriptor, self.options).schema

    def read(self, info: flight.FlightInfo) -> pa.Table:
        [endpoint] = info.endpoints
        return self.flight.do_get(endpoint.ticket, self.options).read_all()

    def table(self, name: str, **fields: Any) -> pa.Table:
        """The whole answer, whose columns are those that were announced."""
        info = self.info(name, **fields)
        found = self.read(info)
        found.validate(full=True)
        assert found.schema == info.schema
        assert found.schema == self.columns(name, **fields)
        return found

    def rows(self, query: str) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = self.table("CommandStatementQuery", query=query).to_pylist()
        return rows

    def act(self, kind: str, body: bytes) -> list[bytes]:
        return [one.body.to_pybytes() for one in self.flight.do_action((kind, body), self.options)]

    def prepared(self, query: str) -> Any:
        """The answer to the creation of a prepared statement."""
        body = messages.wrapped("ActionCreatePreparedStatementRequest", query=query)
        [result] = self.act("CreatePreparedStatement", body)
        name, content = messages.unwrapped(result, "result")
        assert name == "ActionCreatePreparedStatementResult"
        return content

    def bind(self, handle: bytes, values: pa.Table) -> None:
        command = messages.wrapped("CommandPreparedStatementQuery", prepared_statement_handle=handle)
        descriptor = flight.FlightDescriptor.for_command(command)
        writer, reader = self.flight.do_put(descriptor, values.schema, self.options)
        writer.write_table(values)
        writer.done_writing()
        reader.read()
        writer.close()


def any_of(type_url: str, value: bytes = b"") -> bytes:
    return bytes(Wrapped(type_url=type_url, value=value).SerializeToString())
