"""The blob store: durable, content-addressed, and careful about what it deletes."""

from __future__ import annotations

import os
import sqlite3
import time
from pathlib import Path

import pytest

from schemas.events.session import SessionCreated, SessionDeleted
from stack.errors import InternalError, Unavailable, VersionConflict
from stack.event_log import open_store
from stack.eventstore import Append, BlobStore, StreamWrite, is_damaged_text
from stack.eventstore.blobs import ORPHAN_AGE_S

pytestmark = pytest.mark.anyio

LONG = "long " * 100_000


def created(content: str = LONG, stream: str = "default/session/1", version: int = 0) -> Append:
    return Append((StreamWrite(stream, version, (SessionCreated(agent_id="a", session_name=content),)),))


def files(folder: Path) -> list[Path]:
    return [file for file in (folder / "blobs").glob("*/*") if file.is_file()]


def test_the_same_content_is_stored_once(tmp_path: Path) -> None:
    blobs = BlobStore(tmp_path / "blobs")
    digest = blobs.put(b"content" * 1_000)
    assert blobs.put(b"content" * 1_000) == digest
    assert blobs.get(digest) == b"content" * 1_000
    assert [file.name for file in files(tmp_path)] == [digest]
    assert blobs.path(digest).stat().st_size < 200


@pytest.mark.parametrize("damage", [b"", b"rubbish", None])
def test_a_damaged_blob_is_a_clear_error_and_heals(tmp_path: Path, damage: bytes | None) -> None:
    blobs = BlobStore(tmp_path / "blobs")
    digest = blobs.put(b"content")
    path = blobs.path(digest)
    if damage is None:
        path.unlink()
    else:
        path.write_bytes(damage)
    with pytest.raises(InternalError, match=digest):
        blobs.get(digest)
    blobs.put(b"content")
    assert blobs.get(digest) == b"content"


def test_a_held_blob_is_not_removed(tmp_path: Path) -> None:
    blobs = BlobStore(tmp_path / "blobs")
    digest = blobs.put(b"content")
    assert blobs.remove([digest], lambda _: False) == []
    blobs.release([digest])
    assert blobs.remove([digest], lambda _: True) == [digest]
    assert blobs.get(digest) == b"content"
    assert blobs.remove([digest], lambda _: False) == [digest]
    assert not blobs.path(digest).exists()


def test_what_cannot_be_written_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "blobs").write_text("not a folder")
    blobs = BlobStore(tmp_path / "blobs")
    with pytest.raises(Unavailable):
        blobs.put(b"content")
    assert not blobs._held


async def test_redaction_deletes_the_files_nobody_needs(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    other = "default/session/2"
    await store.append(created())
    await store.append(created("only here " * 50_000, version=1))
    await store.append(created(stream=other))
    assert len(files(tmp_path)) == 2
    tombstone = Append(
        (StreamWrite("default/session/1", 2, (SessionDeleted(),)),), redact=("default/session/1",)
    )
    await store.append(tombstone)
    assert len(files(tmp_path)) == 1
    [kept] = await store.read_stream(other)
    assert kept.event == SessionCreated(agent_id="a", session_name=LONG)
    tombstone = Append((StreamWrite(other, 1, (SessionDeleted(),)),), redact=(other,))
    await store.append(tombstone)
    assert files(tmp_path) == []
    store.close()


async def test_a_removal_that_a_crash_interrupted_is_finished(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    await store.append(created())
    [file] = files(tmp_path)
    content = file.read_bytes()
    await store.append(
        Append((StreamWrite("default/session/1", 1, (SessionDeleted(),)),), redact=("default/session/1",))
    )
    store.close()
    file.write_bytes(content)
    db = sqlite3.connect(tmp_path / "events.sqlite")
    with db:
        db.execute("INSERT INTO blob_removals VALUES (?)", (file.name,))
    db.close()
    store = open_store(tmp_path)
    await store.append(created("short", "default/session/9"))
    assert files(tmp_path) == []
    store.close()


async def test_orphans_are_swept_at_opening_when_old_enough(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    await store.append(created())
    [needed] = files(tmp_path)
    with pytest.raises(VersionConflict):
        await store.append(created("refused " * 50_000))
    orphan = next(file for file in files(tmp_path) if file != needed)
    leftover = orphan.with_name(orphan.name + ".abc")
    leftover.write_bytes(b"half")
    store.close()
    open_store(tmp_path).close()
    assert orphan.exists()
    long_ago = time.time() - ORPHAN_AGE_S - 10
    for file in (needed, orphan, leftover):
        os.utime(file, (long_ago, long_ago))
    store = open_store(tmp_path)
    deadline = time.monotonic() + 5
    while files(tmp_path) != [needed] and time.monotonic() < deadline:
        time.sleep(0.01)
    assert files(tmp_path) == [needed]
    assert not store.blobs._held
    store.close()


async def test_nothing_stays_held(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    await store.append(created())
    with pytest.raises(VersionConflict):
        await store.append(created())
    assert not store.blobs._held
    store.close()
    with pytest.raises(Unavailable):
        await store.append(created())
    assert not store.blobs._held


async def test_a_missing_blob_is_named_in_place_of_its_text(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    await store.append(created())
    await store.append(created("short", "default/session/2"))
    digest = files(tmp_path)[0].name
    files(tmp_path)[0].unlink()
    [recorded] = await store.read_stream("default/session/1")
    name = recorded.event.session_name  # type: ignore[attr-defined]
    assert is_damaged_text(name) and f"blobs/{digest[:2]}/{digest}" in name
    assert store.damage() == (f"blob {digest} is missing or damaged",)
    assert len(store.feed.read(0, 10)) == 2
    assert len(await store.read_stream("default/session/2")) == 1
    store.close()
