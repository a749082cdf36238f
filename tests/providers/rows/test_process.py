"""A worker process is bounded, and always ends: with its work, its caller or its server, in error or by force."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import psutil
import pytest

from stack.errors import Invalid, ReplaystackError, Unavailable, UpstreamFailed, UpstreamTimeout
from stack.providers.fetch.guarded import GuardedFetcher
from stack.providers.rows.frames import Job
from stack.providers.rows.process import Workers
from stack.providers.rows.reader import RowReader
from stack.providers.rows.settings import ReadLimits
from stack.workers.descriptor import Descriptor, of_bytes
from tests.providers.rows.children import children, is_at_work
from tests.servers.processes import ROOT

pytestmark = pytest.mark.anyio

# Numbers throughout: what the columns are shows at the end, a second from now.
SLOW_CSV = b"a,b,c\n" + b"1,2.5,3\n" * 1_000_000
# Text throughout: its rows come at once, more of them than a pipe holds.
FAST_CSV = b"a,b\n" + b"text,text\n" * 200_000


@pytest.fixture
async def workers() -> AsyncIterator[Workers]:
    workers = Workers()
    descriptors = len(os.listdir("/dev/fd"))  # noqa: PTH208
    yield workers
    await workers.aclose()
    assert children() == []
    assert len(os.listdir("/dev/fd")) <= descriptors + 1  # noqa: PTH208


Work = tuple[Descriptor, Job]


def work_on(data: bytes, **limits: Any) -> Work:
    content = of_bytes(data)
    return content, Job(
        task="file",
        content=content.number,
        limits=ReadLimits(**limits),
        shown="the file",
        name="a.csv" if data.startswith(b"a,") else "a.json",
    )


async def outcome(workers: Workers, work: Work) -> list[Any]:
    return [frame async for frame in workers.read(*work)]


async def the_worker() -> psutil.Process:
    while True:
        if started := children():
            return started[0]
        await asyncio.sleep(0.01)


async def until_working(worker: psutil.Process) -> None:
    """Until it is in the middle of the rows."""
    while sum(worker.cpu_times()[:2]) < 0.3:
        await asyncio.sleep(0.01)


@pytest.mark.parametrize(
    ("number", "error", "problem"),
    [
        (signal.SIGKILL, UpstreamFailed, "ended .signal SIGKILL"),
        (signal.SIGSEGV, UpstreamFailed, "ended .signal SIGSEGV"),
        (signal.SIGXCPU, Invalid, r"takes more than 27 s of computing to read .setting max_dataset_cpu_s."),
    ],
)
async def test_a_worker_that_dies_in_the_middle_is_an_error(
    workers: Workers, number: signal.Signals, error: type[ReplaystackError], problem: str
) -> None:
    running = asyncio.ensure_future(outcome(workers, work_on(SLOW_CSV)))
    worker = await the_worker()
    await until_working(worker)
    worker.send_signal(number)
    with pytest.raises(error, match=problem):
        await running
    assert not worker.is_running()


async def test_blocks_before_a_death_are_no_excuse(workers: Workers) -> None:
    async with aclosing(workers.read(*work_on(FAST_CSV))) as frames:
        assert (await anext(frames)).number
        (await the_worker()).kill()
        with pytest.raises(UpstreamFailed, match="SIGKILL"):
            async for _ in frames:
                pass


@pytest.mark.slow
async def test_too_much_computing_ends_it(workers: Workers) -> None:
    began = time.monotonic()
    with pytest.raises(Invalid, match="takes more than 1 s of computing to read"):
        await outcome(workers, work_on(SLOW_CSV * 4, cpu_s=1))
    assert time.monotonic() - began < 10


async def test_too_long_a_wait_ends_it(workers: Workers) -> None:
    with pytest.raises(UpstreamTimeout, match=r"the file took more than 0\.3 s to read"):
        await outcome(workers, work_on(SLOW_CSV, wait_s=0.3))


@pytest.mark.slow
async def test_time_in_which_nobody_asks_does_not_count(workers: Workers) -> None:
    count = 0
    async for frame in workers.read(*work_on(FAST_CSV, wait_s=2.0)):
        if not count:
            await asyncio.sleep(2.1)
        count += frame.number
    assert count == 200_000


@pytest.mark.slow
@pytest.mark.parametrize(
    "data", [b"[{}" + b",1" * 20_000_000 + b"]", b'[{"a":"' + b"x" * 150_000_000 + b'"}]']
)
async def test_too_much_memory_is_refused(workers: Workers, data: bytes) -> None:
    with pytest.raises(Invalid, match="more memory to read than the 300000000 bytes"):
        await outcome(workers, work_on(data, memory_bytes=300_000_000, max_row_bytes=2**30))


async def test_cancelling_ends_it_at_any_time(workers: Workers) -> None:
    work = work_on(SLOW_CSV)
    for wait_s in (0.0, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3):
        running = asyncio.ensure_future(outcome(workers, work))
        await asyncio.sleep(wait_s)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        ended = time.monotonic() + 2
        while children():
            assert time.monotonic() < ended
            await asyncio.sleep(0.01)


async def test_closing_the_reader_ends_what_is_read(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(SLOW_CSV)
    reader = RowReader(GuardedFetcher(), [tmp_path], tmp_path / "data")

    async def read() -> None:
        async for _ in reader.read("lsfs://a.csv"):
            pass

    running = asyncio.ensure_future(read())
    worker = await the_worker()
    await reader.aclose()
    assert not worker.is_running()
    with pytest.raises(Unavailable, match="shutting down"):
        await running
    with pytest.raises(Unavailable, match="shutting down"):
        await read()


SERVER = """
import asyncio, sys
from pathlib import Path
from stack.providers.fetch.guarded import GuardedFetcher
from stack.providers.rows.reader import RowReader

async def main():
    reader = RowReader(GuardedFetcher(), [Path(sys.argv[1])], Path(sys.argv[1]) / "data")
    async for block in reader.read("lsfs://a.csv"):
        print("block", flush=True)
        await asyncio.sleep(60)

asyncio.run(main())
"""


@pytest.mark.parametrize("at", ["computing", "writing"])
async def test_a_worker_ends_with_a_server_that_is_killed(tmp_path: Path, at: str) -> None:
    text = SLOW_CSV if at == "computing" else FAST_CSV
    (tmp_path / "a.csv").write_bytes(text)
    command = [sys.executable, "-c", SERVER, str(tmp_path)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as server:
        try:
            if at == "writing":
                assert server.stdout is not None
                await asyncio.to_thread(server.stdout.readline)
            children: list[psutil.Process] = []
            while not children:
                children = psutil.Process(server.pid).children()
                await asyncio.sleep(0.01)
            if at == "computing":
                await until_working(children[0])
        finally:
            server.kill()
    ended = time.monotonic() + 2
    while is_at_work(children[0]):
        assert time.monotonic() < ended
        await asyncio.sleep(0.01)


async def test_a_worker_knows_nothing_of_the_servers_environment(
    workers: Workers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    running = asyncio.ensure_future(outcome(workers, work_on(SLOW_CSV)))
    worker = await the_worker()
    assert "secret" not in str(worker.environ())
    assert "the file" not in str(worker.cmdline())
    await until_working(worker)
    assert worker.nice() > psutil.Process().nice()
    running.cancel()
    await asyncio.wait([running])


async def test_a_process_that_cannot_be_started_is_said(
    workers: Workers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", "/nonexistent/python")
    with pytest.raises(Unavailable, match="No process can be started to read the file: No such file"):
        await outcome(workers, work_on(b"a,b\n"))
