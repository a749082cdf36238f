"""Real worker processes: rows that hang, crash and fill the memory, and workers that are killed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import psutil
import pytest

from stack.providers.scoring import worker_pool
from stack.providers.scoring.registry import definition
from stack.providers.scoring.worker_pool import MAX_CHARACTERS, WorkerPool

MATH, DOCVQA = "basic::regex_parser_math_response", "basic::docvqa"


@asynccontextmanager
async def pool(size: int = 1, cpu_s: int = 5) -> AsyncIterator[WorkerPool]:
    """Leaves no process behind."""
    before = set(psutil.Process().children())
    made = WorkerPool(size, cpu_s)
    try:
        yield made
    finally:
        await made.aclose()
        assert set(psutil.Process().children()) <= before


def workers() -> list[psutil.Process]:
    found = []
    for one in psutil.Process().children():
        # One that was just killed has no command any more.
        with suppress(psutil.NoSuchProcess):
            if "stack.providers.scoring.worker" in one.cmdline():
                found.append(one)
    return found


async def scored(pool: WorkerPool, name: str, expected: Any, generated: Any) -> dict[str, Any]:
    function = definition(name)
    return await pool.score(
        function, function.params, {"expected_answer": expected, "generated_answer": generated}
    )


def test_rows_are_scored_and_a_worker_serves_many() -> None:
    async def run() -> None:
        async with pool() as made:
            assert workers() == []
            rows = await asyncio.gather(*(scored(made, DOCVQA, ["b"], word) for word in "abcb"))
            assert [row["score"] for row in rows] == [0.0, 1.0, 0.0, 1.0]
            assert len(workers()) == 1
            await scored(made, DOCVQA, ["b"], "b")
            assert len(workers()) == 1

    asyncio.run(run())


@pytest.mark.slow
def test_a_row_that_hangs_fails_alone() -> None:
    async def run() -> None:
        async with pool(cpu_s=1) as made:
            rows = await asyncio.gather(
                scored(made, MATH, r"\frac12", r"\boxed{0.5}"),
                scored(made, MATH, "1", r"\boxed{9^{9^{9^9}}}"),
                scored(made, MATH, "2", r"\boxed{\frac{4}{2}}"),
            )
            assert [row["score"] for row in rows] == [1.0, 0, 1.0]
            assert "more than 1 s of computing time" in rows[1]["error"]

    asyncio.run(run())


def test_a_worker_that_was_killed_while_idle_is_replaced_unnoticed() -> None:
    async def run() -> None:
        async with pool() as made:
            await scored(made, DOCVQA, ["b"], "b")
            (first,) = workers()
            first.kill()
            assert (await scored(made, DOCVQA, ["b"], "b"))["score"] == 1.0
            assert [one.pid for one in workers()] != [first.pid]

    asyncio.run(run())


@pytest.mark.slow
def test_a_worker_that_dies_with_a_row_fails_that_row() -> None:
    async def run() -> None:
        async with pool() as made:
            await scored(made, DOCVQA, ["b"], "b")
            hanging = asyncio.create_task(scored(made, MATH, "1", r"\boxed{9^{9^{9^9}}}"))
            (first,) = workers()
            while first.cpu_times().user < 0.5:
                await asyncio.sleep(0.05)
            # Once while idle it was not: the row is tried on a new worker, and fails with that.
            first.kill()
            while not (second := [one for one in workers() if one.pid != first.pid]):
                await asyncio.sleep(0.01)
            second[0].kill()
            row = await hanging
            assert row["score"] == 0 and "ended unexpectedly (code -9)" in row["error"]
            assert (await scored(made, DOCVQA, ["b"], "b"))["score"] == 1.0

    asyncio.run(run())


def test_a_row_that_is_no_longer_wanted_leaves_no_answer_behind() -> None:
    async def run() -> None:
        async with pool() as made:
            await scored(made, DOCVQA, ["b"], "b")
            task = asyncio.create_task(scored(made, MATH, "1", r"\boxed{9^{9^{9^9}}}"))
            await asyncio.sleep(0.1)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert await scored(made, DOCVQA, ["c"], "c") == {"score": 1.0, "anls": 1.0}

    asyncio.run(run())


def test_memory_is_bounded() -> None:
    async def run() -> None:
        async with pool() as made:
            await scored(made, DOCVQA, ["b"], "b")
            (worker,) = workers()
            assert worker.rlimit(psutil.RLIMIT_AS) == (1 << 30, 1 << 30)
            assert worker.nice() >= 10
            # A worker knows nothing of the server's environment.
            assert set(worker.environ()) <= {"PYTHONPATH", "PATH", "LANG", "LC_CTYPE"}

    asyncio.run(run())


def test_a_row_that_is_too_large_reaches_no_worker() -> None:
    async def run() -> None:
        async with pool() as made:
            row = await scored(made, DOCVQA, ["b"], "b" * (MAX_CHARACTERS + 1))
            assert row["score"] == 0 and "at most 1,000,000" in row["error"]
            assert workers() == []

    asyncio.run(run())


def test_an_idle_worker_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_pool, "IDLE_S", 0.1)

    async def run() -> None:
        async with pool() as made:
            await scored(made, DOCVQA, ["b"], "b")
            began = time.monotonic()
            while workers() and time.monotonic() - began < 10:
                await asyncio.sleep(0.05)
            assert workers() == []
            assert (await scored(made, DOCVQA, ["b"], "b"))["score"] == 1.0

    asyncio.run(run())
