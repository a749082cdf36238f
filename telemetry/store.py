"""The store of telemetry: its log, its tables, and what keeps them together."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Literal

from msgspec import Struct

from projections.warehouse import Warehouse
from telemetry.decoded import Wanted
from telemetry.decoding import Decoder
from telemetry.intake import Intake
from telemetry.log import Content
from telemetry.projector import Projector
from telemetry.segment_log import SEGMENT_BYTES, SegmentLog
from telemetry.upkeep import Upkeep


class Retention(Struct, frozen=True):
    """How long telemetry is kept: so many days after its receipt, and so many bytes of it as it came."""

    max_age_days: float
    max_bytes: int


class StoreState(Struct, frozen=True):
    """The positions of the first and the last request in the log, its bytes, and the position that the tables have
    reached; `trouble` says why they do not get further."""

    first: int
    head: int
    bytes: int
    position: int
    trouble: str


class TelemetryStore:
    """Made in the event loop that its intake belongs to. Raises OSError when the log cannot be opened."""

    def __init__(
        self,
        folder: Path,
        warehouse: Warehouse,
        retention: Retention,
        *,
        segment_bytes: int = SEGMENT_BYTES,
    ) -> None:
        self._log = SegmentLog(folder / "telemetry", segment_bytes=segment_bytes)
        self._decoder = Decoder()
        self._projector = Projector(warehouse, self._log, self._decoder)
        self._upkeep = Upkeep(
            warehouse, self._log, self._projector, retention.max_age_days, retention.max_bytes
        )
        self.intake = Intake(self._log, self._decoder, self._projector)

    def start(self) -> None:
        self._projector.start(self._upkeep.arrived)
        self._upkeep.start()

    def submit(self, signal: Literal["traces", "metrics"], request: bytes) -> None:
        """Takes a request in protobuf that was made here; another thread than the loop's. Blocks until it is durable."""
        self.intake.take_from_thread(Content(signal), request)

    async def reached(self, wanted: Wanted | None = None) -> None:
        """Returns once everything that is durable by now can be read, or everything that is wanted of it. Raises
        ViewBehind."""
        await self._projector.reached(wanted)

    def state(self) -> StoreState:
        return StoreState(
            self._log.first(),
            self._log.head(),
            self._log.size(),
            self._projector.position,
            self._projector.trouble,
        )

    async def stop(self) -> None:
        """Everything that was acknowledged is in the log; most of it reaches the tables first."""
        await asyncio.to_thread(self._stop)

    def _stop(self) -> None:
        self._upkeep.stop()
        self._projector.stop()
        self._decoder.close()
        self._log.close()
