"""Attaching to runs, taking them up after a crash, and parking them."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from schemas.events.base import Event
from schemas.events.evaljob import EvalJobCancelled
from stack.domain.stream_position import BEGINNING
from stack.errors import Unavailable
from stack.runs import runs as runs_module
from stack.runs.live import Frame
from stack.runs.runs import Superseded
from tests.runs.kernel import OWN, Kernel, Told, endless, has_ended, is_open, plain, said

pytestmark = pytest.mark.anyio


async def test_attaching_to_what_runs_and_to_what_does_not(kernel: Kernel) -> None:
    await kernel.runs.recover(_nothing, kernel_takes_nothing)
    run = await kernel.opened()
    assert await kernel.runs.attach(run.stream, is_open) is None, "left to no one: its record is all there is"
    kernel.launch(run, endless)
    assert await kernel.runs.attach(run.stream, has_ended) is run
    run.request_stop("cancelled", "")
    await run.ended()
    assert await kernel.runs.attach(run.stream, has_ended) is None


async def _nothing() -> list[Told]:
    return []


async def kernel_takes_nothing(run: Told) -> None:
    raise AssertionError(run)


@pytest.mark.parametrize("weight", [1, 1_000])
async def test_a_large_stream_is_folded_off_the_event_loop(kernel: Kernel, weight: int) -> None:
    """The frames of a long turn take tens of milliseconds to make."""
    await kernel.opened()
    threads: list[int] = []

    class Heavy(Told):
        def weight(self, event: Event) -> int:
            return weight

        def apply(self, event: Event, recorded_at: int, *, live: bool) -> Sequence[Frame]:
            threads.append(threading.get_ident())
            return super().apply(event, recorded_at, live=live)

    run = Heavy(kernel.store)
    await run.load()
    assert run.said == ["opened"] and len(run.live.after(BEGINNING)) == 1
    assert [one == threading.get_ident() for one in threads] == [weight == 1]


@pytest.mark.parametrize("opens", [True, False])
async def test_who_attaches_waits_for_the_request_that_opens_the_run(kernel: Kernel, opens: bool) -> None:
    """The log may have the run before the process drives it."""
    await kernel.runs.recover(_nothing, kernel_takes_nothing)
    run = Told(kernel.store)
    with kernel.runs.opening(run.stream):
        attaching = asyncio.ensure_future(kernel.runs.attach(run.stream, is_open if opens else has_ended))
        await asyncio.sleep(0.01)
        assert not attaching.done()
        if opens:
            kernel.launch(run, endless)
    assert await attaching is (run if opens else None)


async def test_a_run_that_opens_while_its_state_is_read_is_found(kernel: Kernel) -> None:
    await kernel.runs.recover(_nothing, kernel_takes_nothing)
    run = await kernel.opened()

    async def opened_meanwhile() -> bool:
        kernel.launch(run, endless)
        return True

    assert await kernel.runs.attach(run.stream, opened_meanwhile) is run


async def test_who_attaches_to_what_the_last_process_left_waits_for_recovery(
    kernel: Kernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs_module, "RECOVERY_RETRY_S", 0.001)
    left, ended, own = Told(kernel.store, "left"), Told(kernel.store, "ended"), Told(kernel.store, "own", OWN)
    for run in (left, ended, own):
        await kernel.runs.record(Told(kernel.store, run.stream.rpartition("/")[2]), plain, [said("opened")])
    await kernel.runs.record(await loaded(kernel, "ended"), plain, [EvalJobCancelled(reason="end")])
    attaching = [asyncio.ensure_future(kernel.runs.attach(run.stream, is_open)) for run in (left, ended, own)]
    assert await kernel.runs.attach(ended.stream, has_ended) is None, "what has ended waits for nothing"
    await asyncio.sleep(0.01)
    assert not any(one.done() for one in attaching)
    attempts = 0

    async def open_runs() -> list[Told]:
        nonlocal attempts
        attempts += 1
        if attempts == 1:
            raise Unavailable("The read models are unavailable and being repaired.")
        return [left, ended, own]

    taken_up: list[Told] = []

    async def take_up(run: Told) -> None:
        taken_up.append(run)
        kernel.launch(run, endless)

    await kernel.runs.recover(open_runs, take_up)
    assert taken_up == [left] and left.said == ["opened"]
    assert await asyncio.gather(*attaching) == [left, None, None]


async def loaded(kernel: Kernel, name: str) -> Told:
    run = Told(kernel.store, name)
    await run.load()
    return run


async def test_recovery_goes_on_after_a_run_that_cannot_be_taken_up(kernel: Kernel) -> None:
    for name in "abc":
        await kernel.opened(name)
    taken_up = []

    async def take_up(run: Told) -> None:
        if run.stream.endswith("/b"):
            raise Superseded
        taken_up.append(run.stream[-1])

    async def open_runs() -> list[Told]:
        return [Told(kernel.store, name) for name in "abc"]

    await kernel.runs.recover(open_runs, take_up)
    assert taken_up == ["a", "c"]


async def test_parking_lets_runs_end_within_the_grace(kernel: Kernel) -> None:
    run = await kernel.opened()

    async def work() -> None:
        while not kernel.runs.closing:
            await asyncio.sleep(0)
        await kernel.runs.record(run, plain, [EvalJobCancelled(reason="by itself")])

    kernel.launch(run, work)
    await kernel.runs.park(600)
    assert not run.is_open and kernel.runs.running == {}


async def test_parking_leaves_open_what_takes_longer(kernel: Kernel) -> None:
    run = await kernel.opened()
    kernel.launch(run, endless)
    await kernel.runs.park(0)
    assert run.is_open and await kernel.events(run) == ["opened"]
    assert kernel.runs.closing and kernel.runs.running == {}
    assert await kernel.runs.attach(run.stream, is_open) is None, "there is no recovery to wait for"


async def test_parking_does_not_wait_for_a_log_that_takes_nothing(
    kernel: Kernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs_module, "RECORD_RETRY_S", (0.001,))
    waits, cancelled = await kernel.opened("waits"), await kernel.opened("cancelled")
    kernel.refuses = True

    def recording(run: Told) -> Callable[[], Any]:
        async def work() -> None:
            run.outcomes.append(said("outcome"))
            await kernel.runs.record(run, plain)

        return work

    kernel.launch(waits, recording(waits))
    kernel.launch(cancelled, endless)
    await kernel.refused.wait()
    cancelled.request_stop("cancelled", "cannot be recorded")
    await kernel.runs.park(0.01)
    assert waits.is_open and cancelled.is_open
    assert kernel.runs.running == {} and kernel.supervisor.state() == []
