"""Real worker processes: what they answer, what ends them, and that none is left."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing, suppress

import psutil
import pytest
from msgspec.structs import replace

from stack.workers import framing
from stack.workers.descriptor import of_bytes
from stack.workers.failure import Closed, Exhausted, NoAnswer
from stack.workers.framing import DONE, OWN, TASK, Incoming
from stack.workers.limits import Limits
from stack.workers.pool import OneWorker, Pool
from stack.workers.process import Spec
from stack.workers.starter import Starter
from tests.servers.processes import ROOT

pytestmark = pytest.mark.anyio

WAIT_S = 60.0
SPEC = Spec(
    module="tests.workers.job", limits=Limits(memory_bytes=2**30, wait_s=WAIT_S, nice=3, file_bytes=0)
)


def workers() -> list[psutil.Process]:
    found = []
    for one in psutil.Process().children():
        try:
            if SPEC.module in one.cmdline():
                found.append(one)
        except psutil.NoSuchProcess:
            # It ends just now.
            continue
    return found


@pytest.fixture(autouse=True)
def no_worker_is_left() -> Iterator[None]:
    """The first fixture to be set up, and the last to be torn down."""
    yield
    assert workers() == []


@pytest.fixture
async def pool() -> AsyncIterator[Pool]:
    made = Pool(SPEC, 2, WAIT_S)
    yield made
    await made.aclose()


@pytest.fixture
def one() -> Iterator[OneWorker]:
    made = OneWorker(SPEC)
    yield made
    made.close()


async def test_answers_of_every_size_come_from_the_same_worker(pool: Pool, one: OneWorker) -> None:
    pid = await pool.ask(b"pid")
    for size in (0, 1, 2**15, 2**16, 2**20, 5 * 2**20 + 1):
        text = b"t" * size
        assert await pool.ask(b"echo " + text) == text
        assert one.ask(b"echo " + text) == text
        assert await pool.ask(b"large %d" % size) == b"x" * size
    assert await pool.ask(b"pid") == pid
    assert len(workers()) == 2


async def test_a_pool_has_as_many_workers_as_it_may(pool: Pool) -> None:
    pids = await asyncio.gather(*(pool.ask(b"pid") for _ in range(12)))
    assert 1 <= len(set(pids)) <= 2


async def test_a_worker_that_says_much_is_not_stuck(one: OneWorker) -> None:
    for _ in range(20):
        assert one.ask(b"complain 50000") == b"done"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("task", "code", "said"),
    [
        (b"exit 7", 7, "ended with 7: for a reason"),
        (b"compute 1", -signal.SIGXCPU, "ended with -24"),
        (b"nonsense", 1, "ValueError: no such task: nonsense"),
    ],
)
async def test_a_task_that_no_worker_survives_is_an_error(
    pool: Pool, one: OneWorker, task: bytes, code: int, said: str
) -> None:
    with pytest.raises(NoAnswer, match=said) as raised:
        await pool.ask(task)
    assert raised.value.code == code and raised.value.is_new
    with pytest.raises(NoAnswer, match=said) as raised:
        one.ask(task)
    assert raised.value.code == code
    assert workers() == []
    assert await pool.ask(b"echo a") == one.ask(b"echo a") == b"a"


async def test_too_much_memory_is_said_as_such(pool: Pool, one: OneWorker) -> None:
    with pytest.raises(Exhausted):
        await pool.ask(b"fill")
    with pytest.raises(Exhausted):
        one.ask(b"fill")


async def test_a_deadline_ends_the_worker() -> None:
    hasty = replace(SPEC, limits=replace(SPEC.limits, wait_s=0.2))
    pool = Pool(hasty, 1, WAIT_S)
    with pytest.raises(TimeoutError):
        await pool.ask(b"sleep 600")
    with pytest.raises(TimeoutError):
        OneWorker(hasty).ask(b"sleep 600")
    assert workers() == []
    await pool.aclose()


async def test_a_caller_that_leaves_takes_its_worker_along(pool: Pool) -> None:
    await pool.ask(b"echo a")
    asking = asyncio.create_task(pool.ask(b"sleep 600"))
    await asyncio.sleep(0.05)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert workers() == []
    assert await pool.ask(b"echo b") == b"b"


async def test_closing_ends_what_is_asked_and_what_waits() -> None:
    pool = Pool(SPEC, 1, WAIT_S)
    await pool.ask(b"echo a")
    asking = [asyncio.create_task(pool.ask(b"sleep 600")) for _ in range(3)]
    await asyncio.sleep(0.05)
    await pool.aclose()
    found = await asyncio.gather(*asking, return_exceptions=True)
    assert [type(one) for one in found] == [Closed] * 3
    assert workers() == []
    with pytest.raises(Closed):
        await pool.ask(b"echo a")


async def test_a_stream_waits_for_its_reader() -> None:
    starter = Starter("test")
    worker = await starter.start(SPEC)
    count = 0
    async with aclosing(starter.frames(worker, b"many 300")) as frames:
        async for frame in frames:
            if frame.kind != DONE:
                assert (frame.kind, frame.number, len(frame.payload)) == (OWN, count, 100_000)
                count += 1
    assert count == 300
    (process,) = workers()
    async with aclosing(starter.frames(worker, b"many 1000000")) as frames:
        assert (await anext(frames)).kind == OWN
        while process.status() != psutil.STATUS_SLEEPING:
            await asyncio.sleep(0.01)
        spent_s = sum(process.cpu_times()[:2])
        await asyncio.sleep(0.1)
        assert sum(process.cpu_times()[:2]) == spent_s < 5
    assert workers() == []
    await starter.aclose()


@pytest.mark.slow
async def test_a_stream_has_its_time_without_that_of_its_reader() -> None:
    starter = Starter("test")
    hasty = await starter.start(replace(SPEC, limits=replace(SPEC.limits, wait_s=2.0)))
    async with aclosing(starter.frames(hasty, b"many 30")) as frames:
        assert (await anext(frames)).kind == OWN
        await asyncio.sleep(2.1)
        assert [frame.kind async for frame in frames][-1] == DONE
    await starter.aclose()


async def test_a_worker_inherits_the_files_that_it_is_told_of() -> None:
    starter = Starter("test")
    content = of_bytes(b"in a file")
    worker = await starter.start(replace(SPEC, descriptors=(content,)))
    async with aclosing(starter.frames(worker, b"read %d" % content.number)) as frames:
        assert [frame.payload async for frame in frames] == [b"in a file"]
    await starter.aclose()


async def test_a_start_that_is_not_waited_for_leaves_no_worker() -> None:
    starter = Starter("test")
    for wait_s in (0.0, 0.001, 0.01, 0.1):
        starting = asyncio.create_task(starter.start(SPEC))
        await asyncio.sleep(wait_s)
        starting.cancel()
        await asyncio.wait([starting])
    starting = asyncio.create_task(starter.start(SPEC))
    await asyncio.sleep(0)
    await starter.aclose()
    with pytest.raises(Closed):
        await starting
    while workers():
        await asyncio.sleep(0.01)


async def test_a_worker_is_bounded_and_knows_nothing_of_the_server(
    pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    await pool.ask(b"echo a")
    (worker,) = workers()
    assert set(worker.environ()) <= {"PYTHONPATH", "PATH", "LANG", "LC_CTYPE"}
    assert worker.rlimit(psutil.RLIMIT_AS) == (2**30, 2**30)
    assert worker.rlimit(psutil.RLIMIT_FSIZE) == (0, 0)
    assert worker.rlimit(psutil.RLIMIT_CORE) == (0, 0)
    assert worker.nice() == psutil.Process().nice() + 3


SERVER = """
import os
from stack.workers.pool import OneWorker
from tests.workers.test_pool import SPEC
worker = OneWorker(SPEC)
print(worker.ask(b"pid").decode(), flush=True)
worker.ask(b"sleep 600")
"""


@pytest.mark.slow
def test_a_busy_worker_ends_with_a_server_that_is_killed() -> None:
    with subprocess.Popen([sys.executable, "-c", SERVER], cwd=ROOT, stdout=subprocess.PIPE) as server:
        assert server.stdout is not None
        worker = psutil.Process(int(server.stdout.readline()))
        server.kill()
    with suppress(psutil.NoSuchProcess):
        # Who reaps it, and when, is up to the system.
        while worker.status() != psutil.STATUS_ZOMBIE:
            time.sleep(0.01)


def test_frames_are_put_together_from_any_pieces() -> None:
    read, write = os.pipe()
    framing.write(write, TASK, b"abc", 5)
    framing.write(write, DONE)
    data = os.read(read, 1000)
    os.close(read)
    os.close(write)
    incoming, found = Incoming(), []
    for number in range(len(data)):
        incoming.feed(data[number : number + 1])
        while (frame := incoming.next()) is not None:
            found.append((frame.kind, frame.number, frame.payload))
    assert found == [(TASK, 5, b"abc"), (DONE, 0, b"")]
