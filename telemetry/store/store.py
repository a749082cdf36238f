"""The store of telemetry: its log, its tables, and their coordination."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

from msgspec import Struct

from projections.sealed_spans import remove_unneeded
from projections.telemetry_build import TablesState, TelemetryBuild, drop_kept
from projections.telemetry_erasure import Cleaned, ContentAttributes, Deletion, clean
from projections.warehouse.errors import ProjectionError, ViewBehind
from projections.warehouse.instance import Warehouse
from telemetry.log.accepted import descriptions, not_accepted
from telemetry.log.port import Content
from telemetry.log.retention_clock import SYSTEM_CLOCKS, Clocks, RetentionClock
from telemetry.log.segment_log import SegmentLog
from telemetry.own.captured import Erasable, Erased, Eraser
from telemetry.own.message_content import ATTRIBUTES
from telemetry.own.tracing import SERVICE_NAME
from telemetry.store.decoding import Decoder, DecodingProcess
from telemetry.store.intake import Intake
from telemetry.store.projector import Projector
from telemetry.store.upkeep import Retention, Upkeep
from telemetry.wire.decoded import ReadScope

logger = logging.getLogger("replaystack.telemetry")

_MAX_LISTED = 20


class OnDamage(Struct, frozen=True):
    """How a start handles losses: `accept_loss` accepts all damage of the log, `drop_kept_tables` drops
    tables that were kept from a damaged log."""

    accept_loss: bool = False
    drop_kept_tables: bool = False


NOTHING_ACCEPTED = OnDamage()


class StoreState(Struct, frozen=True):
    """The positions of the first and the last request in the log, its bytes, and the position that the tables
    have reached; `trouble` is why they do not advance. `damage` describes damage or losses of the log: at
    most 20 texts, `damage_count` in total; `accepted` describes those that were accepted earlier, which are
    not in `damage`. `kept_tables` names old tables that hold data which the log has lost. `retention` is why
    nothing is removed for its age; empty if it is."""

    first: int
    head: int
    bytes: int
    position: int
    trouble: str
    damage: list[str]
    damage_count: int
    accepted: list[str]
    kept_tables: list[str]
    retention: str


class TelemetryStore:
    """Must be created in the event loop of its intake. Raises OSError if the log cannot be opened, and
    StorageFailed."""

    def __init__(
        self,
        folder: Path,
        warehouse: Warehouse,
        retention: Retention,
        decoding: DecodingProcess,
        *,
        clocks: Clocks = SYSTEM_CLOCKS,
        refuses: Callable[[], str] = lambda: "",
        on_damage: OnDamage = NOTHING_ACCEPTED,
    ) -> None:
        self._warehouse = warehouse
        if on_damage.drop_kept_tables:
            _drop_kept_tables(warehouse)
        tables = _tables_state(warehouse)
        self._log = SegmentLog(
            folder / "telemetry",
            tables=(tables.epoch, tables.position),
            segment_bytes=retention.segment_bytes,
            clock_us=clocks.wall_us,
            refuses=refuses,
        )
        if on_damage.accept_loss:
            self._log.accept_loss()
        self._decoder = Decoder(decoding)
        self._projector = Projector(warehouse, self._log, self._decoder)
        clock = RetentionClock(
            folder / "telemetry", retention.max_age_days * 86_400, self._log.recorded_at(), clocks
        )
        self._upkeep = Upkeep(warehouse, self._log, self._projector, retention, clock)
        self.intake = Intake(self._log, self._decoder, self._projector)

    def start(self, *, maintains: bool = True) -> None:
        """Without `maintains` nothing is removed for its age or the size of the log, for a process that only reads."""
        self._projector.start(self._upkeep.arrived)
        if maintains:
            self._upkeep.start()

    def submit(self, signal: Literal["traces", "metrics"], request: bytes) -> None:
        """Stores a request in protobuf of the server itself, called in another thread than the loop's. Blocks
        until durable."""
        self.intake.take_from_thread(Content(signal), request)

    def head(self) -> int:
        """Returns the position of the last durable request."""
        return self._log.head()

    async def reached(self, scope: ReadScope | None = None) -> None:
        """Returns once everything that is durable now, or everything in `scope`, can be read. Raises
        ViewBehind."""
        await self._projector.reached(scope)

    async def erase(self, deleted: Sequence[Erasable], kept: Sequence[str] = ()) -> Erased:
        """Removes from log and tables what the server captured on spans of `deleted` things, and the remains of a
        damaged log, whose owner is unknown: damaged bytes, their copies, and kept tables. Nothing is rewritten if
        there is none of these. `kept`: see `Eraser`. Raises ViewBehind, LogFailed, and other ProjectionErrors."""
        await self.reached()
        cleaned = await asyncio.to_thread(self._clean, deleted, kept)
        removed = await asyncio.to_thread(
            self._log.erase, Eraser(deleted, kept).without_content, everywhere=bool(cleaned.spans)
        )
        if cleaned.leaves_blocks:
            await self._projector.rewritten()
        if not await asyncio.to_thread(remove_unneeded, self._warehouse):
            raise ViewBehind("Files of old spans that are no longer needed are still being read.")
        kept = [f"tables {name} of telemetry.duckdb, kept from a damaged log" for name in cleaned.kept]
        return Erased(cleaned.spans, [*removed, *kept])

    def _clean(self, deleted: Sequence[Erasable], kept: Sequence[str]) -> Cleaned:
        build = self._projector.build
        if build is None:
            raise ViewBehind("The tables of telemetry are being opened.")
        deletions = [Deletion(one.kind, one.id, one.deleted_us * 1000, one.by or one.id) for one in deleted]
        content = ContentAttributes(ATTRIBUTES, SERVICE_NAME, kept)
        cleaned = clean(self._warehouse, build.schema, deletions, content)
        build.kept = []
        return cleaned

    def state(self) -> StoreState:
        accepted, build = self._log.accepted(), self._projector.build
        damages = not_accepted(self._log.damages(), accepted)
        return StoreState(
            self._log.first(),
            self._log.head(),
            self._log.size(),
            self._projector.position,
            self._projector.trouble,
            [str(damage) for damage in damages[:_MAX_LISTED]],
            len(damages),
            descriptions(accepted),
            build.kept if build is not None else [],
            self._upkeep.retention_waits,
        )

    async def stop(self) -> None:
        """Stops. Everything that was acknowledged is in the log; most of it is applied to the tables
        first."""
        await asyncio.to_thread(self._stop)

    def _stop(self) -> None:
        self._upkeep.stop()
        self._projector.stop()
        self._decoder.close()
        self._log.close()


def _tables_state(warehouse: Warehouse) -> TablesState:
    try:
        return TelemetryBuild.state(warehouse)
    except (ProjectionError, OSError) as error:
        # The projector repairs them, and reports an error if it cannot.
        logger.warning("the tables of telemetry do not say how far they are: %s", error)
        return TablesState()


def _drop_kept_tables(warehouse: Warehouse) -> None:
    with warehouse.write("telemetry") as transaction:
        dropped = drop_kept(transaction)
    for name in dropped:
        logger.warning("the tables %s of telemetry.duckdb, kept from a damaged log, were dropped", name)
