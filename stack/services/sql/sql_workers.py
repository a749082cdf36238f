"""The worker processes of SQL: each has one snapshot. The latest is kept, and a spare one for the next."""

from __future__ import annotations

import asyncio
import itertools
import logging
import shutil
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from pathlib import Path

import msgspec
from msgspec import Struct

from projections.user_views import past_statements, statements, user_views
from projections.user_views.prices import Price
from projections.warehouse.errors import ViewBehind
from projections.warehouse.instance import Copyable, Warehouse
from projections.warehouse.transaction import File
from stack.errors import Unavailable, of_status
from stack.providers.sql.tasks import MODULE, REFUSED, Attach, Attached, Copy, Load, Refusal, Task
from stack.workers.failure import Closed, NoAnswer
from stack.workers.framing import Frame
from stack.workers.limits import Limits
from stack.workers.process import Spec, Worker
from stack.workers.starter import Starter

logger = logging.getLogger("replaystack.sql")

NICE = 10
IDLE_S = 60.0
"""Workers that were not used for this time, in seconds, are ended."""
BUFFER_SHARE = 4
"""The share of a worker's address space for DuckDB's buffers, which are not all that it allocates."""
RESERVE_BYTES = 256 * 2**20
"""Bytes that a copy leaves free on the disk: the logs must be able to grow."""
_TRIES = 3


class Reached(Struct, frozen=True):
    """Positions of the event log and of the telemetry log."""

    events: int
    telemetry: int

    def covers(self, wanted: Reached) -> bool:
        return self.events >= wanted.events and self.telemetry >= wanted.telemetry


class _Kept(Struct, frozen=True):
    worker: Worker
    reached: Reached


class SqlWorkers:
    """Used by one event loop. The caller limits the number of snapshots in use. Nothing is started before the first
    query."""

    def __init__(
        self, folder: Path, warehouse: Warehouse, memory_bytes: int, timeout_s: float, prices: Sequence[Price]
    ) -> None:
        self._folder = folder / "sql"
        self._warehouse = warehouse
        self._prices = prices
        self._spec = Spec(
            module=MODULE, limits=Limits(memory_bytes=memory_bytes, wait_s=timeout_s, nice=NICE)
        )
        self._starter = Starter("sql")
        self._numbers = itertools.count(1)
        self._kept: _Kept | None = None
        self._busy: set[Worker] = set()
        self._spare: asyncio.Task[Worker] | None = None
        self._retiring: asyncio.TimerHandle | None = None
        self.erasures = 0
        """How often snapshots were ended by `forget`."""
        # A killed server may have left a copy.
        shutil.rmtree(self._folder, ignore_errors=True)

    @asynccontextmanager
    async def snapshot(self, wanted: Reached) -> AsyncIterator[Worker]:
        """Yields a worker whose snapshot has everything up to these positions. It is kept for later queries if the block
        ends without an error, and ended otherwise. Raises Unavailable; NoAnswer, TimeoutError and OSError of a
        worker."""
        erasures = self.erasures
        kept, self._kept = self._kept, None
        if kept is not None and (kept.worker.has_exited() or not kept.reached.covers(wanted)):
            self._starter.discard(kept.worker)
            kept = None
        worker = await self._filled() if kept is None else kept.worker
        self._busy.add(worker)
        try:
            yield worker
        except BaseException:
            await self._starter.end(worker)
            raise
        finally:
            self._busy.discard(worker)
        if self.erasures == erasures:
            self._keep(_Kept(worker, wanted if kept is None else kept.reached))
        else:
            self._starter.discard(worker)

    def frames(self, worker: Worker, task: Task) -> AsyncGenerator[Frame, None]:
        """Yields the frames of an answer, like `Starter.frames`."""
        return self._starter.frames(worker, msgspec.json.encode(task))

    async def forget(self) -> None:
        """Ends all workers that have a snapshot, with their queries: content was erased that it may still have."""
        self.erasures += 1
        workers = [*self._busy]
        if self._kept is not None:
            workers.append(self._kept.worker)
            self._kept = None
        for worker in workers:
            await self._starter.end(worker)

    async def aclose(self) -> None:
        """Ends all workers. Their callers receive Closed."""
        if self._retiring is not None:
            self._retiring.cancel()
        if self._spare is not None:
            self._spare.cancel()
        self._kept = None
        await self._starter.aclose()

    async def _filled(self) -> Worker:
        """Returns a worker with a new snapshot. A copy that a checkpoint of DuckDB's own has torn is made again."""
        for _ in range(_TRIES):
            worker = await self._loaded()
            self._busy.add(worker)
            folder = self._folder / str(next(self._numbers))
            try:
                if await self._fill(worker, folder):
                    return worker
            except Closed:
                raise
            except NoAnswer as error:
                logger.warning("a copy of the read models cannot be used, which is tried again: %s", error)
            except BaseException:
                await self._starter.end(worker)
                raise
            finally:
                self._busy.discard(worker)
                # Its files have no names once they are open.
                await asyncio.shield(asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True))
            await self._starter.end(worker)
        raise Unavailable("The read models cannot be copied for SQL now. Try again.", retry_after=5)

    async def _fill(self, worker: Worker, folder: Path) -> bool:
        """Copies the files, which the worker opens with the sealed ones. Returns whether the copy is as new as the files
        were."""
        with self._warehouse.keeping_sealed():
            async with self._copying() as sources:
                files: dict[str, str] = {name: str(source.path) for name, source in sources.items()}
                await self._asked(worker, Copy(files=files, folder=str(folder), reserve_bytes=RESERVE_BYTES))
            views, telemetry = sources["views"], sources["telemetry"]
            memory_bytes = self._spec.limits.memory_bytes // BUFFER_SHARE
            schemas = views.schema, telemetry.schema
            # Read from files at first.
            creating = await asyncio.to_thread(statements, *schemas, self._prices)
            past = past_statements(*schemas, self._prices)
            sealed = str(self._warehouse.sealed_folder)
            attach = Attach(str(folder), sealed, *schemas, list(user_views()), creating, past, memory_bytes)
            found = msgspec.json.decode(await self._asked(worker, attach), type=Attached)
        return found.views >= views.position and found.telemetry >= telemetry.position

    @asynccontextmanager
    async def _copying(self) -> AsyncIterator[dict[File, Copyable]]:
        """Enters `Warehouse.copying` in a thread."""
        copying = self._warehouse.copying()
        entering = asyncio.ensure_future(asyncio.to_thread(copying.__enter__))

        def leave(entered: asyncio.Future[dict[File, Copyable]]) -> None:
            if not entered.cancelled() and entered.exception() is None:
                copying.__exit__(None, None, None)

        try:
            sources = await asyncio.shield(entering)
        except asyncio.CancelledError:
            entering.add_done_callback(leave)
            raise
        except ViewBehind as error:
            raise Unavailable(
                f"The read models are not available yet: {error} Try again.", retry_after=2
            ) from None
        try:
            yield sources
        finally:
            leave(entering)

    async def _loaded(self) -> Worker:
        """Returns a worker that has imported what it needs, and prepares the next one."""
        spare, self._spare = self._spare, None
        worker: Worker | None = None
        if spare is not None:
            try:
                worker = await asyncio.shield(spare)
            except asyncio.CancelledError:
                # It is for the next query, unless that has one by now.
                if self._spare is None:
                    self._spare = spare
                else:
                    spare.add_done_callback(self._discard_spare)
                raise
            except OSError as error:
                logger.warning("a spare process for SQL could not be started: %s", error)
        if worker is None:
            worker = await self._started()
        self._spare = asyncio.create_task(self._started())
        self._spare.add_done_callback(_looked_at)
        return worker

    async def _started(self) -> Worker:
        worker = await self._starter.start(self._spec)
        await self._asked(worker, Load())
        return worker

    async def _asked(self, worker: Worker, task: Task) -> bytes:
        """Returns the reply. Raises Unavailable for a refusal, and the errors of `frames`."""
        reply = b""
        async with aclosing(self.frames(worker, task)) as frames:
            async for frame in frames:
                if frame.kind == REFUSED:
                    refusal = msgspec.json.decode(frame.payload, type=Refusal)
                    raise of_status(refusal.status, refusal.detail)
                reply = frame.payload
        return reply

    def _keep(self, kept: _Kept) -> None:
        if self._kept is not None:
            older = kept if self._kept.reached.covers(kept.reached) else self._kept
            self._starter.discard(older.worker)
            kept = self._kept if older is kept else kept
        self._kept = kept
        if self._retiring is not None:
            self._retiring.cancel()
        self._retiring = asyncio.get_running_loop().call_later(IDLE_S, self._retire)

    def _retire(self) -> None:
        if self._kept is not None:
            self._starter.discard(self._kept.worker)
        spare, self._spare = self._spare, None
        if spare is not None:
            spare.add_done_callback(self._discard_spare)
        self._kept = self._retiring = None

    def _discard_spare(self, spare: asyncio.Task[Worker]) -> None:
        if not spare.cancelled() and spare.exception() is None:
            self._starter.discard(spare.result())


def _looked_at(spare: asyncio.Task[Worker]) -> None:
    """The error of a spare that could not be started is that of the query that needs one."""
    if not spare.cancelled():
        spare.exception()
