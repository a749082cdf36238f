"""Times and pauses of a session's frames, and its stream at a pace, from events with chosen times."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from schemas.events.base import Event
from schemas.events.payload import CompletionMessage, InputMessage, ToolCall
from schemas.events.turn import (
    Owner,
    StreamTrace,
    TurnAwaitingInput,
    TurnCompleted,
    TurnRestarted,
    TurnResumed,
    TurnStarted,
    TurnStepCompleted,
    TurnStepStarted,
)
from stack.domain.stream_position import SESSION_BEGINNING, SessionPosition
from stack.event_log import open_store
from stack.eventstore import Append, EventStore, StreamWrite, stream_name
from stack.runs.live import Frame
from stack.services.replay import session_frames
from stack.services.replay.session_follower import SessionFollower
from stack.services.replay.session_frames import SessionFrames

pytestmark = pytest.mark.anyio

S = 1_000_000
HOUR = 3600 * S
OWNER = Owner("n", "b")
DONE = CompletionMessage(content="a b c", stop_reason="end_of_turn")
CALLS = CompletionMessage(
    content="",
    stop_reason="end_of_message",
    tool_calls=[ToolCall(call_id="c", tool_name="t", arguments="{}")],
)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[EventStore]:
    opened = open_store(tmp_path)
    yield opened
    opened.close()


def started(at: int) -> Event:
    message = InputMessage(role="user", content="?")
    return TurnStarted(session_id="s", agent_id="a", owner=OWNER, input_messages=[message], occurred_at=at)


def step(at: int, id: str = "one") -> Event:
    return TurnStepStarted(step_id=id, step_type="inference", attempt=1, occurred_at=at)


def completed(at: int, delays_ms: Sequence[int], id: str = "one") -> Event:
    trace = StreamTrace([2, 2, 1], list(delays_ms))
    return TurnStepCompleted(step_id=id, step_type="inference", output=DONE, trace=trace, occurred_at=at)


async def record(store: EventStore, turn_id: str, *events: Event) -> None:
    await store.append(Append((StreamWrite(stream_name("turn", turn_id), 0, events),)))


async def read(
    store: EventStore, *turn_ids: str, after: SessionPosition = SESSION_BEGINNING
) -> list[tuple[str, float, bool]]:
    """Returns the frames with their times in seconds, and whether each is the first of a part after a pause."""
    reader = SessionFrames(store, turn_ids, after)
    found = []
    while parts := (await reader.next()).parts:
        for part in parts:
            for index, (frame, at) in enumerate(zip(part.frames, part.times, strict=True)):
                id = SessionPosition(part.turn.number, *frame.position)
                found.append((str(id), at / S, part.follows_pause and not index))
    return found


async def test_times_and_pauses(store: EventStore, monkeypatch: pytest.MonkeyPatch) -> None:
    await record(
        store,
        "t1",
        started(HOUR),
        step(HOUR + S),
        completed(HOUR + 4 * S, [1000, 500, 500]),
        TurnAwaitingInput(output_message=CALLS, occurred_at=HOUR + 4 * S),
        TurnResumed(owner=OWNER, occurred_at=2 * HOUR),
        step(2 * HOUR, "two"),
        # The delays add up to more than the time between the events.
        completed(2 * HOUR + S, [900, 100, 100], "two"),
        TurnCompleted(output_message=DONE, occurred_at=2 * HOUR + S),
    )
    await record(
        store,
        "t2",
        started(3 * HOUR),
        step(3 * HOUR),
        TurnRestarted(owner=OWNER, attempt=2, occurred_at=4 * HOUR),
        step(4 * HOUR, "two"),
    )
    h = HOUR / S
    wanted = [
        ("1.1.0", h, True), ("1.2.0", h + 1, False), ("1.2.1", h + 2, False), ("1.2.2", h + 2.5, False),
        ("1.2.3", h + 3, False), ("1.3.0", h + 4, False), ("1.4.0", h + 4, False),
        ("1.6.0", 2 * h, True), ("1.6.1", 2 * h + 0.9, False), ("1.6.2", 2 * h + 1, False),
        ("1.6.3", 2 * h + 1.1, False), ("1.7.0", 2 * h + 1.1, False), ("1.8.0", 2 * h + 1.1, False),
        ("2.1.0", 3 * h, True), ("2.2.0", 3 * h, False), ("2.4.0", 4 * h, True),
    ]  # fmt: skip
    assert await read(store, "t1", "t2") == wanted
    ids = [id for id, *_ in wanted]
    for index, id in enumerate(ids):
        after = SessionPosition(*map(int, id.split(".")))
        rest = await read(store, "t1", "t2", after=after)
        assert [(id, at) for id, at, _ in rest] == [(id, at) for id, at, _ in wanted[index + 1 :]]
    monkeypatch.setattr(session_frames, "SLICE_FRAMES", 2)
    monkeypatch.setattr(session_frames, "PAGE_EVENTS", 2)
    assert await read(store, "t1", "t2") == wanted, "in slices and pages of any size"
    assert await read(store, "none", "t2") == [(id, at, p) for id, at, p in wanted if id.startswith("2.")]


@pytest.mark.parametrize(
    ("pause_ms", "pauses"), [(2000.0, [2.0, 2.0]), (0.0, [0.0, 0.0]), (1e12, [3598.9, 3600.0])]
)
async def test_pauses_are_folded(store: EventStore, pause_ms: float, pauses: list[float]) -> None:
    for number, turn_id in enumerate(("t1", "t2", "t3"), 1):
        await record(
            store,
            turn_id,
            started(number * HOUR),
            step(number * HOUR),
            completed(number * HOUR + S, [500, 300, 300]),
        )

    async def again(after: SessionPosition) -> SessionFrames:
        return SessionFrames(store, ["t1", "t2"], after)

    async def attach(turn_id: str) -> None:
        raise AssertionError(turn_id)

    first = await again(SESSION_BEGINNING)
    follower = SessionFollower(first, SESSION_BEGINNING, again, attach, pause_ms)  # type: ignore[arg-type]
    frames: list[Frame] = await follower.next(1)
    delays = [frame.delay_ms / 1000 for frame in frames]
    assert [frame.body.partition(b"\n")[0] for frame in frames[:3]] == [
        b"id: 1.1.0",
        b"id: 1.2.0",
        b"id: 1.2.1",
    ]
    one = [0.0, 0.5, 0.3, 0.3, 0.0]
    assert delays == pytest.approx([0.0, *one, pauses[0], *one])
