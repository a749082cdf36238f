"""The particular properties of the SQLite log: its file, its threads, other processes, full disks."""

from __future__ import annotations

import asyncio
import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from schemas.events.base import Event, Unknown
from schemas.events.session import SessionCreated, SessionDeleted
from stack.errors import InternalError, ReplaystackError, Unavailable, VersionConflict
from stack.event_log import open_store
from stack.eventstore import Append, Fold, StreamWrite, stream_name
from stack.eventstore.intake import MAX_WAITING, Intake
from stack.eventstore.sqlite.verify import verify
from stack.eventstore.submission import NewRow, Submission
from tests.eventstore.earlier_release import remove_chain

pytestmark = pytest.mark.anyio


def created(number: int | str = 1, content: str = "n", version: int = 0) -> Append:
    event = SessionCreated(agent_id="a", session_name=content)
    return Append((StreamWrite(stream_name("session", str(number)), version, (event,)),))


def fold() -> Fold[int]:
    return Fold(0, lambda state, event, at, version: state + 1)


def everything_in(folder: Path) -> bytes:
    return b"".join(file.read_bytes() for file in folder.rglob("*") if file.is_file())


async def test_the_settings_that_durability_rests_on(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    await store.append(created())
    db = store.log._writer._db
    assert db is not None
    pragmas = {
        p: db.execute(f"PRAGMA {p}").fetchone()[0] for p in ("journal_mode", "synchronous", "secure_delete")
    }
    assert pragmas == {"journal_mode": "wal", "synchronous": 2, "secure_delete": 1}
    store.close()


async def test_redacted_bytes_leave_the_files(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    await store.append(created(1, "SECRET-one" * 10))
    await store.append(created(1, "SECRET-many-pages" * 5_000, version=1))
    await store.append(created(2, "bystander"))
    assert b"SECRET" in everything_in(tmp_path)
    stream = stream_name("session", "1")
    await store.append(Append((StreamWrite(stream, 2, (SessionDeleted(),)),), redact=(stream,)))
    assert b"SECRET" not in everything_in(tmp_path)
    assert b"bystander" in everything_in(tmp_path)
    store.close()


async def test_redacted_bytes_leave_the_files_once_a_reader_is_gone(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    await store.append(created(1, "SECRET" * 10))
    reader = sqlite3.connect(tmp_path / "events.sqlite", isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM events").fetchone()
    stream = stream_name("session", "1")
    await store.append(Append((StreamWrite(stream, 1, (SessionDeleted(),)),), redact=(stream,)))
    reader.close()
    deadline = time.monotonic() + 10
    while b"SECRET" in everything_in(tmp_path) and time.monotonic() < deadline:
        await asyncio.sleep(0.05)
    assert b"SECRET" not in everything_in(tmp_path)
    store.close()


async def test_readers_do_not_wait_for_a_writer(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    await store.append(created())
    other = sqlite3.connect(tmp_path / "events.sqlite", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    assert len(await asyncio.wait_for(store.read_stream(stream_name("session", "1")), 2)) == 1
    waiting = asyncio.create_task(store.append(created(2)))
    await asyncio.sleep(0.05)
    assert not waiting.done()
    assert (await asyncio.wait_for(store.load(stream_name("session", "1"), fold()), 2)).version == 1
    other.execute("ROLLBACK")
    other.close()
    assert (await waiting).first == 2
    store.close()


async def test_what_another_process_writes_is_noticed(tmp_path: Path) -> None:
    mine, theirs = open_store(tmp_path), open_store(tmp_path)
    counting = fold()
    stream = stream_name("session", "1")
    await mine.append(created())
    assert (await mine.load(stream, counting)).version == 1
    woken = threading.Event()
    mine.feed.subscribe(lambda head: woken.set() if head == 2 else None)
    await theirs.append(created(1, version=1))
    assert await asyncio.to_thread(woken.wait, 5)
    assert (mine.head(), mine.feed.head()) == (2, 2)
    assert (await mine.load(stream, counting)).version == 2
    assert [record.position for record in mine.feed.read(0, 9)] == [1, 2]
    await theirs.append(created(1, version=2))
    with pytest.raises(VersionConflict):
        await mine.append(created(1, version=2))
    assert (await mine.load(stream, counting)).version == 3
    assert (await mine.append(created(1, version=3))).first == 4
    assert [record.position for record in mine.feed.read(0, 9)] == [1, 2, 3, 4]
    mine.close()
    theirs.close()


async def test_events_that_cannot_be_read_stop_no_follower(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    await store.append(created(1))
    await store.append(created(2))
    store.close()
    db = sqlite3.connect(tmp_path / "events.sqlite")
    with db:
        db.execute("UPDATE events SET name = 'from.the.future.1', state = X'FF00' WHERE position = 1")
        db.execute("UPDATE events SET state = X'FF00' WHERE position = 2")
    db.close()
    remove_chain(tmp_path)  # which would tell both apart from what was recorded
    store = open_store(tmp_path)
    assert [record.state for record in store.feed.read(0, 9)] == [b"\xff\x00", b"\xff\x00"]
    [event] = await store.read_stream(stream_name("session", "1"))
    assert event.event == Unknown()
    assert (await store.load(stream_name("session", "1"), fold())).version == 1
    for read in (
        store.read_stream(stream_name("session", "2")),
        store.load(stream_name("session", "2"), fold()),
    ):
        with pytest.raises(InternalError):
            await read
    store.close()


async def test_a_log_of_a_newer_version_is_not_touched(tmp_path: Path) -> None:
    open_store(tmp_path).close()
    db = sqlite3.connect(tmp_path / "events.sqlite")
    with db:
        db.execute("UPDATE log_info SET value = '99' WHERE key = 'format'")
    db.close()
    with pytest.raises(Unavailable, match="99"):
        open_store(tmp_path)


def test_what_is_no_log_is_refused(tmp_path: Path) -> None:
    (tmp_path / "events.sqlite").write_bytes(b"not a database, and long enough to be looked at" * 100)
    with pytest.raises(Unavailable):
        open_store(tmp_path)


async def test_a_failing_fold_harms_only_its_reader(tmp_path: Path) -> None:
    store = open_store(tmp_path)

    def evolve(state: int, event: Event, recorded_at: int, version: int) -> int:
        if version == 2:
            raise ZeroDivisionError
        return state + 1

    failing = Fold(0, evolve)
    stream = stream_name("session", "1")
    await store.append(created())
    assert (await store.load(stream, failing)).version == 1
    await store.append(created(1, version=1))
    with pytest.raises(ZeroDivisionError):
        await store.load(stream, failing)
    assert (await store.load(stream, fold())).version == 2
    store.close()


async def test_a_hot_stream_is_not_read(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    counting = fold()
    await store.load(stream_name("session", "0"), counting)
    await store.append(created(1))
    store.log._readers.close()
    assert (await store.load(stream_name("session", "1"), counting)).version == 1
    await store.append(created(1, version=1))
    assert (await store.load(stream_name("session", "1"), counting)).version == 2
    with pytest.raises(Unavailable):
        await store.load_fresh(stream_name("session", "1"), counting)
    store.close()


async def test_the_cache_is_bounded(tmp_path: Path) -> None:
    store = open_store(tmp_path, cache_bytes=100_000)
    counting = fold()
    await store.load(stream_name("session", "x"), counting)
    for number in range(50):
        await store.append(created(number, "c" * 10_000))
    assert store._cache._bytes <= 100_000
    assert 5 < len(store._cache._entries) < 10
    assert (await store.load(stream_name("session", "0"), counting)).version == 1
    await store.append(created("large", "c" * 200_000))
    assert store._cache._bytes <= 100_000
    store.close()


def test_the_intake_is_bounded() -> None:
    intake = Intake()
    for _ in range(MAX_WAITING):
        intake.put(Submission([NewRow("s", 1, "n", b"")], ()))
    with pytest.raises(Unavailable) as refused:
        intake.put(Submission([NewRow("s", 1, "n", b"")], ()))
    assert refused.value.retry_after == 1
    taken = 0
    intake.close()
    while (batch := intake.take()) is not None:
        taken += len(batch)
    assert taken == MAX_WAITING
    with pytest.raises(Unavailable):
        intake.put(Submission([NewRow("s", 1, "n", b"")], ()))


def test_the_intake_is_bounded_by_bytes_but_takes_one_large_append() -> None:
    intake = Intake()
    large = Submission([NewRow("s", 1, "n", b"")], ())
    large.size = 200 * 2**20
    intake.put(large)
    with pytest.raises(Unavailable):
        intake.put(Submission([NewRow("s", 1, "n", b"x")], ()))
    assert intake.take() == [large]
    intake.put(large)


async def test_a_full_database_is_unavailable_and_recovers(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    await store.append(created("first"))
    await store.load(stream_name("session", "first"), fold())
    db = store.log._writer._db
    assert db is not None
    pages = db.execute("PRAGMA page_count").fetchone()[0]
    db.execute(f"PRAGMA max_page_count = {pages + 2}").fetchone()
    outcomes = await asyncio.gather(
        *[store.append(created(n, "x" * 20_000)) for n in range(10)], return_exceptions=True
    )
    refused = [n for n, outcome in enumerate(outcomes) if isinstance(outcome, BaseException)]
    assert refused
    assert all(isinstance(outcomes[n], Unavailable) for n in refused)
    # The connection that failed is replaced, and with it the limit is gone: there is space again.
    for number in refused:
        assert await store.read_stream(stream_name("session", str(number))) == []
        await store.append(created(number, "x" * 20_000))
    assert [r.position for r in store.feed.read(0, 99)] == list(range(1, 12))
    store.close()


FULL_DISK = """
import asyncio, random, resource, sys
from pathlib import Path
from schemas.events.session import SessionCreated
from stack.errors import Unavailable
from stack.event_log import open_store
from stack.eventstore import Append, EventStore, StreamWrite

def append(n, size):
    return Append((StreamWrite(f"default/session/{n}", 0, (SessionCreated(agent_id="a", session_name="x" * size),)),))

async def main():
    store = open_store(Path(sys.argv[1]))
    await store.append(append("first", 10))
    resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, resource.RLIM_INFINITY))
    outcomes = await asyncio.gather(*[store.append(append(n, 50_000)) for n in range(20)], return_exceptions=True)
    stored = 1 + sum(not isinstance(o, Exception) for o in outcomes)
    assert any(isinstance(o, Unavailable) for o in outcomes), outcomes
    assert all(isinstance(o, Unavailable) for o in outcomes if isinstance(o, Exception)), outcomes
    # Incompressible, so that its blob is larger than the limit too.
    big = "".join(random.Random(1).choices("abcdefghijklmnopqrstuvwxyz0123456789", k=600_000))
    event = SessionCreated(agent_id="a", session_name=big)
    try:
        await store.append(Append((StreamWrite("default/session/blob", 0, (event,)),)))
    except Unavailable:
        pass
    else:
        raise AssertionError("the blob was stored")
    assert store.head() == stored == len(store.feed.read(0, 99)), (store.head(), stored)
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    again = [n for n, o in enumerate(outcomes) if isinstance(o, Exception)]
    await asyncio.gather(*[store.append(append(n, 50_000)) for n in again])
    await store.append(Append((StreamWrite("default/session/blob", 0, (event,)),)))
    assert store.head() == 22
    assert not store.blobs._held
    store.close()

asyncio.run(main())
"""


@pytest.mark.slow
def test_a_full_disk_is_unavailable_and_recovers(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    report = verify(tmp_path)
    assert (report.problems, report.events, report.blobs) == ((), 22, 1)


async def test_errors_of_the_store_are_of_the_projects_tree(tmp_path: Path) -> None:
    (tmp_path / "events.sqlite").mkdir()
    with pytest.raises(ReplaystackError):
        open_store(tmp_path)
