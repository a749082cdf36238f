"""The recording of a run: outcomes and decisions, over stops, refusals and other writers."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from schemas.events.evaljob import EvalJobCancelled
from stack.domain.stream_position import StreamPosition
from stack.errors import TooLarge
from stack.eventstore import Append, Appended, StreamWrite
from stack.runs.run import Stop
from stack.runs.runs import Superseded
from tests.runs.kernel import Kernel, Told, plain, said

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("stop", ["cancelled", "deadline", "parked"])
async def test_an_outcome_is_recorded_however_the_run_is_stopped(kernel: Kernel, stop: Stop) -> None:
    """The stop comes while the log refuses: what happened is recorded, what was decided from it is not."""
    run = await kernel.opened()

    async def work() -> None:
        run.outcomes.append(said("outcome"))
        await kernel.runs.record(run, plain, [said("decision")])

    kernel.refuses = True
    kernel.launch(run, work)
    await kernel.refused.wait()
    run.request_stop(stop, "stopped")
    kernel.refuses = False
    await run.ended()
    expected = ["opened", "outcome"] if stop == "parked" else ["opened", "outcome", "stopped"]
    assert await kernel.events(run) == run.said == expected
    assert run.outcomes == [] and kernel.runs.running == {}
    assert [one.body.decode() for one in await run.follow(StreamPosition(0, 0)).next(0)] == expected


async def test_a_stop_that_meets_an_append_takes_nothing_back(kernel: Kernel) -> None:
    """An append that is under way is recorded whole, and only then the stop holds."""
    run = await kernel.opened()
    under_way = asyncio.Event()
    append = kernel.append

    async def slow(appended: Append) -> Appended:
        under_way.set()
        await asyncio.sleep(0.01)
        return await append(appended)

    kernel.store.append = slow  # type: ignore[method-assign]

    async def work() -> None:
        run.outcomes.append(said("outcome"))
        await kernel.runs.record(run, plain, [said("decision")])
        raise AssertionError("the stop comes first")

    kernel.launch(run, work)
    await under_way.wait()
    run.request_stop("cancelled", "stopped")
    await run.ended()
    assert await kernel.events(run) == ["opened", "outcome", "decision", "stopped"]


async def test_outcomes_that_come_during_an_append_wait_for_the_next(kernel: Kernel) -> None:
    run = await kernel.opened()
    append = kernel.append

    async def meanwhile(appended: Append) -> Appended:
        run.outcomes.append(said("late"))
        return await append(appended)

    run.outcomes.append(said("early"))
    kernel.store.append = meanwhile  # type: ignore[method-assign]
    await kernel.runs.record(run, plain)
    assert run.said == ["opened", "early"] and run.outcomes == [said("late")]
    kernel.store.append = append  # type: ignore[method-assign]
    await kernel.runs.record(run, plain)
    assert await kernel.events(run) == ["opened", "early", "late"]


async def test_what_the_log_never_takes_does_not_stand_in_the_way_of_the_end(kernel: Kernel) -> None:
    run = await kernel.opened()
    run.outcomes.append(said("x"))
    append = kernel.append

    async def too_large(appended: Append) -> Appended:
        raise TooLarge("One event has too many bytes.")

    kernel.store.append = too_large  # type: ignore[method-assign]
    with pytest.raises(TooLarge):
        await kernel.runs.record(run, plain, [said("y")])
    kernel.store.append = append  # type: ignore[method-assign]
    await kernel.runs.record(run, plain, [said("failed")])
    assert await kernel.events(run) == ["opened", "failed"]


async def test_another_writer_supersedes_a_run(kernel: Kernel) -> None:
    run = await kernel.opened()
    other = Told(kernel.store)
    await other.load()
    await kernel.runs.record(other, plain, [EvalJobCancelled(reason="by another")])
    ends: list[Stop] = []

    async def work() -> None:
        await kernel.runs.record(run, plain, [said("too late")])

    async def stop(stop: Stop, reason: str) -> None:
        ends.append(stop)

    kernel.launch(run, work, stop)
    await run.ended()
    assert await kernel.events(run) == ["opened", "by another"]
    assert ends == [] and run.live.ended and kernel.supervisor.state() == []


async def test_a_conflict_in_another_stream_is_decided_again(kernel: Kernel) -> None:
    run = await kernel.opened()
    other = await kernel.opened("other")
    looks = 0

    async def others() -> Sequence[StreamWrite]:
        nonlocal looks
        looks += 1
        if looks == 3:
            raise Superseded
        version = 0 if looks == 1 else 1
        return [StreamWrite(other.stream, version, [said("closed")])]

    await kernel.runs.record(run, plain, [said("end")], others)
    assert (looks, await kernel.events(run), await kernel.events(other)) == (
        2,
        ["opened", "end"],
        ["opened", "closed"],
    )
    with pytest.raises(Superseded):
        await kernel.runs.record(run, plain, [said("again")], others)
    assert await kernel.events(run) == ["opened", "end"]


async def test_a_task_that_is_cancelled_before_its_first_step_leaves_nothing(kernel: Kernel) -> None:
    run = await kernel.opened()

    async def work() -> None:
        raise AssertionError("never begins")

    kernel.launch(run, work)
    assert run.task is not None
    run.task.cancel()
    await run.ended()
    assert kernel.runs.running == {} and run.live.ended


async def test_a_stop_before_the_first_step_is_recorded(kernel: Kernel) -> None:
    run = await kernel.opened()

    async def work() -> None:
        raise AssertionError("never begins")

    kernel.launch(run, work)
    run.request_stop("cancelled", "at once")
    await run.ended()
    assert await kernel.events(run) == ["opened", "at once"]
