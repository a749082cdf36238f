"""Finds passages in the documents of a request, without an index that is kept."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

import msgspec

from stack.errors import InternalError, Unavailable
from stack.providers.retrieval import ranking_worker
from stack.providers.retrieval.port import Passage, Text
from stack.providers.retrieval.ranking_worker import Task
from stack.workers.failure import Closed
from stack.workers.limits import Limits
from stack.workers.pool import Pool
from stack.workers.process import Spec

logger = logging.getLogger("replaystack.retrieval")

WORKERS = 2
WORKER_BYTES = 2 * 2**30
"""Address space of a worker. 32 MB of text take 0.4 GB."""
WAIT_S = 120.0
IDLE_S = 60.0

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(list[Passage]).decode


class DocumentRanking:
    """Implements `Ranking` with worker processes, which are started when they are needed."""

    def __init__(self) -> None:
        limits = Limits(memory_bytes=WORKER_BYTES, wait_s=WAIT_S)
        self._workers = Pool(Spec(module=ranking_worker.__name__, limits=limits), WORKERS, IDLE_S)

    async def best_of(self, query: str, documents: Sequence[Text], max_tokens: int) -> list[Passage]:
        task = await asyncio.to_thread(_encode, Task(query, list(documents), max_tokens))
        try:
            return _decode(await self._workers.ask(task))
        except Closed as error:
            raise Unavailable(f"The documents were not searched: {error}.", retry_after=1) from None
        except OSError as error:
            logger.error("the search in documents failed: %s", error)
            raise InternalError(
                "The documents could not be searched. The server's log has the details."
            ) from None

    async def aclose(self) -> None:
        await self._workers.aclose()
