"""The telemetry log as a source for a follower: recently decoded requests are kept in memory, others are read
from the log and decoded again."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from threading import Lock

from msgspec import Struct

from projections.telemetry_build import Arrival
from telemetry.log.port import Entry, TelemetryLog, TelemetryLogError
from telemetry.store.decoding import Decoder
from telemetry.wire.decoded import Decoded, ReadScope
from telemetry.wire.refusals import Refused

logger = logging.getLogger("replaystack.telemetry")

MAX_KEPT_BYTES = 96 * 2**20
"""Upper bound on decoded requests held in memory; beyond it a request is decoded again from the log."""
BATCH_BYTES = 16 * 2**20
"""Approximate size of one transaction in bytes: 20,000 spans, a fifth of a second."""
READ_BYTES = 8 * 2**20
LINGER_S = 2.0
"""How long requests wait for others while no reader waits, in seconds: a transaction takes 10 to 20 ms at any
size."""
LINGER_BYTES = 4 * 2**20
"""Number of bytes (5,000 spans) at which requests are no longer delayed: a reader of one waits for all of
them."""
_OFFER_S = 0.05
ACCEPTED_BYTES = 2**31
"""Limit for requests in the log; they were checked against the actual limit on arrival."""


class _Kept(Struct):
    decoded: Decoded
    size: int
    applied: Callable[[], None]


class Arrivals:
    """Implements `projections.warehouse.port.Source`. Thread-safe."""

    def __init__(self, log: TelemetryLog, decoder: Decoder) -> None:
        self._log = log
        self._decoder = decoder
        self._lock = Lock()
        self._kept: dict[int, _Kept] = {}
        self._kept_bytes = 0
        self._left_out = 0
        self._position = 0
        self._catches_up_to = 0
        self._wake: Callable[[int], None] = lambda head: None

    def offer(self, position: int, decoded: Decoded, applied: Callable[[], None]) -> None:
        """Keeps the decoded request at `position`, which is durable, if there is room. `applied` is called
        once it is in the tables, or at once if it is not kept."""
        size = decoded.size()
        with self._lock:
            fits = self._kept_bytes + size <= MAX_KEPT_BYTES and self._position >= self._catches_up_to
            is_kept = fits and position > self._position
            if is_kept:
                self._kept[position] = _Kept(decoded, size, applied)
                self._kept_bytes += size
            else:
                self._left_out = max(self._left_out, position)
        if is_kept:
            self._wake(position)
        else:
            applied()

    def last_with(self, scope: ReadScope | None) -> int:
        """Returns the position for which a reader of `scope` must wait to read everything in the log now."""
        head = self._log.head()
        if scope is None:
            return head
        with self._lock:
            last = 0
            for position in range(self._position + 1, head + 1):
                kept = self._kept.get(position)
                if kept is None:
                    return head
                if kept.decoded.holds(scope):
                    last = position
            return last

    def begin(self, position: int) -> None:
        """Called when the tables were opened and contain everything up to `position`. Later requests are read
        from the log, and nothing is kept until that is done."""
        with self._lock:
            self._position = position
            self._left_out = self._catches_up_to = self._log.head()

    # --- the source ----------------------------------------------------------------------------------

    def head(self) -> int:
        return self._log.head()

    def subscribe(self, wake: Callable[[int], None]) -> Callable[[], None]:
        self._wake = wake
        return self._log.subscribe(wake)

    def due(self, position: int, since: float, *, is_awaited: bool) -> float:
        with self._lock:
            if position < self._left_out:
                return 0.0
            if position + 1 not in self._kept:
                # A durable request is offered a moment later.
                return since + _OFFER_S
            if is_awaited or self._kept_bytes >= LINGER_BYTES:
                return 0.0
            return since + LINGER_S

    def read(self, after: int, *, in_bulk: bool) -> Sequence[Arrival]:
        """See `Source`. Raises TelemetryLogError."""
        if kept := self._kept_after(after):
            return kept
        head = self._log.head()
        entries = self._log.read(after, READ_BYTES)
        if not entries:
            logger.error("positions %d to %d of the telemetry log are lost", after + 1, head)
            return [Arrival(head, {})]
        if entries[0].position > max(after + 1, self._log.first()):
            lost = f"{after + 1} to {entries[0].position - 1}"
            logger.error("positions %s of the telemetry log cannot be read and are passed over", lost)
        return [self._decoded(entry) for entry in entries]

    def applied(self, position: int, took_s: float) -> None:
        with self._lock:
            self._position = position
            done = [self._kept.pop(one) for one in list(self._kept) if one <= position]
            self._kept_bytes -= sum([kept.size for kept in done])
        for kept in done:
            kept.applied()

    def _kept_after(self, position: int) -> list[Arrival]:
        found: list[Arrival] = []
        size = 0
        with self._lock:
            while size < BATCH_BYTES and (kept := self._kept.get(position + 1)) is not None:
                position += 1
                found.append(Arrival(position, kept.decoded.batches))
                size += kept.size
        return found

    def _decoded(self, entry: Entry) -> Arrival:
        """Raises TelemetryLogError for errors after which a retry may succeed."""
        try:
            decoded = self._decoder.decode(entry.content, entry.body, ACCEPTED_BYTES).result()
            return Arrival(entry.position, decoded.batches)
        except Refused as refusal:
            # It was accepted by another version.
            logger.error("position %d of the telemetry log is passed over: %s", entry.position, refusal)
            return Arrival(entry.position, {})
        except RuntimeError as error:
            raise TelemetryLogError("Decoding has ended.") from error
