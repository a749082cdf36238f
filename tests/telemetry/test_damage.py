"""Damage in the telemetry log: nothing that is whole is lost, nothing is silent, no position is given out twice."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner

from stack.cli import doctor
from telemetry.log.accepted import not_accepted
from telemetry.log.log_check import check
from telemetry.log.segment import ENDING
from telemetry.log.segment_log import SegmentLog
from tests.telemetry.log_contract import bodies, put
from tests.telemetry.opened_store import Opened, ids_of, opened, some, until

REQUESTS = 30
BODY = 1_000
FRAME = BODY + 25
PER_FILE = 9


def body(position: int) -> bytes:
    return b"%04d" % position + b"x" * (BODY - 4)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A log of 30 requests in files of 9, 9, 9 and 3."""
    log = SegmentLog(tmp_path / "log", segment_bytes=PER_FILE * FRAME)
    for position in range(1, REQUESTS + 1):
        put(log, body(position))
    log.close()
    assert [int(file.stem) for file in files(tmp_path / "log")] == [1, 10, 19, 28]
    return tmp_path / "log"


def files(folder: Path) -> list[Path]:
    return sorted(folder.glob(f"*{ENDING}"))


def change(file: Path, offset: int, new: bytes | None = None) -> None:
    content = bytearray(file.read_bytes())
    if new is None:
        content[offset] ^= 0x10
    else:
        content[offset : offset + len(new)] = new
    file.write_bytes(content)


def read(folder: Path, acknowledged: int = 0) -> tuple[list[int], list[tuple[int, int]], int]:
    """Positions that are left, ranges that are reported as lost, and the position of a new request."""
    log = SegmentLog(
        folder, tables=((folder / "epoch").read_text(), acknowledged), segment_bytes=PER_FILE * FRAME
    )
    try:
        for _ in log.check():
            pass
        left = [int(one[:4]) for one in bodies(log)]
        lost = [(damage.first, damage.last) for damage in log.damages()]
        [fresh] = put(log, body(9_999))
        assert bodies(log)[-1] == body(9_999)
        return left, lost, fresh
    finally:
        log.close()


FLIPS = {"length": 0, "checksum": 4, "position": 8, "time": 16, "content": 24, "body": 25, "end": FRAME - 1}


@pytest.mark.parametrize("file", [0, 1, 3])
@pytest.mark.parametrize("frame", [0, 1])
@pytest.mark.parametrize("flip", FLIPS.values(), ids=FLIPS)
def test_a_flipped_bit_costs_one_request(folder: Path, file: int, frame: int, flip: int) -> None:
    position = (1, 10, 19, 28)[file] + frame
    change(files(folder)[file], frame * FRAME + flip)
    expected = [one for one in range(1, REQUESTS + 1) if one != position]
    for _ in range(2):  # The same after another start.
        left, lost, fresh = read(folder, REQUESTS)
        assert [one for one in left if one != 9_999] == expected
        assert lost == [(position, position)]
        assert fresh > REQUESTS
    [copy] = folder.glob("*.damaged")
    assert copy.stat().st_mode & 0o777 == 0o600 and copy.stat().st_size == FRAME


@pytest.mark.parametrize("flip", FLIPS.values(), ids=FLIPS)
@pytest.mark.parametrize("acknowledged", [REQUESTS, REQUESTS - 1])
def test_a_flip_in_the_last_request(folder: Path, flip: int, acknowledged: int) -> None:
    """The content of the tables proves the damage. Without it, a length that is too large looks like an
    unfinished write."""
    change(files(folder)[3], 2 * FRAME + flip)
    left, lost, fresh = read(folder, acknowledged)
    assert left == list(range(1, REQUESTS))
    assert fresh > acknowledged
    assert lost == [(REQUESTS, REQUESTS)] or acknowledged < REQUESTS


@pytest.mark.parametrize("length", [0x7FFFFFFF, 0xFFFFFFFF, 0, 3 * FRAME, FRAME - 30])
@pytest.mark.parametrize("file", [1, 3])
def test_a_length_that_is_wrong_costs_one_request(folder: Path, file: int, length: int) -> None:
    change(files(folder)[file], 0, struct.pack("<I", length))
    position = (1, 10, 19, 28)[file]
    left, lost, _ = read(folder)
    assert left == [one for one in range(1, REQUESTS + 1) if one != position]
    assert lost == [(position, position)]


def test_two_damages_in_one_file(folder: Path) -> None:
    change(files(folder)[0], FRAME + 30)
    change(files(folder)[0], 5 * FRAME)
    change(files(folder)[3], 40)
    left, lost, _ = read(folder)
    assert lost == [(2, 2), (6, 6), (28, 28)]
    assert len(left) == REQUESTS - 3 and len(list(folder.glob("*.damaged"))) == 3


def test_a_zeroed_region(folder: Path) -> None:
    change(files(folder)[0], FRAME + 100, bytes(2 * FRAME))
    left, lost, _ = read(folder)
    assert lost == [(2, 4)] and len(left) == REQUESTS - 3


@pytest.mark.parametrize(
    ("damage", "expected"),
    [
        (lambda found: found[3].unlink(), (28, 30)),
        (lambda found: found[1].unlink(), (10, 18)),
        (lambda found: found[0].unlink(), (1, 9)),
        (lambda found: found[3].write_bytes(b""), (28, 30)),
        (lambda found: found[1].write_bytes(b""), (10, 18)),
        (lambda found: found[1].write_bytes(found[1].read_bytes()[: 3 * FRAME]), (13, 18)),
        (lambda found: found[1].write_bytes(found[1].read_bytes()[: 3 * FRAME + 50]), (13, 18)),
        (lambda found: found[3].write_bytes(found[3].read_bytes()[:FRAME]), (29, 30)),
        (lambda found: [file.unlink() for file in found], (1, 30)),
    ],
    ids=["newest gone", "middle gone", "first gone", "newest empty", "middle empty", "middle cut", "middle cut within",
         "newest cut", "all gone"],
)  # fmt: skip
def test_files_that_are_missing_or_cut(
    folder: Path, damage: Callable[[list[Path]], object], expected: tuple[int, int]
) -> None:
    damage(files(folder))
    first, last = expected
    for extra in (1, 2):
        left, lost, fresh = read(folder, REQUESTS)
        assert [one for one in left if one != 9_999] == [*range(1, first), *range(last + 1, REQUESTS + 1)]
        assert lost == [expected]
        assert fresh == REQUESTS + extra


@pytest.mark.parametrize(
    "garbage", [b"\xff" * 500, b"garbage" * 1_000, bytes(100_000), b"x", b"\1\0\0\0" * 100]
)
def test_garbage_at_the_end_costs_nothing(folder: Path, garbage: bytes) -> None:
    for file in (files(folder)[3], files(folder)[1]):
        file.write_bytes(file.read_bytes() + garbage)
    left, lost, fresh = read(folder)
    assert left == list(range(1, REQUESTS + 1)) and fresh >= REQUESTS + 1
    assert (18 + 1, 18) in lost
    left, _, again = read(folder)
    assert left == [*range(1, REQUESTS + 1), 9_999] and again == fresh + 1


def test_a_damaged_marker_of_retention_removes_nothing(folder: Path) -> None:
    for content in ("99", "", "x"):
        (folder / "trimmed").write_text(content)
        assert len(read(folder)[0]) >= REQUESTS


def test_copies_go_with_the_files_they_are_of(folder: Path) -> None:
    change(files(folder)[0], 30)
    read(folder)
    log = SegmentLog(folder, segment_bytes=PER_FILE * FRAME)
    log.trim(0, 15 * FRAME, until=REQUESTS)
    assert log.damages() == [] and not list(folder.glob("*.damaged")) and log.first() > 1
    log.close()
    assert read(folder)[1] == []


@asynccontextmanager
async def store_after(
    folder: Path, damage: Callable[[Path], object]
) -> AsyncIterator[tuple[Opened, list[tuple[str, str]]]]:
    """A store of 12 requests whose log was damaged while it was closed, and the ids of its spans."""
    spans = [span for _ in range(12) for span in some(20)]
    async with opened(folder) as made:
        for at in range(0, len(spans), 20):
            await made.send(spans[at : at + 20])
        assert len(await made.spans()) == len(spans)
    damage(folder)
    async with opened(folder) as made:
        yield made, ids_of(spans)


def flip_all(folder: Path) -> None:
    for file in files(folder / "telemetry"):
        change(file, 40)


def remove_newest(folder: Path) -> None:
    files(folder / "telemetry")[-1].unlink()


def remove_oldest(folder: Path) -> None:
    files(folder / "telemetry")[0].unlink()


def remove_folder(folder: Path) -> None:
    for file in (folder / "telemetry").iterdir():
        file.unlink()


def empty_epoch(folder: Path) -> None:
    (folder / "telemetry" / "epoch").write_text("")
    remove_newest(folder)


@pytest.mark.slow
@pytest.mark.anyio
@pytest.mark.parametrize("damage", [flip_all, remove_newest, remove_oldest, remove_folder, empty_epoch])
async def test_the_tables_keep_what_the_log_has_lost(
    tmp_path: Path, damage: Callable[[Path], object]
) -> None:
    async with store_after(tmp_path, damage) as (made, ids):
        assert await made.spans() == ids
        await until(lambda: made.store.state().damage_count > 0)
        fresh = some(3)
        await made.send(fresh)
        both = sorted([*ids, *ids_of(fresh)])
        assert await made.spans() == both
    async with opened(tmp_path) as made:
        assert await made.spans() == both
        await until(lambda: made.store.state().damage_count > 0)


@pytest.mark.slow
@pytest.mark.anyio
async def test_tables_of_another_version_are_kept_where_the_log_has_lost_something(tmp_path: Path) -> None:
    async with store_after(tmp_path, flip_all) as (made, ids):
        assert await made.spans() == ids
        with made.warehouse.write("telemetry") as transaction:
            transaction.run("UPDATE telemetry.main.served SET schema_hash = 'old'")
    async with opened(tmp_path) as made:
        left = await made.spans()
        assert 0 < len(left) < len(ids)
        with made.warehouse.write("telemetry") as transaction:
            [(kept,)] = transaction.rows("SELECT schema_name FROM telemetry.main.kept")
            [(count,)] = transaction.rows(f"SELECT count(*) FROM telemetry.{kept}.spans_recent")
        assert count == len(ids)
        assert made.store.state().kept_tables == [kept]

    async def doctor_says() -> str:
        arguments = ["--data", str(tmp_path)]
        return (await asyncio.to_thread(CliRunner().invoke, doctor.command, arguments)).output

    assert f"tables {kept} of telemetry.duckdb" in await doctor_says()
    assert "serve --drop-kept-tables" in await doctor_says()
    async with opened(tmp_path, drop_kept_tables=True) as made:
        assert await made.spans() == left
        assert made.store.state().kept_tables == []
        with made.warehouse.write("telemetry") as transaction:
            assert not transaction.rows("SELECT 1 FROM duckdb_schemas() WHERE schema_name = ?", [kept])
    assert "of telemetry.duckdb" not in await doctor_says()


@pytest.mark.parametrize(
    "damage",
    [
        lambda found: change(found[3], FRAME + 30),
        lambda found: change(found[3], 2 * FRAME),
        lambda found: found[3].write_bytes(b""),
        lambda found: found[3].unlink(),
        lambda found: found[0].unlink(),
        lambda found: [file.unlink() for file in found],
        lambda found: change(found[1], FRAME + 100, bytes(2 * FRAME)),
        lambda found: found[1].write_bytes(found[1].read_bytes() + b"garbage"),
    ],
    ids=["bit", "length of the last", "newest empty", "newest gone", "first gone", "all gone", "zeroed", "garbage"],
)  # fmt: skip
def test_an_accepted_loss_is_no_problem_and_stays_known(
    folder: Path, damage: Callable[[list[Path]], object]
) -> None:
    damage(files(folder))
    epoch = (folder / "epoch").read_text()
    assert check(folder, REQUESTS).damages
    for write in (False, True, True):
        log = SegmentLog(folder, tables=(epoch, REQUESTS), segment_bytes=PER_FILE * FRAME)
        log.accept_loss()
        known = log.damages()
        assert known and not not_accepted(known, log.accepted())
        if write:
            put(log, body(9_999))
        log.close()
        for acknowledged in (REQUESTS, 0):  # With the tables, and while a server has them.
            report = check(folder, acknowledged)
            assert not report.damages and len(report.accepted) == 1
    change(files(folder)[-1], 30)
    assert len(check(folder, REQUESTS).damages) == 1


def test_what_retention_removes_is_no_longer_accepted(folder: Path) -> None:
    change(files(folder)[0], 30)
    change(files(folder)[3], 30)
    log = SegmentLog(folder, segment_bytes=PER_FILE * FRAME)
    log.accept_loss()
    log.trim(0, 15 * FRAME, until=REQUESTS)
    [left] = log.accepted()
    assert [damage.first for damage in left.damages] == [28]
    log.close()
    assert check(folder).accepted == (left,)


def test_a_damaged_record_of_accepted_losses_accepts_nothing(folder: Path) -> None:
    change(files(folder)[0], 30)
    log = SegmentLog(folder, segment_bytes=PER_FILE * FRAME)
    log.accept_loss()
    log.close()
    (folder / "accepted").write_bytes(b"{")
    assert len(check(folder).damages) == 1
    log = SegmentLog(folder, segment_bytes=PER_FILE * FRAME)
    log.accept_loss()
    log.close()
    assert not check(folder).damages
