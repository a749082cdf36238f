"""The hash chain: what is changed in a log is found, by `verify`, at the start and by those who read it."""

from __future__ import annotations

import asyncio
import random
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from projections.warehouse.feed import DAMAGED
from schemas.events.base import Damaged
from schemas.events.session import SessionCreated, SessionDeleted
from stack.errors import InternalError, Unavailable
from stack.event_log import open_store
from stack.eventstore import Append, StreamWrite
from stack.eventstore.sqlite.backup import backup
from stack.eventstore.sqlite.verify import verify
from tests.eventstore.earlier_release import remove_chain

pytestmark = pytest.mark.anyio

STREAM = "default/session/{}"
CONTENTS = (
    "SELECT position, stream, version, name, recorded_at, command, state FROM events ORDER BY position",
    "SELECT digest, position FROM blob_refs ORDER BY digest, position",
    "SELECT value FROM log_info WHERE key IN ('epoch', 'format')",
    "SELECT seq FROM sqlite_sequence WHERE name = 'events'",
)


def created(number: int, content: str = "n", version: int = 0, **rest: object) -> Append:
    event = SessionCreated(agent_id="a", session_name=content)
    return Append((StreamWrite(STREAM.format(number), version, (event,)),), **rest)  # type: ignore[arg-type]


async def filled(folder: Path, events: int = 20) -> None:
    """Events one by one, then some in one write, one stream redacted."""
    store = open_store(folder)
    for number in range(events // 2):
        await store.append(created(number, f"opens at ten, {number}", command=f"command {number}"))
    writes = [created(number, f"opens at ten, {number}").writes[0] for number in range(events // 2, events)]
    await store.append(Append(tuple(writes)))
    stream = STREAM.format(3)
    await store.append(Append((StreamWrite(stream, 1, (SessionDeleted(),)),), redact=(stream,)))
    store.close()


def change(folder: Path, sql: str) -> None:
    with closing(sqlite3.connect(folder / "events.sqlite")) as db, db:
        db.executescript(sql)


async def test_a_whole_log_is_covered_and_redaction_does_not_break_the_chain(tmp_path: Path) -> None:
    await filled(tmp_path / "log")
    report = verify(tmp_path / "log")
    assert (report.problems, report.redacted) == ((), 1)
    assert (report.chained, report.chained_later) == (report.events, ())
    backup(tmp_path / "log", tmp_path / "copy")
    store = open_store(tmp_path / "copy")
    await store.append(created(99))
    assert store.damage() == ()
    store.close()
    copied = verify(tmp_path / "copy")
    assert (copied.problems, copied.chained) == ((), report.events + 1)


@pytest.mark.parametrize(
    ("sql", "problem"),
    [
        ("UPDATE events SET state = replace(state, 'ten', 'two') WHERE position = 5", "event 5: its content"),
        ("UPDATE events SET command = 'other' WHERE position = 2", "event 2: the hash chain is broken"),
        ("UPDATE events SET command = '' WHERE position = 2", "event 2: the hash chain is broken"),
        (
            "UPDATE events SET stream = 'default/session/x' WHERE position = 5",
            "event 5: the hash chain is broken",
        ),
        ("UPDATE events SET stream = X'FF00' WHERE position = 5", "event 5: the hash chain is broken"),
        ("UPDATE events SET stream = CAST(X'FF00' AS TEXT) WHERE position = 5", "event 5: the hash chain"),
        (
            "UPDATE events SET name = 'session.created.2' WHERE position = 5",
            "event 5: the hash chain is broken",
        ),
        ("UPDATE events SET recorded_at = recorded_at + 1 WHERE position = 5", "event 5: the hash chain"),
        ("UPDATE events SET version = 1.5 WHERE position = 5", "event 5: the hash chain is broken"),
        ("UPDATE events SET version = 2 WHERE position = 15", "events 11 to 20: the hash chain is broken"),
        ("DELETE FROM events WHERE position = 15", "events 11 to 20: 10 were recorded and 9 are there"),
        ("DELETE FROM events WHERE position = 21", "event 21: 1 were recorded and 0 are there"),
        (
            "UPDATE events SET position = 99 WHERE position = 5; UPDATE events SET position = 5 WHERE position = 6;"
            "UPDATE events SET position = 6 WHERE position = 99",
            "event 5: the hash chain is broken",
        ),
        (
            "INSERT INTO events SELECT 22, 'default/session/new', 1, name, recorded_at + 1, state, '' FROM events "
            "WHERE position = 20",
            "events 22 to 22 have no link",
        ),
        ("DELETE FROM chain WHERE last = 5", "events 5 to 5 have no link"),
        ("DELETE FROM chain WHERE last = 21", "events 21 to 21 have no link"),
        ("DELETE FROM chain", "events 1 to 21 have no link"),
        ("UPDATE chain SET hash = zeroblob(32) WHERE last = 5", "event 5: the hash chain is broken"),
        ("UPDATE chain SET digests = zeroblob(32) WHERE last = 5", "event 5"),
        ("UPDATE chain SET digests = zeroblob(64) WHERE last = 5", "covers event 4 twice"),
        ("UPDATE log_info SET value = 'other' WHERE key = 'epoch'", "epoch was changed"),
        (
            "UPDATE log_info SET value = 'other' WHERE key = 'chain_origin'",
            "event 1: the hash chain is broken",
        ),
    ],
)
async def test_a_change_is_found_by_verify_and_at_the_start(tmp_path: Path, sql: str, problem: str) -> None:
    await filled(tmp_path)
    sql = sql.replace(
        "replace(state, 'ten', 'two')", "CAST(replace(CAST(state AS TEXT), 'ten', 'two') AS BLOB)"
    )
    change(tmp_path, sql)
    report = verify(tmp_path)
    assert any(problem in found for found in report.problems), report.problems
    assert len(report.problems) < 8
    store = open_store(tmp_path)
    try:
        if "have no link" in problem:  # what is at the end has got a link by now, and that is on record
            assert store.damage() or verify(tmp_path).chained_later
        else:
            assert any(problem in found for found in store.damage()), store.damage()
    finally:
        store.close()


async def test_a_change_before_the_tail_is_found_by_verify(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    await asyncio.gather(*[store.append(created(number)) for number in range(3_000)])
    store.close()
    change(tmp_path, "UPDATE events SET recorded_at = recorded_at + 1 WHERE position = 2")
    assert not verify(tmp_path).ok


async def test_changed_content_is_refused_and_the_rest_is_read(tmp_path: Path) -> None:
    await filled(tmp_path)
    change(tmp_path, "UPDATE events SET state = X'7B7D' WHERE position = 5")
    store = open_store(tmp_path)
    with pytest.raises(InternalError, match=r"Event 5 .*restore a backup"):
        await store.read_stream(STREAM.format(4))
    streams = await store.read_streams([STREAM.format(4), STREAM.format(5)])
    [stands_in] = [event.event for event in streams[STREAM.format(4)]]
    assert isinstance(stands_in, Damaged) and stands_in.name == "session.created"
    assert stands_in.detail.startswith("Event 5 ")
    assert [event.position for event in streams[STREAM.format(5)]] == [6]
    [event] = await store.read_stream(STREAM.format(5))
    assert event.position == 6
    records = store.feed.read(0, 100)
    assert [record.position for record in records] == list(range(1, 22))
    assert [record.position for record in records if record.state == DAMAGED] == [5]
    await store.append(created(50))
    store.close()
    assert len(verify(tmp_path).problems) == 2  # also that it is not a session's event


async def test_a_text_that_is_not_unicode_stops_no_follower(tmp_path: Path) -> None:
    await filled(tmp_path)
    change(tmp_path, "UPDATE events SET stream = CAST(X'FF00' AS TEXT) WHERE position = 5")
    store = open_store(tmp_path)
    assert [record.position for record in store.feed.read(0, 100)] == list(range(1, 22))
    store.close()


async def test_a_log_of_an_earlier_release_gets_a_chain(tmp_path: Path) -> None:
    await filled(tmp_path, 200)
    remove_chain(tmp_path)
    before = verify(tmp_path)
    assert (before.problems, before.chained) == ((), 0)
    backup(tmp_path, tmp_path / "copy")
    assert verify(tmp_path / "copy").ok
    open_store(tmp_path).close()
    report = verify(tmp_path)
    assert (report.problems, report.chained) == ((), report.events)
    assert [(added.first, added.last) for added in report.chained_later] == [(1, report.events)]
    change(tmp_path, "UPDATE events SET recorded_at = recorded_at + 1 WHERE position = 70")
    assert any("events 65 to 128" in problem for problem in verify(tmp_path).problems)


KILLED = """
import os, signal, sys
from pathlib import Path
from stack.event_log import open_store
from stack.eventstore.sqlite import chain

chain._ADD_EVENTS, left, add_some = 10, [3], chain.add_some

def dying(db):
    left[0] -= 1
    if not left[0]:
        os.kill(os.getpid(), signal.SIGKILL)
    return add_some(db)

chain.add_some = dying
open_store(Path(sys.argv[1]))
"""


async def test_a_kill_while_the_chain_is_added_costs_nothing(tmp_path: Path) -> None:
    await filled(tmp_path, 200)
    remove_chain(tmp_path)
    for covered in (20, 40):
        killed = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)])
        assert killed.returncode == -signal.SIGKILL
        report = verify(tmp_path)
        assert (report.problems, report.chained) == ((), covered)
    store = open_store(tmp_path)
    await store.append(created(999))
    store.close()
    report = verify(tmp_path)
    assert (report.problems, report.chained) == ((), report.events)
    assert [(added.first, added.last) for added in report.chained_later] == [(1, report.events - 1)]


async def test_what_an_earlier_release_adds_meanwhile_gets_its_link(tmp_path: Path) -> None:
    await filled(tmp_path)
    store = open_store(tmp_path)
    change(
        tmp_path,
        "INSERT INTO events SELECT 22, 'default/session/new', 1, name, recorded_at + 1000000, state, '' FROM events "
        "WHERE position = 20",
    )
    await store.append(created(999))
    store.close()
    report = verify(tmp_path)
    assert (report.problems, report.chained) == ((), 23)
    assert [(added.first, added.last) for added in report.chained_later] == [(22, 22)]


async def test_two_writers_continue_one_chain(tmp_path: Path) -> None:
    mine, theirs = open_store(tmp_path), open_store(tmp_path)
    for number in range(0, 40, 4):
        await asyncio.gather(mine.append(created(number)), theirs.append(created(number + 1)))
        await theirs.append(created(number + 2))
        await mine.append(created(number + 3))
    mine.close()
    theirs.close()
    report = verify(tmp_path)
    assert (report.problems, report.chained, report.chained_later) == ((), 40, ())


def _contents(path: Path) -> list[list[tuple[object, ...]]]:
    with closing(sqlite3.connect(path)) as db:
        return [db.execute(sql).fetchall() for sql in CONTENTS]


@pytest.mark.slow
async def test_every_flipped_bit_is_found_or_changes_nothing(tmp_path: Path) -> None:
    await filled(tmp_path, 60)
    path = tmp_path / "events.sqlite"
    whole, contents = path.read_bytes(), _contents(path)
    chosen = random.Random(11)
    found = 0
    for _ in range(150):
        flipped = bytearray(whole)
        flipped[chosen.randrange(len(whole))] ^= 1 << chosen.randrange(8)
        path.write_bytes(flipped)
        try:
            if not verify(tmp_path).ok:
                found += 1
                continue
        except Unavailable as error:
            assert "backup" in error.detail
            found += 1
            continue
        assert _contents(path) == contents
    assert found > 25
