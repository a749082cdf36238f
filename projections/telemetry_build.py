"""The tables of telemetry: one schema of the file `telemetry`, and the log position that they have reached.

`telemetry.main.served` contains the schema's name, the hash of its SQL and the log it follows; if the hash or
the log differs, the tables are recreated. After a crash the row is either complete or missing. Old tables
that hold data which a damaged log has lost are kept, and named in `telemetry.main.kept`; anything else in the
file is obsolete.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from msgspec import Struct

from projections import log_records, metrics, spans, traces
from projections.sealed_spans import SealedWrites, forget_runs, runs
from projections.span_store import SpanStore, merge_traces, write_text
from projections.telemetry_columns import (
    HISTOGRAMS,
    LOGS,
    NUMBER,
    NUMBERS_PER_POSITION,
    POINTS,
    RESOURCES,
    SCOPES,
    STREAMS,
    Columns,
)
from projections.warehouse.column_batch import Batch, Rows, numbers
from projections.warehouse.plan import Plan, compile_plan, in_schema
from projections.warehouse.transaction import File, Transaction

logger = logging.getLogger("replaystack.telemetry")

_KNOWN_ORIGINS = 65_536
# In the order of insertion: points refer to their streams.
_NUMBERED: dict[str, Columns] = {
    "streams": STREAMS,
    "points": POINTS,
    "histograms": HISTOGRAMS,
    "logs": LOGS,
}

_SERVED = """CREATE TABLE IF NOT EXISTS telemetry.main.served (
    schema_name VARCHAR NOT NULL, schema_hash VARCHAR NOT NULL, epoch VARCHAR NOT NULL)"""
_KEPT = (
    "CREATE TABLE IF NOT EXISTS telemetry.main.kept (schema_name VARCHAR NOT NULL, position BIGINT NOT NULL)"
)


class TablesState(Struct, frozen=True):
    """The log from which tables on disk were built, and the position that they have reached. `kept` names the
    schemas of old tables that hold data which a damaged log has lost."""

    epoch: str = ""
    position: int = 0
    kept: tuple[str, ...] = ()


class TelemetryWrites(Protocol):
    """Where the tables are written: the warehouse, or a file that will replace the warehouse's own."""

    def write(self, file: File) -> AbstractContextManager[Transaction]: ...

    def write_concurrently(self, file: File) -> AbstractContextManager[Transaction]: ...

    def attach_sealed(self, numbers: Collection[int]) -> None: ...


class Sealable(TelemetryWrites, SealedWrites, Protocol):
    """The warehouse."""


class Arrival(Struct):
    """A decoded request, as rows by table, and its position in the log."""

    position: int
    batches: dict[str, Batch]

    def rows(self, table: str) -> int:
        batch = self.batches.get(table)
        return batch.rows if batch is not None else 0


class TelemetryBuild:
    """Applies arrivals to its own schema. One thread applies; another one may seal old spans at the same
    time."""

    def __init__(self, target: TelemetryWrites, number: int) -> None:
        self.schema = f"telemetry.build_{number}"
        self.position = 0
        self.kept: list[str] = []
        self._target = target
        self._spans = SpanStore(self.schema)
        self._known_origins: set[bytes] = set()

    @classmethod
    def state(cls, target: TelemetryWrites) -> TablesState:
        """Returns the state of the existing tables, whichever version built them. Raises StatementRefused,
        StorageFailed."""
        with target.write("telemetry") as transaction:
            found = _served(transaction)
            kept = tuple(kept_schemas(transaction))
            return TablesState(kept=kept) if found is None else TablesState(found.epoch, found.position, kept)

    @classmethod
    def open(cls, target: TelemetryWrites, epoch: str, lost: Callable[[], int] = lambda: 0) -> TelemetryBuild:
        """Opens the existing schema if it belongs to this log and to this version's SQL; otherwise creates an
        empty one. `lost` returns the first position that the log has lost, 0 if none: old tables that hold it
        are kept. It is called only if there are old tables of this log. Raises StatementRefused,
        StorageFailed."""
        plan = telemetry_plan()
        with target.write("telemetry") as transaction:
            found, kept = _served(transaction), kept_schemas(transaction)
        if found is not None and (found.schema_hash, found.epoch) == (plan.hash, epoch):
            build = cls(target, int(found.schema.removeprefix("build_")))
            build.position, build.kept = found.position, kept
            with target.write("telemetry") as transaction:
                sealed = [run.file for run in runs(transaction, build.schema)]
            target.attach_sealed(sealed)
            return build
        first_lost = lost() if found is not None and found.epoch == epoch else 0
        with target.write("telemetry") as transaction:
            transaction.run(_KEPT)
            if found is not None and 0 < first_lost <= found.position:
                logger.error(
                    "the tables of telemetry are made again from a damaged log; the old ones are kept as %s",
                    found.schema,
                )
                transaction.run(
                    "INSERT INTO telemetry.main.kept VALUES (?, ?)", [found.schema, found.position]
                )
            elif found is not None and found.epoch != epoch:
                logger.warning("the tables of telemetry are of another log, and are made again from this one")
            return cls._created(target, transaction, plan, epoch)

    @classmethod
    def _created(
        cls, target: TelemetryWrites, transaction: Transaction, plan: Plan, epoch: str
    ) -> TelemetryBuild:
        last = 0
        kept = kept_schemas(transaction)
        for (name,) in transaction.rows(
            "SELECT schema_name FROM duckdb_schemas() "
            "WHERE database_name = 'telemetry' AND starts_with(schema_name, 'build_')"
        ):
            last = max(last, int(name.removeprefix("build_")))
            if name not in kept:
                transaction.run(f"DROP SCHEMA telemetry.{name} CASCADE")
        build = cls(target, last + 1)
        build.kept = kept
        transaction.run(f"CREATE SCHEMA {build.schema}")
        for ddl in plan.ddl:
            transaction.run(in_schema(ddl, build.schema))
        transaction.run(f"CREATE TABLE {build.schema}.progress (position BIGINT NOT NULL)")
        transaction.run(f"INSERT INTO {build.schema}.progress VALUES (0)")
        transaction.run("DELETE FROM telemetry.main.served")
        transaction.run(
            "INSERT INTO telemetry.main.served VALUES (?, ?, ?)", [f"build_{last + 1}", plan.hash, epoch]
        )
        return build

    def moved_to(self, target: TelemetryWrites) -> None:
        """Must be called after the file of the build has replaced that of `target`."""
        self._target = target

    def apply(self, arrivals: Sequence[Arrival]) -> None:
        """Applies arrivals and their positions in one transaction. Raises StatementRefused, StorageFailed; in
        this case nothing was applied."""
        if not arrivals:
            return
        last = arrivals[-1].position
        with self._target.write("telemetry") as transaction:
            self._arrive(transaction, arrivals)
            transaction.run(f"UPDATE {self.schema}.progress SET position = ?", [last])
        self.position = last
        self._spans.committed()
        self._remember_origins(arrivals)

    def forget_before(self, target: Sealable, position: int) -> None:
        """Removes all rows of earlier requests. Raises StatementRefused, StorageFailed."""
        number = position * NUMBERS_PER_POSITION
        with target.sealing(), target.write("telemetry") as transaction:
            transaction.run("CREATE OR REPLACE TEMP TABLE forgetting AS SELECT ?::BIGINT AS number", [number])
            transaction.run(write_text("telemetry_thinned", self.schema))
            forget_runs(transaction, self.schema, number)
            transaction.run(write_text("telemetry_forget", self.schema))
            merge_traces(transaction, self.schema)
            transaction.run("DROP TABLE forgetting")
            # It is no longer known which of them remain.
            self._known_origins.clear()
        self._spans.forget_before(number)

    def _arrive(self, transaction: Transaction, arrivals: Sequence[Arrival]) -> None:
        self._arrive_origins(transaction, "resources", RESOURCES, arrivals)
        self._arrive_origins(transaction, "scopes", SCOPES, arrivals)
        spans_batches = _numbered("spans", arrivals)
        if spans_batches:
            self._spans.arrive(transaction, spans_batches)
        for table, columns in _NUMBERED.items():
            batches = _numbered(table, arrivals)
            if batches:
                rows = Rows({**columns, **NUMBER}, batches)
                transaction.run_over(write_text(f"{table}_arrive", self.schema), arriving=rows)

    def _arrive_origins(
        self, transaction: Transaction, table: str, columns: Columns, arrivals: Sequence[Arrival]
    ) -> None:
        """Inserts resources and scopes, except those that are known to exist."""
        batches = []
        for arrival in arrivals:
            batch = arrival.batches.get(table)
            # The first column holds the ids: a sender's requests refer to the same ones.
            if batch is not None and batch.buffers[0] not in self._known_origins:
                batches.append(batch)
        if batches:
            transaction.run_over(write_text(f"{table}_arrive", self.schema), arriving=Rows(columns, batches))

    def _remember_origins(self, arrivals: Sequence[Arrival]) -> None:
        for arrival in arrivals:
            for table in ("resources", "scopes"):
                if table in arrival.batches:
                    self._known_origins.add(arrival.batches[table].buffers[0])
        if len(self._known_origins) > _KNOWN_ORIGINS:
            self._known_origins.clear()


class _Served(Struct, frozen=True):
    schema: str
    schema_hash: str
    epoch: str
    position: int


def kept_schemas(transaction: Transaction) -> list[str]:
    """Returns the schemas of old tables that hold data which a damaged log has lost, such as `build_3`."""
    if not transaction.rows(
        "SELECT 1 FROM duckdb_tables() "
        "WHERE database_name = 'telemetry' AND schema_name = 'main' AND table_name = 'kept'"
    ):
        return []
    return [
        name for (name,) in transaction.rows("SELECT schema_name FROM telemetry.main.kept ORDER BY position")
    ]


def drop_kept(transaction: Transaction) -> list[str]:
    """Drops these schemas; returns their names."""
    kept = kept_schemas(transaction)
    for name in kept:
        transaction.run(f"DROP SCHEMA IF EXISTS telemetry.{name} CASCADE")
    if kept:
        transaction.run("DELETE FROM telemetry.main.kept")
    return kept


def _served(transaction: Transaction) -> _Served | None:
    transaction.run(_SERVED)
    found = transaction.rows("SELECT schema_name, schema_hash, epoch FROM telemetry.main.served")
    if len(found) != 1:
        return None
    schema, schema_hash, epoch = found[0]
    ((position,),) = transaction.rows(f"SELECT position FROM telemetry.{schema}.progress")
    return _Served(schema, schema_hash, epoch, position)


def telemetry_plan() -> Plan:
    """Returns the plan that creates the tables; its hash identifies the version of their SQL."""
    return compile_plan((spans.READ_MODEL, traces.READ_MODEL, metrics.READ_MODEL, log_records.READ_MODEL))


def _numbered(table: str, arrivals: Sequence[Arrival]) -> list[Batch]:
    """Returns the batches of a table, with the numbers of their rows as the last column."""
    found = []
    for arrival in arrivals:
        batch = arrival.batches.get(table)
        if batch is not None:
            first = arrival.position * NUMBERS_PER_POSITION
            found.append(
                Batch(batch.rows, [*batch.buffers, *numbers("i64", range(first, first + batch.rows))])
            )
    return found
