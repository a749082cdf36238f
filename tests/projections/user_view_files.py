"""Files of a warehouse with history in them, and users' views over copies of the files in another DuckDB instance."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb

from projections.read_models import current_plan
from projections.telemetry_build import Arrival, TelemetryBuild
from projections.user_views import AS_OF_NS, AS_OF_POSITION, past_statements, statements
from projections.user_views.prices import Price
from projections.warehouse.engine import Engine
from projections.warehouse.instance import Warehouse
from telemetry.log.port import Content, Signal
from telemetry.wire.receive import receive
from tests.projections.feeds import ListFeed
from tests.projections.histories import Happening

MAX_BYTES = 2**26
Request = tuple[Signal, bytes]


class UserSql:
    """Queries as a user writes them. `views` are the names of the schemas that the files serve."""

    def __init__(self, folder: Path) -> None:
        # Other names than those of the server's instance: nothing may depend on them.
        self.database = duckdb.connect()
        self.schemas = [self._attached(folder, "views", "v"), self._attached(folder, "telemetry", "t")]
        self.create(None)

    def create(self, as_of: int | None, prices: Sequence[Price] = (), until_ns: int = 2**63 - 1) -> None:
        """Creates the views again in a schema of their own."""
        self.database.execute("DROP SCHEMA IF EXISTS users CASCADE")
        self.database.execute("CREATE SCHEMA users")
        self.database.execute("SET schema = 'users'")
        self.database.execute(f"SET VARIABLE {AS_OF_POSITION} = {as_of or 0}")
        self.database.execute(f"SET VARIABLE {AS_OF_NS} = {until_ns}")
        made = statements if as_of is None else past_statements
        for statement in made(*self.schemas, prices).values():
            self.database.execute(statement)

    def rows(self, sql: str, **params: Any) -> list[tuple[Any, ...]]:
        return self.database.execute(sql, params or None).fetchall()

    def dicts(self, sql: str, **params: Any) -> list[dict[str, Any]]:
        found = self.database.execute(sql, params or None)
        names = [column[0] for column in found.description]
        return [dict(zip(names, row, strict=True)) for row in found.fetchall()]

    def one(self, sql: str, **params: Any) -> dict[str, Any]:
        [row] = self.dicts(sql, **params)
        return row

    def _attached(self, folder: Path, file: str, name: str) -> str:
        copy = folder / f"copy_of_{file}"
        shutil.copy(folder / f"{file}.duckdb", copy)
        self.database.execute(f"ATTACH '{copy}' AS {name} (READ_ONLY)")
        ((schema,),) = self.rows(f"SELECT schema_name FROM {name}.main.served")
        return f"{name}.{schema}"


@contextmanager
def user_sql(
    folder: Path, events: Sequence[Happening] | ListFeed, requests: Sequence[Request] = ()
) -> Iterator[UserSql]:
    """The views over these events and OTLP requests."""
    feed = events if isinstance(events, ListFeed) else ListFeed()
    warehouse = Warehouse.open(folder)
    try:
        engine = Engine(warehouse, feed, current_plan())
        engine.start()
        try:
            if not isinstance(events, ListFeed):
                feed.append(*events)
            engine.reached_blocking(feed.head(), 60)
            assert engine.state().failed_events == []
        finally:
            engine.stop()
        build = TelemetryBuild.open(warehouse, "epoch")
        for position, (signal, body) in enumerate(requests, 1):
            build.apply([Arrival(position, receive(Content(signal), body, MAX_BYTES).batches)])
    finally:
        warehouse.close()
    sql = UserSql(folder)
    try:
        yield sql
    finally:
        sql.database.close()
