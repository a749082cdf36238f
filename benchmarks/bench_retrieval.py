"""Retrieval: a collection of about 10,000 chunks is indexed and searched, in its process, as the server does it."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from benchmarks.report import standalone
from benchmarks.result import Result, of_rounds
from benchmarks.texts import Texts
from stack.providers.retrieval.collection import Collection, Place
from stack.providers.retrieval.settings import CollectionSettings
from stack.workers.starter import Starter

DOCUMENTS = 1_000
WORDS = 1_400
SEARCH_BAR_MS = 5.0
INDEX_BAR_S = 5.0
LAG_EVERY_S = 0.005


def run(quick: bool) -> list[Result]:
    """The time of an index is from the start of its process to the first search; the lag is that of the event loop of
    the server meanwhile."""
    rounds, searches = (2, 50) if quick else (5, 200)
    texts = Texts()
    with tempfile.TemporaryDirectory() as folder:
        written = [texts.text(WORDS) for _ in range(DOCUMENTS)]
        for number, text in enumerate(written):
            (Path(folder) / f"{number}.txt").write_text(text)
        # Words of one chunk.
        beginnings = [" ".join(text.split()[:120]) for text in written]
        queries = [texts.query(beginnings[number * 37 % DOCUMENTS]) for number in range(searches)]
        return asyncio.run(_measured(folder, queries, rounds))


class _NoEmbeddings:
    async def embed(self, model: str, texts: Sequence[str]) -> bytes:
        raise AssertionError("the collection has no embedding model")


async def _measured(folder: str, queries: list[str], rounds: int) -> list[Result]:
    indexed_s: list[float] = []
    lags_ms: list[float] = []
    found_ms: list[float] = []
    chunks = 0
    for _ in range(rounds):
        starter = Starter("retrieval")
        collection = Collection(
            CollectionSettings(id="docs", path=folder),
            Place(starter, _NoEmbeddings(), Path(folder), asyncio.Event()),
        )
        watching = asyncio.ensure_future(_watched(lags_ms))
        began = time.perf_counter()
        await collection.refresh()
        indexed_s.append(time.perf_counter() - began)
        watching.cancel()
        assert collection.built is not None
        chunks = collection.built.chunks
        took: list[float] = []
        for number, query in enumerate(queries):
            began = time.perf_counter()
            passages = await collection.search(query, 64)
            took.append((time.perf_counter() - began) * 1000)
            if f"{number * 37 % DOCUMENTS}.txt" not in {passage.document_id for passage in passages}:
                raise RuntimeError(f"{query!r} did not find its document")
        found_ms.append(median(took))
        await starter.aclose()
    return [
        of_rounds(f"search in {chunks:,} chunks, p50", found_ms, "ms", SEARCH_BAR_MS),
        of_rounds(f"index of {chunks:,} chunks, in a process of its own", indexed_s, "s", INDEX_BAR_S),
        Result("event-loop lag of the server meanwhile, worst", max(lags_ms), "ms"),
    ]


async def _watched(lags_ms: list[float]) -> None:
    while True:
        began = time.perf_counter()
        await asyncio.sleep(LAG_EVERY_S)
        lags_ms.append((time.perf_counter() - began - LAG_EVERY_S) * 1000)


if __name__ == "__main__":
    standalone(run, "retrieval", __doc__)
