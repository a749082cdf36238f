"""All collections of this server, and the task that keeps their indexes up to date."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from contextlib import suppress

from stack.errors import NotFound
from stack.providers.retrieval.collection import Collection
from stack.providers.retrieval.port import Passage
from stack.providers.retrieval.settings import CollectionSettings
from stack.workers.starter import Starter

SCAN_EVERY_S = 2.0
"""Interval in seconds at which files are compared by size and time of change."""
MAX_SHARE = 0.25
"""Maximum share of the time that is spent on scanning and indexing, however often files change."""
SEARCHED = 64
"""Number of passages that are taken from each collection."""


class Collections:
    """Create it inside the event loop, then run `run` until the server stops."""

    def __init__(self, settings: Sequence[CollectionSettings]) -> None:
        self._starter = Starter("collections")
        self._lost = asyncio.Event()
        self.collections = {one.id: Collection(one, self._starter, self._lost) for one in settings}

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

    async def search(self, query: str, collection_ids: Sequence[str]) -> list[Passage]:
        """See `CollectionSearch`."""
        for name in collection_ids:
            if name not in self.collections:
                known = ", ".join(self.collections) or "none"
                raise NotFound(f"There is no collection {name!r}. Collections: {known}.")
        searches = [self.collections[name].search(query, SEARCHED) for name in dict.fromkeys(collection_ids)]
        found = [passage for passages in await asyncio.gather(*searches) for passage in passages]
        return sorted(found, key=lambda passage: -passage.score)

    async def aclose(self) -> None:
        await self._starter.aclose()
