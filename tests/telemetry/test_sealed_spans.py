"""Old spans in sealed files: readers see no difference, and what is removed or erased is in no file."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from projections import sealed_spans
from projections.warehouse.errors import StorageFailed
from telemetry.own.captured import Erasable
from telemetry.own.message_content import INPUT_MESSAGES
from telemetry.own.tracing import SERVICE_NAME
from telemetry.store.upkeep import Retention
from tests.telemetry.opened_store import Opened, filled, ids_of, opened, some, until
from tests.telemetry.otlp_requests import BASE_NS, PlainSpan

pytestmark = pytest.mark.anyio

CHUNK = 20
SEALED = Retention(10_000.0, 2**40, 8_000, sealed_spans=CHUNK)


def files(folder: Path) -> set[str]:
    return {path.name for path in (folder / "sealed").glob("*")}


async def settled(made: Opened) -> list[tuple[int, bool]]:
    """Waits until fewer spans than a chunk are recent and small files are merged; returns how many spans each file has,
    and whether some of its rows were removed."""
    for _ in range(1200):
        [(recent,)] = await made.rows("SELECT count(*) FROM now.spans_recent")
        found = await made.rows("SELECT file, spans, is_cut FROM now.runs ORDER BY first_number")
        is_merged = sum(spans == CHUNK for _, spans, _ in found) < 4
        if recent < CHUNK and is_merged and {f"{file}.duckdb" for file, _, _ in found} == files(made.folder):
            return [(spans, is_cut) for _, spans, is_cut in found]
        await asyncio.sleep(0.05)
    raise AssertionError(f"{recent} spans are recent, {found} in {files(made.folder)}")


async def test_what_is_sealed_reads_as_if_it_were_not(tmp_path: Path) -> None:
    """Also after a rebuild of the tables that moves nothing."""
    async with opened(tmp_path, SEALED) as made:
        sent = await filled(made)
        assert sum(spans for spans, _ in await settled(made)) == len(sent) == 6 * CHUNK
        assert (await settled(made))[0] == (4 * CHUNK, False), "four files are merged"
        await made.send(sent)  # They are known, wherever they are.
        sealed = await made.contents()
        assert len(sealed["spans"]) == len(sent) and len(sealed["pairs"]) == 3 * len(sent)
    (tmp_path / "telemetry.duckdb").unlink()
    async with opened(tmp_path) as made:
        assert await made.contents() == sealed
        await until(lambda: not files(tmp_path))


async def test_what_is_removed_leaves_what_a_rebuild_makes(tmp_path: Path) -> None:
    async with opened(tmp_path, SEALED) as made:
        sent = await filled(made)
        await settled(made)
        before = files(tmp_path)
    short = Retention(10_000.0, 12_000, 8_000, sealed_spans=CHUNK)
    async with opened(tmp_path, short) as made:
        while len((left := await made.contents())["spans"]) == len(sent):
            await asyncio.sleep(0.05)
        assert any(is_cut for _, is_cut in await settled(made))
        assert 0 < len(left["spans"]) < len(sent) and len(left["pairs"]) == 3 * len(left["spans"])
        assert sum(row[3] for row in left["traces"]) == len(left["spans"])
    assert files(tmp_path) < before or len(before) == 1
    (tmp_path / "telemetry.duckdb").unlink()
    async with opened(tmp_path, Retention(10_000.0, 12_000, 8_000)) as made:
        assert await made.contents() == left


@pytest.mark.parametrize("damage", ["missing", "no database", "broken blocks"])
async def test_a_damaged_file_is_noticed_and_made_from_the_log(
    tmp_path: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with opened(tmp_path, SEALED) as made:
        await filled(made)
        await settled(made)
        before = await made.contents()
    file = min((tmp_path / "sealed").iterdir())
    content = file.read_bytes()
    file.unlink()
    if damage == "no database":
        file.write_bytes(b"no database" * 1000)
    elif damage == "broken blocks":
        file.write_bytes(content[:12_288] + bytes(reversed(content[12_288:])))
    async with opened(tmp_path, SEALED) as made:
        for _ in range(1200):
            try:
                assert await made.contents() == before
                break
            except Exception:
                await asyncio.sleep(0.05)
        assert await made.contents() == before
    assert str(file) in caplog.text or "orrupt" in caplog.text
    assert list(tmp_path.glob("telemetry.duckdb.damaged-*")), "the old files are set aside"


async def test_a_failure_between_file_and_tables_loses_and_doubles_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The fake is a disk that fails when the tables change; the process ends there."""

    def failing(*_: Any) -> None:
        raise StorageFailed("I/O error")

    with monkeypatch.context() as disk:
        disk.setattr(sealed_spans, "replace_runs", failing)
        async with opened(tmp_path, SEALED) as made:
            sent = some(CHUNK)
            await made.send(sent)
            await until(lambda: "1.duckdb" in files(tmp_path))
            assert await made.spans() == ids_of(sent)
    (tmp_path / "sealed" / "7.duckdb.wal").write_text("what a killed process leaves")
    async with opened(tmp_path, SEALED) as made:
        assert await settled(made) == [(CHUNK, False)]
        assert await made.spans() == ids_of(sent)
        assert len(files(tmp_path)) == 1


def with_content(session: str, text: str, count: int) -> list[PlainSpan]:
    return [
        PlainSpan(
            trace=span.trace,
            span=span.span,
            name="chat",
            start_ns=BASE_NS + number,
            attributes={INPUT_MESSAGES: f"{text} {number}", "session_id": session, "number": number},
            scope=SERVICE_NAME,
        )
        for number, span in enumerate(some(count))
    ]


async def test_what_is_erased_is_in_no_sealed_file(tmp_path: Path) -> None:
    async with opened(tmp_path, SEALED) as made:
        for session in ("gone", "kept"):
            await made.send(with_content(session, f"secret of {session}", CHUNK))
        await made.send(some(CHUNK))
        await settled(made)
        before = {path.name: path.stat().st_ino for path in (tmp_path / "sealed").iterdir()}
        with made.warehouse.keeping_sealed():
            erasing = asyncio.create_task(
                made.store.erase([Erasable("session", "gone", BASE_NS // 1000 + 10**6)])
            )
            while not files(tmp_path) - set(before):
                await asyncio.sleep(0.02)
            assert set(before) < files(tmp_path), "someone may be reading it"
        assert (await erasing).spans == {"gone": CHUNK}
        after = {path.name: path.stat().st_ino for path in (tmp_path / "sealed").iterdir()}
        assert len(after.items() - before.items()) == 1 and len(after) == len(before)
        shown = [text for (text,) in await made.rows("SELECT attributes FROM now.spans WHERE name = 'chat'")]
        assert sum("secret of kept" in text for text in shown) == CHUNK
        assert not any("secret of gone" in text for text in shown)
        before_rebuild = await made.contents()
    (tmp_path / "telemetry.duckdb").unlink()
    async with opened(tmp_path) as made:
        assert await made.contents() == before_rebuild
