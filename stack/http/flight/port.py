"""The service of Arrow Flight with the commands of Flight SQL, on a port of its own.

`GetFlightInfo` checks a query and says which columns its result has, with a ticket; `DoGet` with the ticket runs it. A result
that exceeds a limit is sent as far as it goes, and then ends with an error: a tool that reads all of it must not take a
part for the whole, and one that shows the first rows can.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from stack.errors import Invalid, NotOffered, RequestTimeout, TooLarge, Unavailable
from stack.http.body_limit import BytesInFlight
from stack.http.flight import actions, messages
from stack.http.flight.arrow_tables import Column, schema
from stack.http.flight.calls import Call, served
from stack.http.flight.catalog import COMMANDS, Catalog
from stack.http.flight.parameters import Arriving
from stack.http.flight.relay import Cancelled, Relay
from stack.http.flight.statements import PreparedStatements, Statement, Tickets
from stack.http.grpc_server import Admission, Admit, GrpcLoop, GrpcServer
from stack.providers.sql.ipc import Splitter, schema_of
from stack.services.requests.rates import RateLimits
from stack.services.sql.sql import SqlEnd, SqlService

if TYPE_CHECKING:
    import grpc

SERVICE = "arrow.flight.protocol.FlightService"
MAX_BYTES = 4 * 2**20
"""Maximum size of a received message in bytes."""
MAX_ARRIVING = 64
MAX_AGE_MS = 30 * 60_000
KEEPALIVE_MS = 60_000
_BY_COMMAND = 2
_NO_TRANSACTIONS = "Transactions are not offered: everything is read only. Connect with autocommit."


class FlightPort:
    """Must be created in the event loop in which `service` is used. A message must arrive within `timeout_s` seconds."""

    def __init__(
        self, loop: GrpcLoop, service: SqlService, admit: Admit, rates: RateLimits, timeout_s: float
    ) -> None:
        self._service = service
        self._admission = Admission(admit, rates, appends=False)
        self._timeout_s = timeout_s
        self._arriving = BytesInFlight(MAX_ARRIVING)
        self._tickets = Tickets()
        self._prepared = PreparedStatements()
        self._catalog = Catalog(self._view_columns)
        # The queries that run, with the numbers of their tickets: one ticket may be used several times at once.
        self._relays: dict[Relay, str] = {}
        # A client that stops reading keeps its call until its connection is closed.
        grace_ms = 60_000 + int(2000 * service.limits.timeout_s)
        options = [
            ("grpc.max_receive_message_length", MAX_BYTES),
            ("grpc.keepalive_time_ms", KEEPALIVE_MS),
            ("grpc.max_connection_age_ms", MAX_AGE_MS),
            ("grpc.max_connection_age_grace_ms", grace_ms),
        ]
        self._server = GrpcServer(loop, self._handlers, options)
        self.start = self._server.start

    def stop(self) -> None:
        """Ends all queries, and blocks until their calls have ended, for 2 s at most."""
        self._server.stop(self._end_queries)

    def _end_queries(self) -> None:
        for relay in self._relays:
            relay.end(Unavailable("The server is shutting down.", retry_after=5))

    def _handlers(self) -> list[grpc.GenericRpcHandler]:
        import grpc

        methods = {
            "Handshake": self._handshake,
            "ListFlights": self._list_flights,
            "GetFlightInfo": self._flight_info,
            "GetSchema": self._schema,
            "DoGet": self._get,
            "DoPut": self._put,
            "DoAction": self._act,
            "ListActions": self._list_actions,
            "DoExchange": self._not_offered,
            "PollFlightInfo": self._not_offered,
        }
        handlers = {
            name: grpc.stream_stream_rpc_method_handler(
                served(method, self._admission, self._arriving, self._timeout_s)
            )
            for name, method in methods.items()
        }
        return [grpc.method_handlers_generic_handler(SERVICE, handlers)]

    async def _handshake(self, call: Call) -> None:
        """A client sends a key as the password of its user, and gets the header for its calls."""
        await call.context.send_initial_metadata((("authorization", f"Bearer {call.token or 'none'}"),))
        await call.send(messages.new("HandshakeResponse").SerializeToString())

    async def _list_flights(self, call: Call) -> None:
        """There are none: tools ask for tables with commands of Flight SQL."""
        await call.only_message()

    async def _flight_info(self, call: Call) -> None:
        descriptor = messages.parsed("FlightDescriptor", await call.only_message(), "descriptor")
        name, command = _command(descriptor)
        if name in COMMANDS:
            columns, ticket = schema_of(self._catalog.columns(name, command)), descriptor.cmd
        else:
            statement = self._statement(call, name, command)
            columns = await self._columns(statement)
            ticket = messages.wrapped(
                "TicketStatementQuery", statement_handle=self._tickets.issued(statement)
            )
        endpoint = messages.new("FlightEndpoint", ticket=messages.new("Ticket", ticket=ticket))
        info = messages.new(
            "FlightInfo",
            schema=columns,
            flight_descriptor=descriptor,
            endpoint=[endpoint],
            total_records=-1,
            total_bytes=-1,
        )
        await call.send(info.SerializeToString())

    async def _schema(self, call: Call) -> None:
        name, command = _command(messages.parsed("FlightDescriptor", await call.only_message(), "descriptor"))
        if name in COMMANDS:
            columns = schema_of(self._catalog.columns(name, command))
        else:
            columns = await self._columns(self._statement(call, name, command))
        await call.send(messages.new("SchemaResult", schema=columns).SerializeToString())

    async def _get(self, call: Call) -> None:
        ticket = messages.parsed("Ticket", await call.only_message(), "ticket").ticket
        name, command = messages.unwrapped(ticket, "ticket")
        if name in COMMANDS:
            for message in Splitter().messages(await self._catalog.answer(name, command)):
                await call.send(message.flight_data)
        elif name == "TicketStatementQuery":
            await self._run(call, self._tickets.statement(command.statement_handle, call.actor))
        else:
            raise Invalid(f"ticket: {name[:100]} is no ticket; get one with GetFlightInfo.")

    async def _run(self, call: Call, statement: Statement) -> None:
        relay = Relay(self._service, statement, self._admission.loop)
        self._relays[relay] = statement.number
        left_s, now_s = self._service.limits.timeout_s, asyncio.get_running_loop().time
        try:
            while not isinstance(message := await relay.next(), SqlEnd):
                began_s = now_s()
                async with asyncio.timeout(left_s):
                    await call.send(message)
                left_s -= now_s() - began_s
        except TimeoutError:
            raise RequestTimeout(
                f"The client took more than the {self._service.limits.timeout_s:g} s of the setting sql_timeout_s to read the "
                "result."
            ) from None
        finally:
            del self._relays[relay]
            relay.close()
        if message.limit:
            raise TooLarge(
                f"The result is not complete: after {message.rows} rows it exceeds the setting {message.limit}. Ask for less, "
                "with LIMIT or an aggregate."
            )

    async def _put(self, call: Call) -> None:
        data = messages.parsed("FlightData", await call.only_message(), "data")
        name, command = _command(data.flight_descriptor)
        if name != "CommandPreparedStatementQuery":
            raise NotOffered(
                f"{name[:100]} is not offered: everything is read only. Send one SELECT as a query."
            )
        handle = command.prepared_statement_handle
        self._prepared.used(handle, call.actor)
        arriving = Arriving()
        arriving.add(data.data_header, data.data_body)
        while (message := await call.message()) is not None:
            data = messages.parsed("FlightData", message, "data")
            arriving.add(data.data_header, data.data_body)
        self._prepared.bind(handle, call.actor, arriving.values())
        bound = messages.new("DoPutPreparedStatementResult", prepared_statement_handle=handle)
        await call.send(messages.new("PutResult", app_metadata=bound.SerializeToString()).SerializeToString())

    async def _act(self, call: Call) -> None:
        action = messages.parsed("Action", await call.only_message(), "action")
        match action.type:
            case "CreatePreparedStatement":
                await self._prepare(call, actions.request(action))
            case "ClosePreparedStatement":
                self._prepared.close(actions.request(action).prepared_statement_handle, call.actor)
            case "CancelFlightInfo" | "CancelQuery":
                await self._cancel(call, action)
            case _:
                raise actions.refused(action.type)

    async def _prepare(self, call: Call, request: Any) -> None:
        if request.transaction_id:
            raise NotOffered(_NO_TRANSACTIONS)
        names, described = await self._admission.in_loop(self._service.described(request.query, None))
        columns = schema_of(described)
        known = b"" if names else columns
        handle = self._prepared.add(Statement(call.actor, request.query, [], known))
        # Their types are those of the values that are bound; texts become what a query needs.
        wanted = schema([Column(one, "string", True) for one in names])
        result = messages.wrapped(
            "ActionCreatePreparedStatementResult",
            prepared_statement_handle=handle,
            dataset_schema=columns,
            parameter_schema=schema_of(wanted),
        )
        await call.send(messages.new("Result", body=result).SerializeToString())

    async def _cancel(self, call: Call, action: Any) -> None:
        """Ends the query of a `FlightInfo` if it runs."""
        info = actions.cancelled_info(action)
        found = False
        for endpoint in info.endpoint:
            name, command = messages.unwrapped(endpoint.ticket.ticket, "ticket")
            if name == "TicketStatementQuery":
                statement = self._tickets.statement(command.statement_handle, call.actor)
                for relay in [one for one, number in self._relays.items() if number == statement.number]:
                    relay.end(Cancelled("The query was cancelled."))
                    found = True
        await call.send(actions.cancel_result(action, found))

    async def _list_actions(self, call: Call) -> None:
        for name, description in actions.OFFERED.items():
            await call.send(
                messages.new("ActionType", type=name, description=description).SerializeToString()
            )

    async def _not_offered(self, call: Call) -> None:
        raise NotOffered(
            "This method is not offered. Ask for a query with GetFlightInfo, and read it with DoGet."
        )

    def _statement(self, call: Call, name: str, command: Any) -> Statement:
        """Returns what a command runs. Raises NotOffered, NotFound."""
        if name == "CommandStatementQuery":
            if command.transaction_id:
                raise NotOffered(_NO_TRANSACTIONS)
            return Statement(call.actor, command.query, [])
        if name == "CommandPreparedStatementQuery":
            return self._prepared.used(command.prepared_statement_handle, call.actor)
        raise NotOffered(f"{name[:100]} is not offered here. Send one SELECT as CommandStatementQuery.")

    async def _columns(self, statement: Statement) -> bytes:
        if statement.columns:
            return statement.columns
        work = self._service.described(statement.query, statement.parameters)
        return schema_of((await self._admission.in_loop(work))[1])

    async def _view_columns(self, query: str) -> bytes:
        return await self._columns(Statement("", query, []))


def _command(descriptor: Any) -> tuple[str, Any]:
    """Raises Invalid."""
    if descriptor.type != _BY_COMMAND:
        raise Invalid("descriptor: it has no command. Send one of Arrow Flight SQL.")
    return messages.unwrapped(descriptor.cmd, "descriptor")
