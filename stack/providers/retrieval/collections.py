"""All collections of this server, and the task that keeps their indexes up to date."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from stack.errors import NotFound
from stack.providers.retrieval.collection import Collection, Place
from stack.providers.retrieval.port import Embedder, Passage
from stack.providers.retrieval.settings import CollectionSettings
from stack.workers.starter import Starter

SCAN_EVERY_S = 2.0
"""Interval in seconds at which files are compared by size and time of change."""
MAX_SHARE = 0.25
"""Maximum share of the time that is spent on scanning and indexing, however often files change."""
SEARCHED = 64
"""Number of passages that are taken from each collection."""


class Collections:
    """Create it inside the event loop, then run `run` until the server stops. `folder` is for embeddings."""

    def __init__(self, settings: Sequence[CollectionSettings], embedder: Embedder, folder: Path) -> None:
        self._starter = Starter("collections")
        self._lost = asyncio.Event()
        place = Place(self._starter, embedder, folder, self._lost)
        self.collections = {one.id: Collection(one, place) for one in settings}

    async def run(self) -> None:
        """Indexes the collections, one at a time, and again when their files change."""
        while self.collections:
            self._lost.clear()
            began = time.monotonic()
            for collection in self.collections.values():
                await collection.refresh()
            spent_s = time.monotonic() - began
            with suppress(TimeoutError):
                async with asyncio.timeout(max(SCAN_EVERY_S, spent_s / MAX_SHARE)):
                    await self._lost.wait()

    def ids(self) -> list[str]:
        return list(self.collections)

    def problems(self) -> list[str]:
        """Returns what keeps documents from being found."""
        return [f"{name}: {problem}" for name, one in self.collections.items() for problem in one.problems()]

    async def search(self, query: str, collection_ids: Sequence[str]) -> list[Passage]:
        """See `CollectionSearch`."""
        for name in collection_ids:
            if name not in self.collections:
                known = ", ".join(self.collections) or "none"
                raise NotFound(f"There is no collection {name!r}. Collections: {known}.")
        searches = [self.collections[name].search(query, SEARCHED) for name in dict.fromkeys(collection_ids)]
        results = await asyncio.gather(*searches)
        found = [passage for passages in results for passage in passages]
        if len({bool(self.collections[name].settings.embedding_model) for name in collection_ids}) > 1:
            # Their scores cannot be compared: take the best of each, then the second of each.
            ranks = [rank for passages in results for rank in range(len(passages))]
            return [passage for _, passage in sorted(zip(ranks, found, strict=True), key=lambda one: one[0])]
        return sorted(found, key=lambda passage: -passage.score)

    async def aclose(self) -> None:
        await self._starter.aclose()
