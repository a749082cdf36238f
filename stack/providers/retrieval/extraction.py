"""Extracts the text of the documents of a request that are PDF or HTML."""

from __future__ import annotations

import asyncio
import logging

from stack.errors import InternalError, Invalid, Unavailable
from stack.providers.retrieval import parse_worker
from stack.providers.retrieval.parse_worker import ContentTask
from stack.providers.retrieval.port import FileKind
from stack.workers.failure import Closed, Exhausted, NoAnswer
from stack.workers.limits import Limits
from stack.workers.pool import Pool
from stack.workers.process import Spec

logger = logging.getLogger("replaystack.retrieval")

WORKERS = 2
QUICK_S = 3.0
"""Documents that take longer are read again, from their beginning, by workers of their own: some that take long, or do not
end, do not hold up the others."""
IDLE_S = 30.0
_NICE = 5


class TextExtraction:
    """Implements `Extraction` with worker processes, which are started when they are needed. `wait_s` is how long one
    document may take."""

    def __init__(self, *, quick_s: float = QUICK_S, wait_s: float = parse_worker.WAIT_S) -> None:
        self._wait_s = wait_s
        self._quick = _pool(quick_s)
        self._patient = _pool(wait_s)

    async def text_of(self, kind: FileKind, content: bytes, max_characters: int) -> str:
        task = await asyncio.to_thread(parse_worker.encode, ContentTask(kind, content, max_characters))
        name = kind.upper()
        try:
            reply = await self._reply(task)
        except Closed as error:
            raise Unavailable(f"The {name} was not read: {error}.", retry_after=1) from None
        except TimeoutError:
            raise _unreadable(name, f"that takes more than {self._wait_s:g} s") from None
        except Exhausted:
            raise _unreadable(
                name, f"that takes more than {parse_worker.MEMORY_BYTES >> 20} MiB of memory"
            ) from None
        except NoAnswer as error:
            logger.warning("the reader of a document (%s) failed: %s", kind, error)
            raise _unreadable(name, "its reader failed; it may be too large, or damaged") from None
        except OSError as error:
            logger.error("the process that reads documents could not be started: %s", error)
            raise InternalError("The document could not be read. The server's log has the details.") from None
        parsed = await asyncio.to_thread(parse_worker.decode, reply)
        if parsed.problem:
            raise _unreadable(name, parsed.problem)
        return parsed.text

    async def aclose(self) -> None:
        await self._quick.aclose()
        await self._patient.aclose()

    async def _reply(self, task: bytes) -> bytes:
        try:
            return await self._quick.ask(task)
        except TimeoutError:
            return await self._patient.ask(task)
        except NoAnswer as error:
            if error.is_new or isinstance(error, Closed):
                raise
            # An idle worker may have been ended by the system.
            return await self._patient.ask(task)


def _pool(wait_s: float) -> Pool:
    limits = Limits(memory_bytes=parse_worker.MEMORY_BYTES, wait_s=wait_s, nice=_NICE)
    return Pool(Spec(module=parse_worker.__name__, limits=limits), WORKERS, IDLE_S)


def _unreadable(name: str, problem: str) -> Invalid:
    return Invalid(f"The {name} cannot be read: {problem}. Send its text.")
