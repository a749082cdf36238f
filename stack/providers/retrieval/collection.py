"""One collection: a worker process that holds its index, and is replaced when the files have changed."""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import aclosing
from pathlib import Path
from typing import TypeVar

import msgspec
from msgspec import Struct

from stack.errors import ReplaystackError, Unavailable, UpstreamFailed
from stack.providers.retrieval import index_worker
from stack.providers.retrieval.index_worker import (
    Build,
    Built,
    Check,
    Embedded,
    Missing,
    Search,
    Task,
    Unembedded,
)
from stack.providers.retrieval.port import Embedder, Passage
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
EMBEDDED_AT_ONCE = 64
EMBED_AGAIN_S = 60.0
FIRST_BUILD_S = 30.0
"""How long a search waits for the first index after a start, in seconds."""

_encode = msgspec.json.Encoder().encode


class Place(Struct, frozen=True):
    """Where collections live: `starter` starts their workers, `embedder` and the folder `vectors` are for those with
    embeddings. `lost` is set when an index was lost."""

    starter: Starter
    embedder: Embedder
    vectors: Path
    lost: asyncio.Event


class Collection:
    """Create it inside the event loop. `refresh` is called from one task at a time; `search` from any."""

    def __init__(self, settings: CollectionSettings, place: Place) -> None:
        self._place = place
        self.settings = settings
        self._starter = place.starter
        limits = Limits(memory_bytes=WORKER_BYTES, wait_s=BUILD_S, nice=5)
        self._spec = Spec(module=index_worker.__name__, limits=limits)
        self._worker: Worker | None = None
        self._ready = asyncio.Event()
        self._asking = asyncio.Lock()
        self._embedded = not settings.embedding_model
        self._embed_again_at = 0.0
        self.built: Built | None = None
        self._problem = ""

    def problems(self) -> list[str]:
        """Returns why documents are not found, or by their words only."""
        found = [self._problem] if self._problem else []
        if (built := self.built) is not None:
            if built.skipped_count:
                files = "1 file was" if built.skipped_count == 1 else f"{built.skipped_count} files were"
                found.append(f"{files} left out: {'; '.join(built.skipped)}.")
            elif not built.documents:
                found.append(f"there are no documents in {self.settings.path}.")
        return found

    async def refresh(self) -> None:
        """Indexes the files if they have changed. Searches are served from the previous index meanwhile."""
        try:
            if self._worker is None or await self._ask(Check(), bool):
                await self._build()
            if not self._embedded and time.monotonic() >= self._embed_again_at:
                await self._embed()
            self._problem = self._problem if self._embed_again_at > time.monotonic() else ""
        except OSError as error:
            self._problem = f"it could not be indexed: {error}."
            logger.error("collection %s: it could not be indexed: %s", self.settings.id, error)
        except ReplaystackError as error:
            self._embed_again_at = time.monotonic() + EMBED_AGAIN_S
            self._problem = f"it is searched by words only: {error.detail}"
            logger.error("collection %s: it is searched by words only: %s", self.settings.id, error.detail)

    async def search(self, query: str, count: int) -> list[Passage]:
        """Returns up to `count` passages, best first. Raises Unavailable, and the errors of the embedder."""
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
        vector = await self._vector(query)
        try:
            async with asyncio.timeout(SEARCH_S):
                return await self._ask(Search(query, count, vector), list[Passage])
        except (OSError, TimeoutError) as error:
            logger.error(
                "collection %s: the search failed: %s", self.settings.id, error or "it took too long"
            )
            raise Unavailable(
                f"The collection {self.settings.id!r} could not be searched; it is indexed again.",
                retry_after=10,
            ) from None

    async def _vector(self, query: str) -> bytes:
        """Returns the embedding of a query; empty if the collection is searched by words only."""
        if not self.settings.embedding_model or not self._embedded or not query.strip():
            return b""
        return await self._place.embedder.embed(self.settings.embedding_model, [query])

    async def _embed(self) -> None:
        """Gets the embeddings of all chunks that have none. Raises the errors of the embedder, OSError."""
        model = self.settings.embedding_model
        try:
            while (missing := await self._ask(Missing(EMBEDDED_AT_ONCE), Unembedded)).chunks:
                vectors = await self._place.embedder.embed(model, missing.texts)
                if not await self._ask(Embedded(missing.chunks, vectors), bool):
                    raise UpstreamFailed(
                        f"{model!r} returns vectors of different lengths. Remove the folder collections."
                    )
        finally:
            # What has arrived need not be asked for again.
            if self._worker is not None:
                await self._ask(Embedded([], b""), bool)
        self._embedded = True
        logger.info("collection %s: it has the embeddings of %s", self.settings.id, model)

    async def _build(self) -> None:
        worker = await self._starter.start(self._spec)
        built = msgspec.json.decode(await self._reply(worker, Build(self.settings, self._file())), type=Built)
        async with self._asking:
            before, self._worker = self._worker, worker
        if before is not None:
            await self._starter.end(before)
        self.built = built
        self._embedded = not self.settings.embedding_model
        self._ready.set()
        self._tell(built)

    def _file(self) -> str:
        """Returns the path of the file with embeddings; empty if there are none."""
        return (
            str(self._place.vectors / f"{self.settings.id}.vectors") if self.settings.embedding_model else ""
        )

    async def _ask(self, task: Task, answer: type[T]) -> T:
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
                self._place.lost.set()
                raise

    async def _reply(self, worker: Worker, task: Task) -> bytes:
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
