"""Backups of a log in use, and what `verify` finds."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path

import pytest

from schemas.events.session import SessionCreated, SessionDeleted
from stack.errors import Conflict, NotFound, Unavailable
from stack.event_log import open_store
from stack.eventstore import Append, EventStore, StreamWrite
from stack.eventstore.sqlite.backup import backup
from stack.eventstore.sqlite.verify import VerifyReport, verify
from tests.eventstore.earlier_release import remove_chain

pytestmark = pytest.mark.anyio

LONG = "long " * 100_000


def created(number: int | str, content: str = "n", version: int = 0, **rest: object) -> Append:
    event = SessionCreated(agent_id="a", session_name=content)
    return Append((StreamWrite(f"default/session/{number}", version, (event,)),), **rest)  # type: ignore[arg-type]


async def filled(folder: Path) -> EventStore:
    store = open_store(folder)
    for number in range(5):
        await store.append(created(number, f"{number}{LONG}" if number % 2 else "short"))
    await store.append(
        Append((StreamWrite("default/session/1", 1, (SessionDeleted(),)),), redact=("default/session/1",))
    )
    return store


async def test_a_backup_of_a_log_in_use_can_be_served(tmp_path: Path) -> None:
    store = await filled(tmp_path / "log")
    stop = asyncio.Event()

    async def go_on() -> int:
        number = 100
        while not stop.is_set():
            await store.append(created(number, LONG + str(number)))
            number += 1
        return number

    appends = asyncio.create_task(go_on())
    manifest = await asyncio.to_thread(backup, tmp_path / "log", tmp_path / "copy")
    stop.set()
    await appends
    report = verify(tmp_path / "copy")
    assert report.problems == ()
    assert (report.head, report.epoch) == (manifest.head, manifest.epoch)
    assert manifest.head >= 6
    assert manifest.source_epoch == store.epoch != manifest.epoch
    assert {file.path for file in manifest.files} >= {"events.sqlite"}
    assert len(manifest.files) == 1 + report.blobs

    copy = open_store(tmp_path / "copy")
    assert copy.epoch == manifest.epoch
    records = copy.feed.read(0, 10_000)
    assert list(records) == list(store.feed.read(0, manifest.head))
    [event] = await copy.read_stream("default/session/3")
    assert event.event == SessionCreated(agent_id="a", session_name=f"3{LONG}")
    assert (await copy.append(created("new"))).first == manifest.head + 1
    copy.close()
    store.close()
    # It has been served: its files are no longer those of the manifest, and that is no problem.
    assert verify(tmp_path / "copy").ok


async def test_a_backup_needs_a_log_and_an_empty_place(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        backup(tmp_path / "nothing", tmp_path / "copy")
    assert not (tmp_path / "copy").exists()
    (await filled(tmp_path / "log")).close()
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "file").write_text("mine")
    (tmp_path / "file").write_text("mine")
    for taken in ("taken", "file"):
        with pytest.raises(Conflict):
            backup(tmp_path / "log", tmp_path / taken)
    assert (tmp_path / "taken" / "file").read_text() == "mine"
    (tmp_path / "empty").mkdir()
    backup(tmp_path / "log", tmp_path / "empty")
    backup(tmp_path / "log", tmp_path / "a" / "new" / "one")
    assert verify(tmp_path / "a" / "new" / "one").ok


async def test_a_backup_with_a_missing_blob_fails_clearly(tmp_path: Path) -> None:
    (await filled(tmp_path / "log")).close()
    blob = next(file for file in (tmp_path / "log" / "blobs").glob("*/*"))
    blob.unlink()
    with pytest.raises(Unavailable, match=blob.name):
        backup(tmp_path / "log", tmp_path / "copy")


async def test_verify_counts_what_is_there(tmp_path: Path) -> None:
    store = await filled(tmp_path)
    report = verify(tmp_path)
    assert (report.events, report.streams, report.head, report.redacted, report.unknown) == (6, 5, 6, 1, 0)
    assert (report.blobs, report.epoch, report.problems, report.ok) == (1, store.epoch, (), True)
    assert 0 < report.blob_bytes < len(LONG)
    store.close()
    assert verify(tmp_path) == report
    with pytest.raises(NotFound):
        verify(tmp_path / "elsewhere")


def _after(folder: Path, sql: str) -> VerifyReport:
    db = sqlite3.connect(folder / "events.sqlite")
    with db:
        db.execute(sql)
    db.close()
    return verify(folder)


@pytest.mark.parametrize(
    ("sql", "problem"),
    [
        ("DELETE FROM events WHERE position = 3", "positions 3 to 3 are missing"),
        ("DELETE FROM events WHERE position = 6", "has given out 6"),
        ("UPDATE events SET recorded_at = 5 WHERE position = 4", "event 4 is recorded at 5"),
        ("UPDATE events SET version = 7 WHERE position = 6", "stream default/session/1 has 2 events"),
        ("UPDATE events SET state = '{}' WHERE position = 1", "event 1: its content is of type str"),
        ("UPDATE events SET state = X'7B7D' WHERE position = 1", "event 1: A stored session.created.1"),
        ("DELETE FROM blob_refs", "without a reference"),
        ("INSERT INTO blob_refs VALUES ('00', 1)", "blob 00 is missing"),
    ],
)
async def test_verify_finds(tmp_path: Path, sql: str, problem: str) -> None:
    (await filled(tmp_path)).close()
    report = _after(tmp_path, sql)
    assert not report.ok
    assert any(problem in found for found in report.problems), report.problems


async def test_verify_finds_damaged_blobs_and_files(tmp_path: Path) -> None:
    (await filled(tmp_path / "log")).close()
    backup(tmp_path / "log", tmp_path / "copy")
    blob = next(file for file in (tmp_path / "copy" / "blobs").glob("*/*"))
    blob.write_bytes(b"rubbish")
    problems = verify(tmp_path / "copy").problems
    assert any(f"blob {blob.name} is missing or damaged" in problem for problem in problems)
    assert any("is not what was backed up" in problem for problem in problems)
    assert any(problem.startswith("event 4: ") for problem in problems)


async def test_an_unknown_event_is_counted_and_no_problem(tmp_path: Path) -> None:
    (await filled(tmp_path)).close()
    remove_chain(tmp_path)
    report = _after(tmp_path, "UPDATE events SET name = 'from.the.future.1' WHERE position = 1")
    assert (report.ok, report.unknown) == (True, 1)
