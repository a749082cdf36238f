"""Room for what is on its way: bounded, given in turn, given back whatever happens."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from projections.warehouse.instance import Warehouse
from stack.services.telemetry.decoding_process import decoding_process
from telemetry.log.port import Content
from telemetry.log.segment_log import SegmentLog
from telemetry.store import intake as intake_module
from telemetry.store.decoding import Decoder
from telemetry.store.intake import Intake
from telemetry.store.projector import Projector
from telemetry.wire.refusals import IntakeFull, Malformed
from tests.telemetry.otlp_requests import PlainSpan, trace_request

pytestmark = pytest.mark.anyio

TRACES = Content("traces")
MAX_BYTES = 2**22


@pytest.fixture
async def intake(tmp_path: Path) -> AsyncIterator[Intake]:
    """With room for 1,000 bytes."""
    warehouse, log, decoder = (
        Warehouse.open(tmp_path),
        SegmentLog(tmp_path / "log"),
        Decoder(decoding_process()),
    )
    projector = Projector(warehouse, log, decoder)
    projector.start()
    yield Intake(log, decoder, projector, max_bytes=1000)
    await asyncio.to_thread(projector.stop)
    decoder.close()
    log.close()
    warehouse.close()


async def test_it_is_bounded_and_given_in_turn(intake: Intake) -> None:
    first, second = await intake.reserve(600), await intake.reserve(400)
    order: list[str] = []

    async def wait(name: str, size: int) -> Any:
        reservation = await intake.reserve(size)
        order.append(name)
        return reservation

    large = asyncio.create_task(wait("large", 500))
    await asyncio.sleep(0)
    small = asyncio.create_task(wait("small", 10))
    await asyncio.sleep(0.05)
    second.release()
    second.release()  # Twice does no harm.
    await asyncio.sleep(0.05)
    assert order == []  # The small one fits, and waits for its turn.
    first.release()
    (await large).release()
    (await small).release()
    assert order == ["large", "small"]


async def test_who_waits_too_long_is_refused(intake: Intake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intake_module, "ROOM_WAIT_S", 0.3)
    reservation = await intake.reserve(1000)
    refused = await asyncio.gather(*[intake.reserve(500) for _ in range(3)], return_exceptions=True)
    assert all(isinstance(one, IntakeFull) for one in refused)
    reservation.release()
    (await intake.reserve(1000)).release()


async def test_too_many_may_not_wait(intake: Intake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intake_module, "MAX_WAITING", 1)
    reservation = await intake.reserve(1000)
    waiting = asyncio.create_task(intake.reserve(1))
    await asyncio.sleep(0)
    with pytest.raises(IntakeFull):
        await intake.reserve(1)
    reservation.release()
    (await waiting).release()


async def test_who_leaves_while_waiting_takes_nothing_along(intake: Intake) -> None:
    reservation = await intake.reserve(1000)
    leaving = [asyncio.create_task(intake.reserve(700)) for _ in range(3)]
    await asyncio.sleep(0.01)
    leaving[0].cancel()
    reservation.release()
    leaving[1].cancel()  # It has been given room in this moment, or not yet.
    (await leaving[2]).release()
    await asyncio.sleep(0.01)
    (await intake.reserve(1000)).release()


async def test_one_that_is_larger_than_all_is_let_in_alone(
    intake: Intake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(intake_module, "ROOM_WAIT_S", 0.3)
    reservation = await intake.reserve(5000)
    with pytest.raises(IntakeFull):
        await intake.reserve(1)
    reservation.release()
    compressed = await intake.reserve(200, compressed=True)
    assert compressed.size == 1600
    compressed.release()


@pytest.mark.slow
async def test_room_comes_back_once_it_is_in_the_tables_or_refused(intake: Intake) -> None:
    for number in range(20):
        body = trace_request([PlainSpan(trace=number + 1, span=1, attributes={"text": "x" * 300})])
        await intake.take(TRACES, body, MAX_BYTES, await intake.reserve(len(body)))
        with pytest.raises(Malformed):
            await intake.take(TRACES, b"\xff", MAX_BYTES, await intake.reserve(1))
    (await intake.reserve(1000)).release()


async def test_a_sender_that_leaves_changes_nothing(intake: Intake) -> None:
    body = trace_request([PlainSpan(trace=1, span=1)])
    for _ in range(20):
        taking = asyncio.create_task(intake.take(TRACES, body, MAX_BYTES, await intake.reserve(300)))
        await asyncio.sleep(0)
        taking.cancel()
        await asyncio.gather(taking, return_exceptions=True)
    (await intake.reserve(1000)).release()


async def test_what_is_made_here_is_always_taken(intake: Intake) -> None:
    await intake.reserve(1000)
    body = trace_request([PlainSpan(trace=1, span=1)])
    done = threading.Event()

    def submit() -> None:
        intake.take_from_thread(TRACES, body)
        done.set()

    thread = threading.Thread(target=submit)
    thread.start()
    await asyncio.to_thread(thread.join, 10.0)
    assert done.is_set()
