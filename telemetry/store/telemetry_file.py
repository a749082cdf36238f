"""The file of telemetry as a follower's target: its tables, and their replacement by those in a copy of the
file."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

from projections.telemetry_build import Arrival, TelemetryBuild
from projections.telemetry_erasure import finish
from projections.warehouse.errors import StatementRefused
from projections.warehouse.fresh_file import FreshFile
from projections.warehouse.halving import apply_in_halves
from projections.warehouse.instance import Warehouse
from projections.warehouse.port import Opened
from projections.warehouse.readers import Served
from projections.warehouse.transaction import File
from telemetry.log.port import TelemetryLog

logger = logging.getLogger("replaystack.telemetry")


class StoredTables:
    """A build to which arrivals are applied. While it is served, `on_spans` is called with the number of
    spans of each call."""

    can_be_copied = True

    def __init__(self, build: TelemetryBuild) -> None:
        self.build = build
        self.on_spans: Callable[[int], None] | None = None

    @property
    def position(self) -> int:
        return self.build.position

    def prepare(self, records: Sequence[Arrival], /) -> Sequence[Arrival]:
        return records

    def apply(self, records: Sequence[Arrival], /) -> None:
        def pass_over(at: int, refused: StatementRefused) -> None:
            # A single request must not block all others forever; it stays in the log.
            position = records[at].position
            logger.error("position %d of the telemetry log is passed over: %s", position, refused)
            self.build.apply([Arrival(position, {})])

        apply_in_halves(0, len(records), lambda first, end: self.build.apply(records[first:end]), pass_over)
        if self.on_spans is not None:
            self.on_spans(sum([arrival.rows("spans") for arrival in records]))

    def store_position(self) -> None:
        """Does nothing: the position is stored with each transaction."""


class TelemetryFile:
    """Implements `projections.warehouse.port.Target`. Recreated tables are served while they catch up: a
    reader waits for what it needs. `on_open` is called with the position of tables that were opened."""

    file: File = "telemetry"

    def __init__(self, warehouse: Warehouse, log: TelemetryLog, on_open: Callable[[int], None]) -> None:
        self._warehouse = warehouse
        self._log = log
        self._on_open = on_open
        self.on_spans: Callable[[int], None] = lambda count: None

    def open(self) -> Opened[StoredTables]:
        tables = StoredTables(TelemetryBuild.open(self._warehouse, self._log.epoch, self._first_lost))
        self._on_open(tables.position)
        self.answer(tables)
        return Opened(tables, is_whole=True, is_outdated=False)

    def tables_in(self, fresh: FreshFile) -> StoredTables:
        finish(fresh)
        return StoredTables(TelemetryBuild.open(fresh, self._log.epoch))

    def finish(self, tables: StoredTables, fresh: FreshFile | None) -> None:
        """The row that names the tables was copied with them."""

    def answer(self, tables: StoredTables) -> None:
        tables.build.moved_to(self._warehouse)
        tables.on_spans = self.on_spans
        self._warehouse.serve("telemetry", Served(tables.build.schema))

    def tidy(self, *, in_bulk: bool) -> None:
        """Done by the maintenance while nothing arrives."""

    def _first_lost(self) -> int:
        """Returns the first position that the log has lost, 0 if none. Reads the whole log."""
        for _ in self._log.check():
            pass
        return min((damage.first for damage in self._log.damages() if damage.last >= damage.first), default=0)
