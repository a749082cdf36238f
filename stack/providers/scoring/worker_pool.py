"""Scores rows that may take long, hang or crash in worker processes."""

from __future__ import annotations

import logging
import signal

import msgspec

from schemas.api.scoring_function import ScoringFnParams
from stack.off_loop import off_loop_if
from stack.providers.scoring.port import Definition, Row, ScoreRow
from stack.providers.scoring.scored import failed
from stack.providers.scoring.worker import Task
from stack.workers.failure import Closed, Exhausted, NoAnswer
from stack.workers.limits import Limits
from stack.workers.pool import Pool
from stack.workers.process import Spec

logger = logging.getLogger("replaystack.scoring")

SIZE = 2
CPU_S = 5
"""CPU time for one row, in seconds."""
MEMORY_BYTES = 1 << 30
IDLE_S = 60.0
ANSWER_S = 120.0
"""Time limit for the score of a row, in seconds. The worker limits its CPU time; this limit is for an
overloaded machine."""
MAX_CHARACTERS = 1_000_000
LARGE_CHARACTERS = 65_536
"""Larger rows, in characters, are encoded outside of the event loop's thread."""


class WorkerPool:
    """At most `size` workers of one event loop, each with one row at a time; waiting rows are processed in
    order."""

    def __init__(self, size: int = SIZE, cpu_s: int = CPU_S) -> None:
        self._cpu_s = cpu_s
        limits = Limits(memory_bytes=MEMORY_BYTES, wait_s=ANSWER_S, nice=10)
        spec = Spec(module="stack.providers.scoring.worker", limits=limits)
        self._pool = Pool(spec, size, IDLE_S)

    async def score(self, function: Definition, params: ScoringFnParams, row: Row) -> ScoreRow:
        """Returns the score row of a function that runs in the worker. If the worker does not survive a row,
        the row fails."""
        size = sum(len(value) for value in row.values() if isinstance(value, str))
        if size > MAX_CHARACTERS:
            return failed(
                f"The texts of the row have {size:,} characters; at most {MAX_CHARACTERS:,} can be scored."
            )
        task = Task(function.id, params, dict(row), self._cpu_s)
        body = await off_loop_if(size >= LARGE_CHARACTERS, msgspec.json.encode, task)
        while True:
            try:
                return _score_row(await self._pool.ask(body))
            except NoAnswer as error:
                reason = self._reason(error)
                if reason or error.is_new:
                    return failed(reason or _unexpected(error))
                # A kept worker may have ended while it was idle: the row is tried again on another.
            except TimeoutError:
                return failed(f"The row was not scored within {ANSWER_S:g} s.")
            except OSError as error:
                return failed(f"No process could be started to score the row: {error}.")

    async def aclose(self) -> None:
        await self._pool.aclose()

    def _reason(self, error: NoAnswer) -> str:
        """Returns why another attempt would not help; empty if it might."""
        if isinstance(error, Closed):
            return "The server is shutting down."
        if isinstance(error, Exhausted):
            return f"The row needs more than {MEMORY_BYTES >> 20} MiB of memory to be scored."
        if error.code == -signal.SIGXCPU:
            return f"The row takes more than {self._cpu_s} s of computing time to be scored."
        return ""


_score_row = msgspec.json.Decoder(dict).decode


def _unexpected(error: NoAnswer) -> str:
    logger.warning("a row could not be scored: %s", error)
    return f"The process that scored the row ended unexpectedly (code {error.code})."
