"""One collection: a worker process that holds its index, and is replaced when the files have changed."""

from __future__ import annotations

import asyncio
import logging
from contextlib import aclosing
from typing import TypeVar

import msgspec

from stack.errors import Unavailable
from stack.providers.retrieval import index_worker
from stack.providers.retrieval.index_worker import Build, Built, Check, Search
from stack.providers.retrieval.port import Passage
from stack.providers.retrieval.settings import CollectionSettings
from stack.workers.limits import Limits
from stack.workers.process import Spec, Worker
from stack.workers.starter import Starter

logger = logging.getLogger("replaystack.retrieval")

T = TypeVar("T")

WORKER_BYTES = 8 * 2**30
"""Address space of a worker, most of which is never used: numpy reserves much of it."""
BUILD_S = 1800.0
SEARCH_S = 10.0
FIRST_BUILD_S = 30.0
"""How long a search waits for the first index after a start, in seconds."""

_encode = msgspec.json.Encoder().encode


class Collection:
    """Create it inside the event loop. `refresh` is called from one task at a time; `search` from any. `lost` is set when
    the index was lost."""

    def __init__(self, settings: CollectionSettings, starter: Starter, lost: asyncio.Event) -> None:
        self._lost = lost
        self.settings = settings
        self._starter = starter
        limits = Limits(memory_bytes=WORKER_BYTES, wait_s=BUILD_S, nice=5)
        self._spec = Spec(module=index_worker.__name__, limits=limits)
        self._worker: Worker | None = None
        self._ready = asyncio.Event()
        self._asking = asyncio.Lock()
        self.built: Built | None = None

    async def refresh(self) -> None:
        """Indexes the files if they have changed. Searches are served from the previous index meanwhile."""
        try:
            if self._worker is None or await self._ask(Check(), bool):
                await self._build()
        except OSError as error:
            logger.error("collection %s: it could not be indexed: %s", self.settings.id, error)

    async def search(self, query: str, count: int) -> list[Passage]:
        """Returns up to `count` passages, best first. Raises Unavailable."""
        # A caller that is cancelled must not end the worker, and the index with it.
        searching = asyncio.ensure_future(self._search(query, count))
        searching.add_done_callback(lambda done: None if done.cancelled() else done.exception())
        return await asyncio.shield(searching)

    async def _search(self, query: str, count: int) -> list[Passage]:
        try:
            async with asyncio.timeout(FIRST_BUILD_S):
                await self._ready.wait()
        except TimeoutError:
            raise Unavailable(
                f"The collection {self.settings.id!r} is being indexed; try again.", retry_after=10
            ) from None
        try:
            async with asyncio.timeout(SEARCH_S):
                return await self._ask(Search(query, count), list[Passage])
        except (OSError, TimeoutError) as error:
            logger.error(
                "collection %s: the search failed: %s", self.settings.id, error or "it took too long"
            )
            raise Unavailable(
                f"The collection {self.settings.id!r} could not be searched; it is indexed again.",
                retry_after=10,
            ) from None

    async def _build(self) -> None:
        worker = await self._starter.start(self._spec)
        built = msgspec.json.decode(await self._reply(worker, Build(self.settings)), type=Built)
        async with self._asking:
            before, self._worker = self._worker, worker
        if before is not None:
            await self._starter.end(before)
        self.built = built
        self._ready.set()
        self._tell(built)

    async def _ask(self, task: Check | Search, answer: type[T]) -> T:
        """Asks the worker; one that failed is forgotten."""
        async with self._asking:
            worker = self._worker
            if worker is None:
                raise ConnectionError("it has no index")
            try:
                return msgspec.json.decode(await self._reply(worker, task), type=answer)
            except BaseException:
                self._worker = None
                self._ready.clear()
                self._lost.set()
                raise

    async def _reply(self, worker: Worker, task: Build | Check | Search) -> bytes:
        async with aclosing(self._starter.frames(worker, _encode(task))) as frames:
            return [frame.payload async for frame in frames][-1]

    def _tell(self, built: Built) -> None:
        logger.info(
            "collection %s: %d documents, %d chunks, indexed in %.1f s",
            self.settings.id,
            built.documents,
            built.chunks,
            built.seconds,
        )
        if built.skipped_count:
            named = "; ".join(built.skipped)
            logger.warning(
                "collection %s: %d files were left out: %s", self.settings.id, built.skipped_count, named
            )
