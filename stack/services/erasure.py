"""Erasure: after a deletion its content is removed from every file of the data folder, and a receipt confirms
it.

The deletion itself removes the content from the log. Everything else that may contain it is rewritten by one
background task, for all collected deletions. Pending erasures are derived from the log, so after a crash at
any point they are still pending and the next start continues.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path

from projections import erasure as erasure_views
from projections.erasure import Deleted, Pending
from projections.warehouse.engine import Engine
from projections.warehouse.errors import ProjectionError
from projections.warehouse.files import remove_copies_set_aside
from projections.warehouse.reader import rfc3339
from schemas.api.erasure import ErasedCounts, Erasure, ErasureRemainder
from stack.domain import erasure as erasures
from stack.domain.erasure import ErasureState
from stack.errors import NotFound, ReplaystackError, Unavailable
from stack.eventstore import Append, EventStore, Fold, StreamWrite, stream_name
from stack.services.requests.caller import SYSTEM
from stack.services.views import Views
from telemetry.log.port import TelemetryLogError
from telemetry.own.captured import Erasable
from telemetry.own.signals import Signals
from telemetry.store.store import TelemetryStore

logger = logging.getLogger("replaystack.erasure")

GATHER_S = 2.0
"""How long deletions are collected, in seconds; one rewrite serves all of them."""
MAX_PAUSE_S = 20.0
RETRY_S = 10.0
TIDY_POLL_S = 0.1
TIDY_WAITS_S = 30.0
STREAM = stream_name("erasure", "files")
CATEGORIES = ("agent", "session", "dataset", "benchmark", "erasure")
_RUNS = Fold(ErasureState(), erasures.evolve, last_only=True)


class Erasures:
    """`run` is a background task; `receipt` may be called at any time."""

    def __init__(
        self,
        folder: Path,
        store: EventStore,
        views: Views,
        engine: Engine,
        telemetry: TelemetryStore,
        signals: Signals,
        telemetry_retention_days: float,
    ) -> None:
        self._folder = folder
        self._store = store
        self._views = views
        self._engine = engine
        self._telemetry = telemetry
        self._signals = signals
        self._retention_days = telemetry_retention_days
        self._requested = asyncio.Event()
        self._failure = ""
        self.on_rewritten: Callable[[], Awaitable[None]] | None = None
        """Awaited when the files of the read models are rewritten: ends the copies of the old ones."""
        store.on_redaction = self._requested.set

    async def receipt(self, id: str) -> Erasure:
        """Returns the receipt. Raises NotFound if nothing with this id was deleted."""
        deleted = await self._views.read(CATEGORIES, erasure_views.of, id)
        if not deleted:
            raise NotFound(f"Nothing with the id {id!r} was deleted.")
        return _receipt(id, deleted, self._retention_days, self._failure)

    async def run(self) -> None:
        """Erases pending deletions, now and after each deletion. Ends only with its task."""
        pause_s = 0.0
        while True:
            try:
                self._requested.clear()
                if await self._views.read(CATEGORIES, erasure_views.pending):
                    await asyncio.sleep(max(GATHER_S, pause_s))
                    began = time.monotonic()
                    await self._erase()
                    self._failure = ""
                    # A rewrite takes time in proportion to the store; it may take at most half of the time.
                    pause_s = min(time.monotonic() - began, MAX_PAUSE_S)
                else:
                    await self._requested.wait()
            except (ReplaystackError, ProjectionError, TelemetryLogError, OSError) as error:
                self._failure = str(error)
                logger.warning(
                    "deleted content is not erased from all files yet, which is tried again: %s", error
                )
                await asyncio.sleep(RETRY_S)

    async def _erase(self) -> None:
        until = self._store.head()
        pending = await self._views.read(CATEGORIES, erasure_views.pending)
        pending = [one for one in pending if one.position <= until]
        await self._signals.flushed()
        kept = await self._views.read(CATEGORIES, erasure_views.kept_turns)
        erased = await self._telemetry.erase(_erasable(pending), kept)
        await self._engine.rewritten()
        if self.on_rewritten is not None:
            await self.on_rewritten()
        await self._log_is_tidy()
        copies = await asyncio.to_thread(remove_copies_set_aside, self._folder)
        if copies:
            # Blobs that only such a copy names are kept with it.
            await self._store.remove_unnamed_blobs()
        _, version = await self._store.load(STREAM, _RUNS)
        completed = SYSTEM.stamp(erasures.complete(until, erased.spans, [*erased.removed, *copies]))
        await self._store.append(Append((StreamWrite(STREAM, version, completed),)))
        logger.info("the content of %d deletions has left all files", len(pending))

    async def _log_is_tidy(self) -> None:
        """Returns once redacted content is in no file of the log. Raises Unavailable after half a minute: a
        reader in another process, such as a backup, keeps the WAL."""
        deadline = time.monotonic() + TIDY_WAITS_S
        while not self._store.is_tidy():
            if time.monotonic() > deadline:
                raise Unavailable("A reader of the event log keeps its write-ahead log from being cut off.")
            await asyncio.sleep(TIDY_POLL_S)


def _erasable(pending: Iterable[Pending]) -> list[Erasable]:
    found = []
    for one in pending:
        found.append(Erasable(one.kind, one.id, one.recorded_us))
        found += [Erasable("turn", turn_id, one.recorded_us, one.id) for turn_id in one.freed]
    return found


def _receipt(id: str, deleted: Iterable[Deleted], retention_days: float, failure: str) -> Erasure:
    found = list(deleted)
    own = [one for one in found if one.id == id]
    requested_us = max(one.recorded_us for one in own)
    done = all(one.completed_us is not None and not one.has_more for one in found)
    kept_until = rfc3339(erasures.names_until_us(requested_us, retention_days))
    shared = sum(one.kept for one in found)
    shared_turns = [
        ErasureRemainder(f"the content of {shared} turns that other sessions share", "those sessions")
    ]
    return Erasure(
        id=id,
        kinds=[one.kind for one in own],
        state="done" if done else "in_progress",
        requested_at=rfc3339(requested_us),
        completed_at=rfc3339(max(one.completed_us or 0 for one in found)) if done else None,
        waits_for=None if done or not failure else failure,
        removed=list(dict.fromkeys(name for one in found for name in one.removed)),
        erased=ErasedCounts(
            events=_total(one.events for one in found),
            sessions=sum(1 for one in found if one.kind == "session" and one.id != id),
            turns=_total(one.turns for one in found),
            jobs=_total(one.jobs for one in found),
            blobs=_total(one.blobs for one in found),
            spans=sum(one.spans for one in found),
        ),
        remains=[
            *(shared_turns if shared else ()),
            ErasureRemainder("ids, positions, times and digests of its events", "the event log"),
            ErasureRemainder("ids, names and times on spans", "telemetry", kept_until),
            ErasureRemainder(
                "all of its content, in backups that were made before the deletion",
                "wherever those backups are kept",
            ),
        ],
    )


def _total(counts: Iterable[int | None]) -> int | None:
    total = 0
    for count in counts:
        if count is None:
            return None
        total += count
    return total
