"""Follows the telemetry log and writes it to the tables of telemetry."""

from __future__ import annotations

from collections.abc import Callable

from projections.telemetry_build import TelemetryBuild
from projections.warehouse.follower import Follower
from projections.warehouse.instance import Warehouse
from telemetry.log.port import TelemetryLog
from telemetry.store.arrivals import Arrivals
from telemetry.store.decoding import Decoder
from telemetry.store.telemetry_file import TelemetryFile
from telemetry.wire.decoded import Decoded, ReadScope


class Projector:
    """Call `start` once and `stop` once; the other methods are thread-safe."""

    def __init__(self, warehouse: Warehouse, log: TelemetryLog, decoder: Decoder) -> None:
        self._arrivals = Arrivals(log, decoder)
        self._file = TelemetryFile(warehouse, log, self._arrivals.begin)
        self._follower = Follower(warehouse, self._arrivals, self._file)

    def start(self, applied_spans: Callable[[int], None] | None = None) -> None:
        """`applied_spans` is called after each transaction with its number of spans."""
        self._file.on_spans = applied_spans or self._file.on_spans
        self._follower.start()

    def stop(self, timeout_s: float = 10.0) -> None:
        """Applies what is in the log now, within `timeout_s` seconds; the rest is applied after the next
        start."""
        self._follower.stop(timeout_s)

    @property
    def build(self) -> TelemetryBuild | None:
        """The tables that are being written; None while they are not open."""
        tables = self._follower.tables
        return tables.build if tables is not None else None

    @property
    def trouble(self) -> str:
        """Why the tables do not follow the log; empty if they do."""
        error = self._follower.follower_state().last_error
        return f"Its tables have failed and are being repaired ({error.partition(':')[0]})." if error else ""

    @property
    def position(self) -> int:
        """The position of the last request that is in the tables."""
        return self._follower.position()

    def offer(self, position: int, decoded: Decoded, applied: Callable[[], None]) -> None:
        """Passes on a durable request, like `Arrivals.offer`."""
        self._arrivals.offer(position, decoded, applied)

    async def reached(self, scope: ReadScope | None = None, timeout_s: float = 30.0) -> None:
        """Returns once everything in the log now, or everything in `scope`, is in the tables. Raises
        ViewBehind."""
        await self._follower.reached(self._arrivals.last_with(scope), timeout_s)

    async def rewritten(self) -> None:
        """Like `Follower.rewritten`."""
        await self._follower.rewritten()
