"""The tasks of an SQL worker, and the frames of its answers."""

from __future__ import annotations

from typing import Any, Literal

from msgspec import Struct

from stack.workers import framing

MODULE = "stack.providers.sql.worker"

HEAD, BODY, REFUSED, END = range(framing.OWN, framing.OWN + 4)
"""Frames: `Head` in JSON, a part of the body, and `Refusal` in JSON, after which nothing follows. A body that is sent while
the query runs has a first head without counts, and END, which is its `Head`, as its last; it may end with a refusal."""

Format = Literal["json", "ndjson", "csv", "arrow", "parquet", "flight"]
"""`flight` has encoded messages `FlightData` of Arrow Flight as its parts, sent while the query runs."""
Parameters = list[Any] | dict[str, Any]


class Load(Struct, frozen=True, tag="load"):
    """Import what queries need: the first task of a worker that waits for a snapshot."""


class Copy(Struct, frozen=True, tag="copy"):
    """Copy these database files, by name, with their write-ahead logs, to a folder. At least `reserve_bytes`
    of the disk stay free."""

    files: dict[str, str]
    folder: str
    reserve_bytes: int


class Attach(Struct, frozen=True, tag="attach"):
    """Open the copies, which serve these schemas, and their sealed files in the folder `sealed`, and give up everything but
    computing. `statements` create the views, and others that they need, which queries cannot name, by the name of each;
    `past` creates those of the past. `memory_bytes` limits DuckDB's buffers."""

    folder: str
    sealed: str
    views_schema: str
    telemetry_schema: str
    views: list[str]
    statements: dict[str, str]
    past: dict[str, str]
    memory_bytes: int


class Attached(Struct, frozen=True):
    """The answer to `Attach`: the positions of the copies."""

    views: int
    telemetry: int


class AsOf(Struct, frozen=True):
    """Shows what had been recorded up to this position of the event log, and of telemetry what had happened by this time, in
    ns since 1970."""

    position: int
    until_ns: int


class Run(Struct, frozen=True, tag="run"):
    """Answer a query, of the past if `as_of` is given, with at most so many rows and bytes of body. With 0 rows the body has
    the columns, and nothing is computed. Parameters that are not known yet are None: each of them is NULL."""

    query: str
    parameters: Parameters | None
    format: Format
    max_rows: int
    max_bytes: int
    as_of: AsOf | None = None


Task = Load | Copy | Attach | Run


class Head(Struct, frozen=True):
    """`truncated` is the limit that cut the result: `rows`, `bytes`, or empty. `parameters` has the names of those of the
    query, such as `1` for `?`."""

    rows: int
    truncated: str
    parameters: list[str] = []


class Refusal(Struct, frozen=True):
    """`status` is that of HTTP: 400 for a query that cannot be answered, 503 for files that cannot be
    copied."""

    status: int
    detail: str
