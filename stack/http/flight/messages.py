"""The messages of Arrow Flight and Flight SQL (`Flight.proto`, `FlightSql.proto`), as far as they are used here.

No maintained package has them apart from Arrow's own libraries, which do not show those of Flight SQL in Python, so they
are described here: fields by their numbers. Commands of Flight SQL are wrapped in `google.protobuf.Any`.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Any

from stack.errors import Invalid

PACKAGE = "arrow.flight.protocol.sql"
_ANY_PREFIX = "type.googleapis.com/"
_FIELD = re.compile(r"(repeated |optional )?(\w+) (\w+) = (\d+)")

_MESSAGES = {
    # Flight
    "HandshakeRequest": "uint64 protocol_version = 1; bytes payload = 2",
    "HandshakeResponse": "uint64 protocol_version = 1; bytes payload = 2",
    "ActionType": "string type = 1; string description = 2",
    "Action": "string type = 1; bytes body = 2",
    "Result": "bytes body = 1",
    "SchemaResult": "bytes schema = 1",
    "FlightDescriptor": "int32 type = 1; bytes cmd = 2; repeated string path = 3",
    "Ticket": "bytes ticket = 1",
    "Location": "string uri = 1",
    "FlightEndpoint": "Ticket ticket = 1; repeated Location location = 2",
    "FlightInfo": "bytes schema = 1; FlightDescriptor flight_descriptor = 2; repeated FlightEndpoint endpoint = 3; "
    "int64 total_records = 4; int64 total_bytes = 5; bool ordered = 6",
    "FlightData": "FlightDescriptor flight_descriptor = 1; bytes data_header = 2; bytes app_metadata = 3; "
    "bytes data_body = 1000",
    "PutResult": "bytes app_metadata = 1",
    "CancelFlightInfoRequest": "FlightInfo info = 1",
    "CancelFlightInfoResult": "int32 status = 1",
    # Flight SQL: what is asked
    "CommandGetSqlInfo": "repeated uint32 info = 1",
    "CommandGetXdbcTypeInfo": "optional int32 data_type = 1",
    "CommandGetCatalogs": "",
    "CommandGetDbSchemas": "optional string catalog = 1; optional string db_schema_filter_pattern = 2",
    "CommandGetTables": "optional string catalog = 1; optional string db_schema_filter_pattern = 2; "
    "optional string table_name_filter_pattern = 3; repeated string table_types = 4; bool include_schema = 5",
    "CommandGetTableTypes": "",
    "CommandGetPrimaryKeys": "optional string catalog = 1; optional string db_schema = 2; string table = 3",
    "CommandGetExportedKeys": "optional string catalog = 1; optional string db_schema = 2; string table = 3",
    "CommandGetImportedKeys": "optional string catalog = 1; optional string db_schema = 2; string table = 3",
    "CommandGetCrossReference": "optional string pk_catalog = 1; optional string pk_db_schema = 2; string pk_table = 3; "
    "optional string fk_catalog = 4; optional string fk_db_schema = 5; string fk_table = 6",
    "CommandStatementQuery": "string query = 1; optional bytes transaction_id = 2",
    "CommandPreparedStatementQuery": "bytes prepared_statement_handle = 1",
    "TicketStatementQuery": "bytes statement_handle = 1",
    "ActionCreatePreparedStatementRequest": "string query = 1; optional bytes transaction_id = 2",
    "ActionCreatePreparedStatementResult": "bytes prepared_statement_handle = 1; bytes dataset_schema = 2; "
    "bytes parameter_schema = 3",
    "ActionClosePreparedStatementRequest": "bytes prepared_statement_handle = 1",
    "DoPutPreparedStatementResult": "optional bytes prepared_statement_handle = 1",
    "ActionCancelQueryRequest": "bytes info = 1",
    "ActionCancelQueryResult": "int32 result = 1",
}


def new(name: str, **fields: Any) -> Any:
    """Returns a new message."""
    return _classes()[name](**fields)


def parsed(name: str, data: bytes, what: str) -> Any:
    """Returns the message in `data`. Raises Invalid, with `what` it is."""
    from google.protobuf.message import DecodeError

    try:
        return _classes()[name].FromString(data)
    except DecodeError:
        raise Invalid(f"{what}: it is not a message {name} of Arrow Flight.") from None


def unwrapped(data: bytes, what: str) -> tuple[str, Any]:
    """Returns the name and the content of a message of Flight SQL. A name that is not known has no content. Raises
    Invalid."""
    from google.protobuf.any_pb2 import Any as Wrapped
    from google.protobuf.message import DecodeError

    try:
        wrapped = Wrapped.FromString(data)
    except DecodeError:
        wrapped = Wrapped()
    package, _, name = wrapped.type_url.removeprefix(_ANY_PREFIX).rpartition(".")
    if package != PACKAGE:
        raise Invalid(f"{what}: it is not a command of Arrow Flight SQL.")
    return name, parsed(name, wrapped.value, what) if name in _MESSAGES else None


def wrapped(name: str, **fields: Any) -> bytes:
    """Returns a message of Flight SQL in its wrapped form."""
    from google.protobuf.any_pb2 import Any as Wrapped

    value = new(name, **fields).SerializeToString()
    return bytes(Wrapped(type_url=f"{_ANY_PREFIX}{PACKAGE}.{name}", value=value).SerializeToString())


@cache
def _classes() -> dict[str, Any]:
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

    file = descriptor_pb2.FileDescriptorProto(
        name="replaystack/flight.proto", package="flight", syntax="proto3"
    )
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        for label, kind, field, number in _FIELD.findall(fields):
            made = message.field.add(name=field, number=int(number))
            made.label = made.LABEL_REPEATED if label == "repeated " else made.LABEL_OPTIONAL
            if kind in _MESSAGES:
                made.type, made.type_name = made.TYPE_MESSAGE, f".flight.{kind}"
            else:
                made.type = getattr(made, f"TYPE_{kind.upper()}")
            if label == "optional ":
                made.proto3_optional, made.oneof_index = True, len(message.oneof_decl)
                message.oneof_decl.add(name=f"_{field}")
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    names = [f"flight.{name}" for name in _MESSAGES]
    return {
        name.partition(".")[2]: message_factory.GetMessageClass(pool.FindMessageTypeByName(name))
        for name in names
    }
