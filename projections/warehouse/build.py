"""One build of the view: a schema with the tables of a plan, and its position in the log that it follows.

`views.main.served` names the build that serves reads. A build that replaces it is made in a new file, which
then replaces the old one (`fresh_file.py`): after a crash exactly one of the two files exists.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from projections.warehouse.batch import Batch, Batches
from projections.warehouse.errors import LogBehindView, OutOfMemory, StatementRefused
from projections.warehouse.feed import Feed, Record
from projections.warehouse.halving import apply_in_halves
from projections.warehouse.instance import Warehouse
from projections.warehouse.plan import Plan, in_schema
from projections.warehouse.readers import Served
from projections.warehouse.state import FailedEvent
from projections.warehouse.transaction import Columns, Transaction, Writes

# A log may contain any number of invalid events; a view keeps this many of them for display.
FAILED_EVENTS_KEPT = 1000
_ERROR_CHARS = 500

_SERVED = """CREATE TABLE IF NOT EXISTS views.main.served (
    schema_name VARCHAR NOT NULL, schema_hash VARCHAR NOT NULL, epoch VARCHAR NOT NULL, plan VARCHAR NOT NULL)"""


class ViewPosition(Struct, frozen=True):
    """The position of the read models on disk, and the copy of the log to which it belongs."""

    position: int
    epoch: str
    schema_hash: str


class Build:
    """Applies records to its own schema. Used by the follower's thread only. After `apply` has failed, only a
    new instance on the same schema knows its position."""

    def __init__(self, target: Writes, number: int, plan: Plan, epoch: str) -> None:
        self.number = number
        self.schema = f"views.build_{number}"
        self.plan = plan
        self.epoch = epoch
        self.position = 0
        self.failed: list[FailedEvent] = []
        self._stored_position = 0
        self._resolver = plan.resolver() if plan.resolver is not None else None
        self._batches = Batches(plan, self._resolver)
        self._target = target
        self._statements = [
            (frozenset(statement.events), in_schema(statement.sql, self.schema))
            for statement in plan.statements
        ]

    @classmethod
    def create(cls, target: Writes, plan: Plan, epoch: str) -> Build:
        """Creates an empty build; all others in the file are dropped first."""
        _drop_all(target)
        build = cls(target, 1, plan, epoch)
        with target.write() as transaction:
            transaction.run(f"CREATE SCHEMA {build.schema}")
            for ddl in plan.ddl:
                transaction.run(in_schema(ddl, build.schema))
            transaction.run(f"INSERT INTO {build.schema}.progress VALUES (0)")
        return build

    @classmethod
    def served(cls, target: Writes, current: Plan) -> Build | None:
        """Returns the build that the file serves, or None for a new file, or one whose pointer was lost. It
        uses the plan that is stored with it, and the resolver of the `current` one."""
        with target.write() as transaction:
            transaction.run(_SERVED)
            found = transaction.rows("SELECT schema_name, epoch, plan FROM views.main.served")
            if len(found) != 1:
                return None
            name, epoch, plan = found[0]
            build = cls(target, int(name.removeprefix("build_")), current.decode(plan), epoch)
            ((build.position,),) = transaction.rows(f"SELECT position FROM {build.schema}.progress")
            build._stored_position = build.position
            build.failed = [
                FailedEvent(*row)
                for row in transaction.rows(
                    f"SELECT position, stream, name, error FROM {build.schema}.failed_events ORDER BY position"
                )
            ]
            if build._resolver is not None:
                query = build.plan.queries[build._resolver.query]
                build._resolver.restore(transaction.rows(in_schema(query, build.schema)))
        return build

    def is_of(self, feed: Feed) -> bool:
        """Returns whether it was built from this copy of the log. Raises LogBehindView if the log has lost
        its events."""
        if self.epoch == feed.epoch and self.position > feed.head():
            raise LogBehindView(feed.head(), self.position)
        return self.epoch == feed.epoch

    @property
    def can_be_copied(self) -> bool:
        # The record of a failed event may contain content that is gone when the log is read again.
        return not self.failed

    def become_served(self) -> None:
        """Makes this the build that the file serves."""
        with self._target.write() as transaction:
            transaction.run(_SERVED)
            transaction.run("DELETE FROM views.main.served")
            transaction.run(
                "INSERT INTO views.main.served VALUES (?, ?, ?, ?)",
                [f"build_{self.number}", self.plan.hash, self.epoch, self.plan.encoded],
            )

    def answer_reads(self, warehouse: Warehouse, current: Plan) -> None:
        """Directs reads to this build, which is now in a file of the warehouse. For a build of another plan
        only identical queries are allowed, because others might not return the rows that this version of the
        code expects."""
        self._target = warehouse
        queries = {
            name: in_schema(sql, self.schema)
            for name, sql in current.queries.items()
            if self.plan.queries.get(name) == sql
        }
        warehouse.serve("views", Served(self.schema, queries, outdated=self.plan.hash != current.hash))

    def prepare(self, records: Sequence[Record]) -> Batch | None:
        """Prepares records that follow those of the last call for `apply`; any thread. Returns None for no
        records."""
        return self._batches.of(records) if records else None

    def apply(self, batch: Batch | None) -> None:
        """Applies a batch and its position in one transaction. If the database refuses the data, halves are
        tried, down to the single invalid event, which is recorded and skipped.

        Raises StorageFailed and OutOfMemory; then none, or a first part of the records, has been applied.
        """
        if batch is None:
            return
        rows = batch.columns
        if rows:
            apply_in_halves(
                0,
                len(rows["position"]),
                lambda first, end: self._apply_at_once(_part(rows, first, end)),
                lambda at, refused: self._pass_over(_part(rows, at, at + 1), refused),
            )
        self.position = batch.last
        if not rows and self.position - self._stored_position >= FAILED_EVENTS_KEPT:
            self.store_position()

    def store_position(self) -> None:
        """Stores the position if only irrelevant events have advanced it. These alone do not justify a
        transaction each; after a crash they are read again."""
        if self._stored_position != self.position:
            with self._target.write() as transaction:
                self._store(transaction, self.position)
            self._stored_position = self.position

    def _apply_at_once(self, rows: Columns) -> None:
        names, last = set(rows["name"]), rows["position"][-1]
        with self._target.write() as transaction:
            transaction.load(rows)
            for events, sql in self._statements:
                if not events.isdisjoint(names):
                    transaction.run(sql)
            self._store(transaction, last)
        self.position = self._stored_position = last

    def _pass_over(self, row: Columns, refused: StatementRefused) -> None:
        """Records an invalid event. Raises OutOfMemory, which is not caused by the event."""
        if isinstance(refused, OutOfMemory):
            raise refused
        error = str(refused)
        if row["state"][0] is None:
            error = "Its content in the log is damaged. `replaystack verify` tells more; restore a backup."
        failed = FailedEvent(row["position"][0], row["stream"][0], row["name"][0], error[:_ERROR_CHARS])
        with self._target.write() as transaction:
            if len(self.failed) < FAILED_EVENTS_KEPT:
                transaction.run(
                    f"INSERT INTO {self.schema}.failed_events VALUES (?, ?, ?, ?)",
                    [failed.position, failed.stream, failed.name, failed.error],
                )
            self._store(transaction, failed.position)
        if len(self.failed) < FAILED_EVENTS_KEPT:
            self.failed.append(failed)
        self.position = self._stored_position = failed.position

    def _store(self, transaction: Transaction, position: int) -> None:
        transaction.run(f"UPDATE {self.schema}.progress SET position = ?", [position])


def _part(rows: Columns, first: int, end: int) -> Columns:
    if end - first == len(rows["position"]):
        return rows
    return {name: column[first:end] for name, column in rows.items()}


def _drop_all(target: Writes) -> None:
    """Drops every build of the file, and the pointer to the served one."""
    with target.write() as transaction:
        transaction.run("DROP TABLE IF EXISTS views.main.served")
        builds = transaction.rows(
            "SELECT schema_name FROM duckdb_schemas() "
            "WHERE database_name = 'views' AND starts_with(schema_name, 'build_')"
        )
        for (name,) in builds:
            transaction.run(f"DROP SCHEMA views.{name} CASCADE")


def recorded_position(warehouse: Warehouse) -> ViewPosition | None:
    """Returns the position stored for the served build, of any plan; None if the file contains none that can
    be read. Raises StorageFailed."""
    try:
        with warehouse.write() as transaction:
            transaction.run(_SERVED)
            found = transaction.rows("SELECT schema_name, schema_hash, epoch FROM views.main.served")
            if len(found) != 1:
                return None
            name, schema_hash, epoch = found[0]
            ((position,),) = transaction.rows(f"SELECT position FROM views.{name}.progress")
    except (StatementRefused, ValueError):
        return None
    return ViewPosition(position, epoch, schema_hash)
