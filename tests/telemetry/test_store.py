"""The store of telemetry without a server: what is durable can be read, once, after crashes, rebuilds and removals."""

from __future__ import annotations

import asyncio
import shutil
import threading
import time
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from projections.telemetry_build import TelemetryBuild
from projections.warehouse.errors import StorageFailed
from telemetry.log import segment_log
from telemetry.log.port import LogFailed
from telemetry.store import arrivals, upkeep
from telemetry.store.upkeep import Retention
from telemetry.wire.decoded import ReadScope
from telemetry.wire.refusals import Malformed
from tests.telemetry.opened_store import SEALED, filled, ids_of, opened, some, until
from tests.telemetry.otlp_metrics import PlainPoint, metrics_request
from tests.telemetry.otlp_requests import BASE_NS, PlainSpan

pytestmark = pytest.mark.anyio


async def test_an_empty_store_is_read(tmp_path: Path) -> None:
    async with opened(tmp_path) as made:
        assert await made.spans() == []


@pytest.mark.slow
async def test_what_is_taken_can_be_read_at_once(tmp_path: Path) -> None:
    async with opened(tmp_path) as made:
        sent: list[PlainSpan] = []
        for _ in range(10):
            sent += some(7)
            await made.send(sent[-7:])
            assert await made.spans() == ids_of(sent)


async def test_many_senders_at_once(tmp_path: Path) -> None:
    async with opened(tmp_path) as made:
        batches = [some(50) for _ in range(40)]
        await asyncio.gather(*[made.send(batch) for batch in batches])
        assert await made.spans() == ids_of([span for batch in batches for span in batch])


async def test_a_span_that_is_sent_twice_is_there_once(tmp_path: Path) -> None:
    spans = some(20)
    async with opened(tmp_path) as made:
        await made.send([*spans, *spans[:5]])
        await made.send(spans)
        await asyncio.gather(*[made.send(spans[5:]) for _ in range(5)])
        assert await made.spans() == ids_of(spans)
        assert await made.rows("SELECT span_count FROM now.traces") == [(20,)]
    async with opened(tmp_path) as made:
        await made.send([*spans, *some(3)])  # What was seen is known after a start.
        assert len(await made.spans()) == 23


async def test_a_reader_waits_only_for_what_it_reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The fake is a transaction that waits until it may continue."""
    apply, may_go_on = TelemetryBuild.apply, threading.Event()

    def slowly(self: TelemetryBuild, arrivals: Any) -> None:
        assert may_go_on.wait(60)
        apply(self, arrivals)

    async with opened(tmp_path) as made:
        old, new = some(3), some(3)
        await made.send(old)
        await made.store.reached()
        monkeypatch.setattr(TelemetryBuild, "apply", slowly)
        await made.send(new)
        await made.store.reached(ReadScope(trace=UUID(int=old[0].trace)))
        await made.store.reached(ReadScope(span=old[0].span))
        await made.store.reached(ReadScope(metrics=True))
        may_go_on.set()
        await made.store.reached(ReadScope(span=new[1].span))
        await made.store.reached(ReadScope(trace=UUID(int=new[0].trace)))
        with made.warehouse.snapshot() as snapshot:
            assert len(snapshot.rows("SELECT 1 FROM now.spans", {})) == 6
        await made.send_raw("metrics", metrics_request([PlainPoint(metric="m", value=1, time_ns=BASE_NS)]))
        await made.store.reached(ReadScope(metrics=True))
        with made.warehouse.snapshot() as snapshot:
            assert snapshot.rows("SELECT value FROM now.metric_points", {}) == [(1.0,)]


async def test_an_orderly_end_does_not_wait_for_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(arrivals, "LINGER_S", 60.0)
    async with opened(tmp_path) as one:
        await one.send(some(1))
        assert one.store.state().position == 0
        began = time.monotonic()
        await one.store.stop()
        assert one.store.state().position == one.store.state().head == 1
        assert time.monotonic() - began < 5, "it was given up waiting for"


@pytest.mark.slow
async def test_recent_spans_move_and_nothing_changes(tmp_path: Path) -> None:
    async with opened(tmp_path, SEALED) as made:
        sent: list[PlainSpan] = []
        for _ in range(30):
            sent += some(20)
            await made.send(sent[-20:])
            assert await made.spans() == ids_of(sent)
        for _ in range(100):
            [(stored,)] = await made.rows("SELECT count(*) FROM now.spans_stored")
            if stored >= 500:
                break
            await asyncio.sleep(0.05)
        assert stored >= 500 and stored % 100 == 0
        await made.send(sent)  # Of the moved ones it is known that they are there, too.
        assert await made.spans() == ids_of(sent)


@pytest.mark.slow
async def test_what_an_early_end_has_left_to_move_is_moved_after_the_next_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The fakes are an upkeep that does not get to it, and tables that take a while to open."""
    with monkeypatch.context() as ended_early:
        ended_early.setattr(upkeep, "seal_chunk", lambda *_: False)
        async with opened(tmp_path, SEALED) as made:
            await made.send(some(120))
            await made.store.reached()
    open_tables = TelemetryBuild.open

    def slowly(*args: Any) -> TelemetryBuild:
        time.sleep(0.3)
        return open_tables(*args)

    monkeypatch.setattr(TelemetryBuild, "open", slowly)
    async with opened(tmp_path, SEALED) as made:
        stored = 0
        for _ in range(100):
            [(stored,)] = await made.rows("SELECT count(*) FROM now.spans_stored")
            if stored:
                break
            await asyncio.sleep(0.05)
        assert stored == 100


@pytest.mark.slow
@pytest.mark.parametrize("lost", ["file", "folder of the log's tables", "another version"])
async def test_a_rebuild_equals_what_was_there(tmp_path: Path, lost: str) -> None:
    async with opened(tmp_path) as made:
        await filled(made)
        before = await made.contents()
        if lost == "another version":
            with made.warehouse.write("telemetry") as transaction:
                transaction.run("UPDATE telemetry.main.served SET schema_hash = 'old'")
    if lost == "file":
        (tmp_path / "telemetry.duckdb").unlink()
    elif lost != "another version":
        (tmp_path / "telemetry.duckdb").write_bytes(b"no database" * 1000)
    async with opened(tmp_path) as made:
        assert await made.contents() == before
        await made.send(some(3))
        assert len(await made.spans()) == len(before["spans"]) + 3


async def test_another_log_makes_other_tables(tmp_path: Path) -> None:
    async with opened(tmp_path) as made:
        await made.send(some(3))
        await made.spans()
    shutil.rmtree(tmp_path / "telemetry")
    (tmp_path / "telemetry").mkdir()
    (tmp_path / "telemetry" / "epoch").write_text("another")
    async with opened(tmp_path) as made:
        assert await made.spans() == []
        spans = some(2)
        await made.send(spans)
        assert await made.spans() == ids_of(spans)


@pytest.mark.slow
async def test_what_is_removed_leaves_what_a_rebuild_makes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upkeep, "TRIM_EVERY_S", 0.05)
    async with opened(tmp_path) as made:
        await filled(made)
        all_of_it = await made.contents()
    async with opened(tmp_path, Retention(10_000.0, 12_000, 8_000)) as made:
        await until(lambda: len(list((tmp_path / "telemetry").glob("*.otlp"))) <= 2)
        while len((left := await made.contents())["spans"]) == len(all_of_it["spans"]):
            await asyncio.sleep(0.05)
        assert 0 < len(left["spans"]) < len(all_of_it["spans"])
        assert 0 < len(left["points"]) < len(all_of_it["points"])
        assert sum(row[3] for row in left["traces"]) == len(left["spans"])
        assert len(left["pairs"]) == 3 * len(left["spans"])
    (tmp_path / "telemetry.duckdb").unlink()
    async with opened(tmp_path) as made:
        assert await made.contents() == left


async def test_the_tables_come_back_from_a_failing_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The fake is a disk that fails twice."""
    apply, failures = TelemetryBuild.apply, [StorageFailed("I/O error"), StorageFailed("I/O error")]

    def failing(self: TelemetryBuild, arrivals: Any) -> None:
        if failures:
            raise failures.pop()
        apply(self, arrivals)

    monkeypatch.setattr(TelemetryBuild, "apply", failing)
    async with opened(tmp_path) as made:
        spans = some(3)
        await made.send(spans)
        for _ in range(100):
            try:
                assert await made.spans() == ids_of(spans)
                break
            except Exception:
                await asyncio.sleep(0.05)
        assert not failures and await made.spans() == ids_of(spans)


async def test_a_request_that_the_tables_refuse_holds_up_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The fake refuses one request as the database would."""
    from projections.warehouse.errors import StatementRefused

    apply = TelemetryBuild.apply

    def refusing(self: TelemetryBuild, arrivals: Any) -> None:
        if any(arrival.position == 2 and arrival.batches for arrival in arrivals):
            raise StatementRefused("no")
        apply(self, arrivals)

    monkeypatch.setattr(TelemetryBuild, "apply", refusing)
    async with opened(tmp_path) as made:
        first, second, third = some(2), some(2), some(2)
        for spans in (first, second, third):
            await made.send(spans)
        assert await made.spans() == ids_of([*first, *third])


async def test_what_is_too_much_to_keep_is_read_from_the_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(arrivals, "MAX_KEPT_BYTES", 10_000)
    async with opened(tmp_path) as made:
        batches = [some(20) for _ in range(20)]
        await asyncio.gather(*[made.send(batch) for batch in batches])
        assert await made.spans() == ids_of([span for batch in batches for span in batch])


async def test_a_refused_request_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with opened(tmp_path) as made:
        with pytest.raises(Malformed):
            await made.send_raw("traces", b"\xff" * 100)

        def failing(*_: Any) -> None:
            raise OSError(28, "No space left on device")

        with monkeypatch.context() as disk:  # The fake is a full disk.
            disk.setattr(segment_log.os, "fdatasync", failing)
            with pytest.raises(LogFailed):
                await made.send(some(2))
        assert await made.spans() == []
        spans = some(2)
        await made.send(spans)
        assert await made.spans() == ids_of(spans)
