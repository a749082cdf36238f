"""Content that events name themselves: held, referred to, removed with its event; and streams folded from their end."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest
from msgspec import Raw

from schemas.events.base import Event, Redacted
from schemas.events.dataset import DatasetRegistered, DatasetRowsAppended, DatasetUnregistered, RowChunk
from stack.errors import InternalError, VersionConflict
from stack.eventstore import EventStore, Fold, stream_name
from stack.eventstore.sqlite.backup import backup
from stack.eventstore.sqlite.verify import verify
from tests.eventstore.samples import NAMES, count, fresh, one

pytestmark = pytest.mark.anyio


def appended(*blobs: str, rows: bytes = b"[]") -> DatasetRowsAppended:
    chunks = [RowChunk(1, 2, blob) for blob in blobs] or [RowChunk(1, 2, "", Raw(rows))]
    return DatasetRowsAppended(first_row=0, row_count=1, chunks=chunks)


async def gone(log: EventStore, digest: str) -> bool:
    """Whether the blob goes within a second."""
    deadline = time.monotonic() + 1.0
    while log.blobs.path(digest).exists() and time.monotonic() < deadline:
        await asyncio.sleep(0.01)
    return not log.blobs.path(digest).exists()


async def test_a_named_blob_stays_as_long_as_its_event(
    log: EventStore, open_log: Any, tmp_path: Path
) -> None:
    stream, other = fresh("dataset"), fresh("dataset")
    digests = [await log.put_blob(content) for content in (b"one", b"two", b"three")]
    await log.append(one(stream, 0, appended(*digests[:2])))
    await log.append(one(other, 0, appended(digests[1], digests[2])))
    log.release_blobs(digests)
    assert [log.blobs.get(digest) for digest in digests] == [b"one", b"two", b"three"]
    assert verify(tmp_path / "log").ok
    assert len(backup(tmp_path / "log", tmp_path / "copy").files) == 4
    await log.append(one(stream, 1, DatasetUnregistered(), redact=(stream,)))
    assert await gone(log, digests[0])
    assert [log.blobs.get(digest) for digest in digests[1:]] == [b"two", b"three"]
    with pytest.raises(InternalError):
        log.blobs.get(digests[0])
    report = verify(tmp_path / "log")
    assert (report.ok, report.blobs) == (True, 2)


async def test_a_blob_that_is_missing_is_found_by_verify(log: EventStore, tmp_path: Path) -> None:
    digest = await log.put_blob(b"content")
    await log.append(one(fresh("dataset"), 0, appended(digest)))
    log.blobs.path(digest).unlink()
    report = verify(tmp_path / "log")
    assert not report.ok and digest in report.problems[0]


async def test_a_held_blob_outlasts_a_refused_append(log: EventStore) -> None:
    stream = fresh("dataset")
    digest = await log.put_blob(b"content")
    await log.append(one(stream, 0, appended()))
    with pytest.raises(VersionConflict):
        await log.append(one(stream, 0, appended(digest)))
    await log.append(one(stream, 1, appended(digest)))
    log.release_blobs((digest,))
    assert log.blobs.get(digest) == b"content"


async def test_what_no_event_names_is_discarded(log: EventStore) -> None:
    named, unnamed = await log.put_blob(b"named"), await log.put_blob(b"unnamed")
    await log.append(one(fresh("dataset"), 0, appended(named)))
    log.discard_blobs((named, unnamed))
    assert await gone(log, unnamed)
    assert log.blobs.path(named).exists()


async def test_what_another_holds_is_not_discarded(log: EventStore) -> None:
    digest = await log.put_blob(b"content")
    assert await log.put_blob(b"content") == digest
    log.discard_blobs((digest,))
    await asyncio.sleep(0.1)
    assert log.blobs.path(digest).exists()
    await log.append(one(fresh("dataset"), 0, appended(digest)))
    log.release_blobs((digest,))


async def test_rows_in_place_keep_every_digit(log: EventStore) -> None:
    rows = b'[{"n":123456789012345678901234567890,"f":1.10,"e":1E400,"$blob":"' + b"0" * 64 + b'","bytes":1}]'
    stream = fresh("dataset")
    await log.append(one(stream, 0, appended(rows=rows)))
    [recorded] = await log.read_stream(stream)
    assert isinstance(recorded.event, DatasetRowsAppended)
    assert bytes(recorded.event.chunks[0].rows) == rows


async def test_a_part_of_a_stream_is_read(log: EventStore) -> None:
    stream = fresh("dataset")
    await log.append(one(stream, 0, *[appended() for _ in range(5)]))
    assert [one.version for one in await log.read_stream(stream, 1, 3)] == [2, 3]


def last(state: tuple[str, ...], event: Event, recorded_at: int, version: int) -> tuple[str, ...]:
    return (type(event).__name__,)


async def test_a_fold_of_the_last_event_reads_no_other(log: EventStore, open_log: Any) -> None:
    fold = Fold[tuple[str, ...]]((), last, last_only=True)
    stream = stream_name("dataset", "d")
    assert await log.load(stream, fold) == ((), 0)
    registered = DatasetRegistered(
        purpose="eval/question-answer", provider_id="localfs", row_count=0, digest="", chunks=[]
    )
    await log.append(one(stream, 0, registered, appended()))
    assert await log.load(stream, fold) == (("DatasetRowsAppended",), 2)
    log.close()
    log = open_log()
    assert await log.load(stream, fold) == (("DatasetRowsAppended",), 2)
    await log.append(one(stream, 2, DatasetUnregistered(), redact=(stream,)))
    assert await log.load(stream, fold) == (("DatasetUnregistered",), 3)
    counting = Fold[tuple[str, ...]]((), count)
    assert (await log.load(stream, counting)).state == ("Redacted", "Redacted", "DatasetUnregistered")
    assert [type(one.event) for one in await log.read_stream(stream)][:2] == [Redacted] * 2
    assert (await log.load(stream, NAMES)).version == 3


@pytest.mark.slow
async def test_one_read_by_position_is_bounded_in_bytes(log: EventStore, open_log: Any) -> None:
    rows = b'[{"a":"' + b"x" * 200_000 + b'"}]'
    stream = fresh("dataset")
    for start in range(0, 400, 40):
        await log.append(one(stream, start, *[appended(rows=rows) for _ in range(40)]))
    log.close()
    log = open_log()
    first = log.feed.read(0, 50_000)
    assert 300 < len(first) < 400
    rest = log.feed.read(first[-1].position, 50_000)
    assert [record.version for record in (*first, *rest)] == list(range(1, 401))
