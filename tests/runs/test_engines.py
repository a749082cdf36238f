"""Turns and evaluation jobs on the kernel: what a model answered is kept, however the log and a stop get in the way."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from schemas.api.agent import AgentConfig
from schemas.api.benchmark import RegisterBenchmarkRequest
from schemas.api.dataset import RegisterDatasetRequest
from schemas.api.eval import EvaluateRowsRequest
from schemas.api.turn import CreateAgentTurnRequest
from stack.data_folder import DataFolder
from stack.domain.stream_position import BEGINNING
from stack.eventstore import stream_name
from stack.providers.inference.settings import InferenceSettings
from stack.providers.rows.port import RowBlock
from stack.runs.live import Frame
from stack.runs.run import Run
from stack.services.evals.running_job import RunningJob
from stack.services.requests.caller import Caller
from stack.services.turns.running_turn import RunningTurn
from stack.settings import Settings
from stack.wiring import Server
from tests.servers.processes import RunningServer

pytestmark = pytest.mark.anyio

CALLER = Caller()
MODEL = "scripted/text;chunks=3"
ANSWER = "The answer comes"
ROWS = [{"question": f"{number}?", "answer": ANSWER} for number in range(4)]


@asynccontextmanager
async def serving(folder: Path, scripted: RunningServer) -> AsyncIterator[Server]:
    provider = InferenceSettings(id="scripted", base_url=scripted.base_url, flavour="generic")
    data = DataFolder(folder)
    server = Server(
        Settings(data=folder, inference=[provider], discover_models=False, shutdown_grace_s=0), data
    )
    try:
        await server.start()
        yield server
    finally:
        await server.stop()
        data.close()


@contextmanager
def full_disk(server: Server) -> Iterator[None]:
    """The log refuses all events for want of room."""
    trouble = server.store.log.trouble
    server.store.log.trouble = lambda: "The disk is full."  # type: ignore[method-assign]
    try:
        yield
    finally:
        server.store.log.trouble = trouble  # type: ignore[method-assign]


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not holds():
            await asyncio.sleep(0.002)


async def begun_turn(server: Server) -> RunningTurn:
    config = msgspec.convert({"model": f"{MODEL};gap_ms=20", "instructions": ""}, AgentConfig)
    agent_id = await server.agents.create(config, CALLER, "")
    session_id = await server.sessions.create(agent_id, "s", CALLER, "")
    posted = {"messages": [{"role": "user", "content": "Well?"}], "stream": True}
    request = msgspec.convert(posted, CreateAgentTurnRequest)
    turn = await server.turns.create(agent_id, session_id, request, CALLER, "")
    await until(lambda: bool(turn.state.steps))
    return turn


async def begun_job(server: Server) -> RunningJob:
    lines = b"\n".join(map(msgspec.json.encode, ROWS))
    dataset = msgspec.convert(
        {"purpose": "eval/question-answer", "source": {"type": "rows", "rows": []}, "dataset_id": "d"},
        RegisterDatasetRequest,
    )
    await server.datasets.register(dataset, [RowBlock(len(ROWS), lines)], CALLER, "")
    await server.benchmarks.register(
        RegisterBenchmarkRequest(benchmark_id="b", dataset_id="d", scoring_functions=["basic::equality"]),
        CALLER,
        "",
    )
    candidate = {
        "type": "model",
        "model": f"{MODEL};first_ms=50",
        "sampling_params": {"strategy": {"type": "greedy"}},
    }
    posted = {
        "input_rows": ROWS,
        "scoring_functions": ["basic::equality"],
        "benchmark_config": {"eval_candidate": candidate},
    }
    job = await server.evaljobs.evaluate(
        "b", msgspec.json.decode(msgspec.json.encode(posted), type=EvaluateRowsRequest), CALLER, ""
    )
    await until(lambda: job.state.status == "in_progress")
    return job


async def stored(server: Server, run: Run) -> list[Any]:
    return [recorded.event for recorded in await server.store.read_stream(run.stream)]


def names(events: list[Any]) -> list[str]:
    return [type(event).__name__ for event in events]


async def followed(run: Run) -> list[Frame]:
    follower, frames = run.follow(BEGINNING), []
    while not follower.ended:
        frames += await follower.next(60)
    return frames


TURN_ENDED_LATE = ["TurnStarted", "TurnStepStarted", "TurnStepCompleted", "TurnCancelled"]
ROWS_DONE = ["EvalJobScheduled", "EvalJobStarted", *["EvalJobRowEvaluated"] * len(ROWS)]


async def test_a_turn_that_is_cancelled_while_the_log_refuses_keeps_its_answer(
    tmp_path: Path, scripted: RunningServer
) -> None:
    async with serving(tmp_path / "data", scripted) as server:
        turn = await begun_turn(server)
        following = asyncio.ensure_future(followed(turn))
        with full_disk(server):
            await until(lambda: bool(turn.outcomes))
            cancelling = asyncio.ensure_future(server.turns.cancel(turn.session_id, turn.turn_id, "Enough."))
            await until(lambda: turn.ending)
        assert (await cancelling).status == "cancelled"
        events = await stored(server, turn)
        assert names(events) == TURN_ENDED_LATE
        assert (events[2].output.content, events[3].output_message.content) == (ANSWER, ANSWER)
        record = await server.turns.attach(turn.session_id, turn.turn_id)
        assert record is not turn and await followed(record) == await following


@pytest.mark.slow
async def test_a_turn_that_is_parked_with_its_answer_does_not_ask_again(
    tmp_path: Path, scripted: RunningServer
) -> None:
    async with serving(tmp_path / "data", scripted) as server:
        turn = await begun_turn(server)
        with full_disk(server):
            await until(lambda: bool(turn.outcomes))
            parking = asyncio.ensure_future(server.park_turns())
            await until(lambda: turn.ending)
        await parking
        assert names(await stored(server, turn)) == TURN_ENDED_LATE[:3]
    async with serving(tmp_path / "data", scripted) as server:
        again = await server.turns.attach(turn.session_id, turn.turn_id)
        frames = await followed(again)
        assert again.state.output_message.content == ANSWER and b"turn_complete" in frames[-1].body
    assert scripted.counts()["requests"] == 1


async def test_a_job_that_is_cancelled_while_the_log_refuses_keeps_its_rows(
    tmp_path: Path, scripted: RunningServer
) -> None:
    async with serving(tmp_path / "data", scripted) as server:
        job = await begun_job(server)
        following = asyncio.ensure_future(followed(job))
        with full_disk(server):
            await until(lambda: len(job.outcomes) == len(ROWS))
            cancelling = asyncio.ensure_future(server.evaljobs.cancel("b", job.job_id, "Enough."))
            await until(lambda: job.ending)
        await cancelling
        events = await stored(server, job)
        assert names(events) == [*ROWS_DONE, "EvalJobCancelRequested", "EvalJobCancelled"]
        assert sorted(event.row for event in events[2:-2]) == list(range(len(ROWS)))
        record = server.evaljobs.follow("b", job.job_id, None, BEGINNING)
        frames = await record.next(60)
        assert frames == await following and len(frames) == len(events)
        closed = (await server.store.read_stream(stream_name("benchmark", "b")))[-1].event
        assert (type(closed).__name__, closed.status) == ("BenchmarkJobClosed", "cancelled")


async def test_a_job_that_is_parked_with_rows_does_not_evaluate_them_again(
    tmp_path: Path, scripted: RunningServer
) -> None:
    async with serving(tmp_path / "data", scripted) as server:
        job = await begun_job(server)
        with full_disk(server):
            await until(lambda: len(job.outcomes) == len(ROWS))
            parking = asyncio.ensure_future(server.park_turns())
            await until(lambda: job.ending)
        await parking
        assert names(await stored(server, job)) == ROWS_DONE
    async with serving(tmp_path / "data", scripted) as server:
        again = await server.evaljobs.running("b", job.job_id)
        if again is not None:
            await again.ended()
        assert (await server.evaljobs.outcome("b", job.job_id)).status == "completed"
    assert scripted.counts()["requests"] == len(ROWS)
