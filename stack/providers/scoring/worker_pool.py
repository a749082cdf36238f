"""Worker processes for rows that may take long, hang or crash: started when needed, ended when idle or stuck."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import msgspec

import stack
from schemas.api.scoring_function import ScoringFnParams
from stack.providers.scoring.port import Definition, Row, ScoreRow
from stack.providers.scoring.scored import failed
from stack.providers.scoring.worker import LENGTH_BYTES, Answer, Task, framed

logger = logging.getLogger("replaystack.scoring")

SIZE = 2
CPU_S = 5
"""Computing time of one row."""
IDLE_S = 60.0
ANSWER_S = 120.0
"""A row whose answer is not there after this long is given up. Its computing time is bounded in the worker; this is
for a machine that does not get to it."""
MAX_CHARACTERS = 1_000_000
LARGE_CHARACTERS = 65_536
"""A row above this is encoded outside of the event loop's thread."""


class WorkerPool:
    """At most `size` workers of one event loop, each with one row at a time; who waits is served in turn."""

    def __init__(self, size: int = SIZE, cpu_s: int = CPU_S) -> None:
        self._cpu_s = cpu_s
        self._places = asyncio.Semaphore(size)
        self._idle: list[_Worker] = []
        self._all: set[_Worker] = set()
        self._closed = False

    async def score(self, function: Definition, params: ScoringFnParams, row: Row) -> ScoreRow:
        """The score row of a function whose place is the worker. A row that a worker does not survive has failed."""
        size = sum(len(value) for value in row.values() if isinstance(value, str))
        if size > MAX_CHARACTERS:
            return failed(
                f"The texts of the row have {size:,} characters; at most {MAX_CHARACTERS:,} can be scored."
            )
        task = Task(function.id, params, dict(row))
        frame = framed(task) if size < LARGE_CHARACTERS else await asyncio.to_thread(framed, task)
        async with self._places:
            if self._closed:
                return failed("The server is shutting down.")
            return await self._asked(frame)

    async def _asked(self, frame: bytes) -> ScoreRow:
        if self._idle:
            # It may have been ended while it was idle, by the system for its memory: then a new one is asked.
            try:
                return await self._ask(self._idle.pop(), frame)
            except _Ended as ended:
                if ended.final:
                    return failed(ended.reason)
        try:
            return await self._ask(await self._start(), frame)
        except _Ended as ended:
            return failed(ended.reason)

    async def _ask(self, worker: _Worker, frame: bytes) -> ScoreRow:
        try:
            answer = await worker.ask(frame)
        except BaseException:
            # A cancelled caller has left an answer in the pipe that belongs to no one.
            await self._end(worker)
            raise
        if answer.leaving or self._closed:
            await self._end(worker)
        else:
            self._idle.append(worker)
            worker.rest(self._retire)
        return answer.score_row

    async def _start(self) -> _Worker:
        try:
            worker = _Worker(await _started(self._cpu_s), self._cpu_s)
        except OSError as error:
            raise _Ended(f"No process could be started to score the row: {error}.") from None
        self._all.add(worker)
        return worker

    async def _end(self, worker: _Worker) -> None:
        self._all.discard(worker)
        await worker.end()

    def _retire(self, worker: _Worker) -> None:
        if worker in self._idle:
            self._idle.remove(worker)
            self._all.discard(worker)
            worker.leave()

    async def aclose(self) -> None:
        self._closed = True
        self._idle.clear()
        for worker in list(self._all):
            await self._end(worker)


class _Ended(Exception):
    """The worker ended before it answered. `reason` says so of the row; `final` when the row was the cause."""

    def __init__(self, reason: str, *, final: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.final = final


class _Worker:
    def __init__(self, process: Process, cpu_s: int) -> None:
        self._cpu_s = cpu_s
        assert process.stdin is not None and process.stdout is not None
        self._process = process
        self._stdin, self._stdout = process.stdin, process.stdout
        self._resting: asyncio.TimerHandle | None = None

    async def ask(self, frame: bytes) -> Answer:
        """Raises _Ended."""
        if self._resting is not None:
            self._resting.cancel()
        try:
            async with asyncio.timeout(ANSWER_S):
                self._stdin.write(frame)
                await self._stdin.drain()
                length = int.from_bytes(await self._stdout.readexactly(LENGTH_BYTES), "big")
                return msgspec.json.decode(await self._stdout.readexactly(length), type=Answer)
        except TimeoutError:
            raise _Ended(f"The row was not scored within {ANSWER_S:g} s.", final=True) from None
        except (OSError, asyncio.IncompleteReadError):
            raise _cause(await self._process.wait(), self._cpu_s) from None

    def rest(self, retire: Callable[[_Worker], None]) -> None:
        """Calls `retire` when no one has asked for a minute."""
        self._resting = asyncio.get_running_loop().call_later(IDLE_S, retire, self)

    def leave(self) -> None:
        """Lets it end by itself, at the end of its input."""
        self._stdin.close()

    async def end(self) -> None:
        if self._resting is not None:
            self._resting.cancel()
        with suppress(ProcessLookupError):
            self._process.kill()
        self._stdin.close()
        await self._process.wait()


async def _started(cpu_s: int) -> Process:
    """A worker that knows nothing of the server's environment: there may be keys in it."""
    root = str(Path(stack.__file__).parents[1])
    environment = {"PYTHONPATH": root, "PATH": os.environ.get("PATH", ""), "LANG": "C.UTF-8"}
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", "stack.providers.scoring.worker", str(cpu_s)),
        stdin=PIPE,
        stdout=PIPE,
        stderr=DEVNULL,
        env=environment,
        start_new_session=True,
    )


def _cause(code: int, cpu_s: int) -> _Ended:
    if code == -signal.SIGXCPU:
        return _Ended(f"The row takes more than {cpu_s} s of computing time to be scored.", final=True)
    logger.warning("a scoring worker ended with code %d", code)
    return _Ended(f"The process that scored the row ended unexpectedly (code {code}).")
