"""Bodies in flight: slow senders make way for others, and never keep them out."""

from __future__ import annotations

import asyncio

import pytest

from stack.http import body_limit
from stack.http.body_limit import BytesInFlight, NoRoom, Share

pytestmark = pytest.mark.anyio

LONG_S = 60.0


async def never() -> bytes:
    return await asyncio.get_running_loop().create_future()


async def receive(in_flight: BytesInFlight, parts: list[int], then_stalls: bool = False) -> int:
    """Receives parts of these sizes; returns how much arrived."""
    share = Share(in_flight)
    total = 0
    try:
        for size in parts:
            await share.wait(lambda: asyncio.sleep(0), LONG_S)
            await share.count(size)
            total += size
        if then_stalls:
            await share.wait(never, LONG_S)
        return total
    finally:
        share.release()


async def test_slow_senders_make_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(body_limit, "MAKES_WAY_AFTER_S", 0.05)
    in_flight = BytesInFlight(1_000)
    stalled = [asyncio.create_task(receive(in_flight, [50] * 2, True)) for _ in range(10)]
    await asyncio.sleep(0.1)
    assert in_flight.held == 1_000
    assert await receive(in_flight, [60] * 5) == 300
    done, waiting = await asyncio.wait(stalled, timeout=0.1)
    assert len(done) == 3 and len(waiting) == 7
    assert all(isinstance(one.exception(), NoRoom) for one in done)
    for one in waiting:
        one.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    assert in_flight.held == 0 and not in_flight.awaited


async def test_senders_that_keep_their_pace_do_not_make_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(body_limit, "ROOM_WAIT_S", 0.1)
    in_flight = BytesInFlight(1_000)
    busy, exceeding = Share(in_flight), Share(in_flight)
    await busy.count(1_000)
    await exceeding.count(1)
    with pytest.raises(NoRoom):
        await receive(in_flight, [1])
    exceeding.release()
    busy.release()
    busy.release()
    assert await receive(in_flight, [1]) == 1
    assert in_flight.held == 0


async def test_one_that_is_alone_is_let_in_however_large_it_is() -> None:
    in_flight = BytesInFlight(1_000)
    assert await receive(in_flight, [900, 900, 900]) == 2_700


async def test_bodies_that_are_all_incomplete_do_not_wait_for_each_other() -> None:
    in_flight = BytesInFlight(1_000)
    received = await asyncio.gather(*[receive(in_flight, [50] * 10) for _ in range(20)])
    assert received == [500] * 20 and in_flight.held == 0
