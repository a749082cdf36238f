"""The frames of a turn: what was streamed live is what a replay of its events gives, for any history."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from itertools import count
from typing import cast

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from msgspec import Struct

from schemas.events.base import Event
from schemas.events.payload import (
    AgentConfig,
    CompletionMessage,
    InputMessage,
    ToolDef,
    ToolResponse,
    TurnUsage,
    Violation,
)
from schemas.events.turn import (
    Owner,
    TurnCompleted,
    TurnStarted,
    TurnStepCompleted,
    TurnStepFailed,
    TurnStepStarted,
)
from stack.domain import turn as turns
from stack.domain.stream_position import BEGINNING, StreamPosition
from stack.errors import UpstreamFailed
from stack.eventstore import EventStore
from stack.eventstore.codec import Codec
from stack.providers.inference.demo_extractive import DemoExtractive
from stack.providers.inference.port import (
    Finished,
    FinishReason,
    InferenceEvent,
    InferenceProvider,
    InferenceRequest,
    Opened,
    TextChunk,
    ToolCallChunk,
)
from stack.providers.shields.port import Shield, ShieldRequest
from stack.providers.tools.port import Suspended, ToolRequest, ToolResult
from stack.runs.live import Frame, LiveFrames
from stack.services.effects import Captured
from stack.services.tools.tool_set import ServerTool, ToolSet
from stack.services.turns.conversation import digested
from stack.services.turns.running_turn import RunningTurn
from stack.services.turns.turn_frames import TurnFrames, turn_wire
from stack.services.turns.turn_plan import TurnPlan
from stack.services.turns.turn_runner import Closes, TurnRunner
from tests.services.tool_turns import Guard

TOOLS = ToolSet([ToolDef(name="weather"), ToolDef(name="clock")])
OWNER = Owner("node", "boot")
BEGINS = 1_700_000_000_000_000
CODEC = Codec()
NO_LOG = cast(EventStore, None)


class Inference(Struct, frozen=True):
    """The chunks of a model, the end of its answer (None: with an error), and the pause before each chunk."""

    pieces: tuple[TextChunk | ToolCallChunk, ...]
    reason: FinishReason | None
    pauses_ms: tuple[int, ...] = ()


class ScriptedWorld:
    """The effects port over a script: one inference after the other, a clock that only they move."""

    def __init__(self, script: Sequence[Inference], verdicts: Sequence[str | None] = ()) -> None:
        self._script = list(script)
        self.verdicts = list(verdicts)
        self._ids = count(1)
        self._now_ms = 0.0

    def now_ms(self) -> float:
        return self._now_ms

    def now_us(self) -> int:
        return BEGINS

    def new_id(self) -> str:
        return f"id-{next(self._ids)}"

    async def call_tool(
        self,
        tool: ServerTool,
        call_id: str,
        request: ToolRequest,
        labels: Mapping[str, str],
        captured: Captured = "all",
    ) -> ToolResult | Suspended:
        raise AssertionError("these turns have no tools of the server")

    async def check(self, shield: Shield, request: ShieldRequest, touchpoint: str) -> Violation | None:
        level = self.verdicts.pop(0) if self.verdicts else None
        if level == "fails":
            raise UpstreamFailed("it is down")
        return Violation(level, "I cannot say that.") if level else None

    async def infer(
        self,
        provider: InferenceProvider,
        request: InferenceRequest,
        labels: Mapping[str, str],
        captured: Captured = "all",
    ) -> AsyncGenerator[InferenceEvent, None]:
        inference = self._script.pop(0) if self._script else Inference((TextChunk("Enough."),), "stop")
        yield Opened()
        for number, piece in enumerate(inference.pieces):
            self._now_ms += inference.pauses_ms[number] if number < len(inference.pauses_ms) else 0
            yield piece
        if inference.reason is None:
            raise UpstreamFailed("The model server closed the connection.")
        yield Finished(inference.reason, TurnUsage(3, 5))


class Recording:
    """A turn that runs over a script; `live` is what its readers saw, `events` what is in the log. With `verdicts` it has
    an output shield, which decides like this, one answer after the other."""

    def __init__(self, script: Sequence[Inference], verdicts: Sequence[str | None] | None = None) -> None:
        self.world = ScriptedWorld(script, verdicts or ())
        self.shields = [] if verdicts is None else [Guard()]
        self.events: list[tuple[Event, int, int]] = []

    @property
    def live(self) -> list[Frame]:
        return self.turn.live.after(BEGINNING)

    async def record(self, events: Sequence[Event], closes: Closes = "") -> None:
        recorded, self.turn.outcomes = [*self.turn.outcomes, *events], []
        for event in recorded:
            version = len(self.events) + 1
            recorded_at = BEGINS + 1_001 * version
            self.events.append((event, recorded_at, version))
            self.turn.publish([event], [recorded_at])

    async def run(self, responses: str = "rain") -> None:
        """To its end: calls of the client's tools are answered as soon as they are awaited."""
        self.turn = RunningTurn(NO_LOG, "s", "turn-1")
        await self.record([STARTED])
        plan = TurnPlan(
            agent=AgentConfig(model="m", instructions="", max_infer_iters=4),
            provider=DemoExtractive(),
            model="m",
            context=digested([]),
            tools=TOOLS,
            output_shields=self.shields,
        )

        async def prepare() -> TurnPlan:
            return plan

        while True:
            await TurnRunner(self.turn, prepare, self.world, self.record).run()
            if self.turn.state.status != "awaiting_input":
                return
            calls = turns.pending_calls(self.turn.state)
            given = [ToolResponse(call.call_id, call.tool_name, responses) for call in calls]
            await self.record(turns.resume(self.turn.state, given, OWNER, self.world.new_id()))

    def replayed(self) -> list[Frame]:
        """The frames of the stored events, read back from their JSON."""
        again = TurnFrames("turn-1")
        frames: list[Frame] = []
        for event, recorded_at, version in self.events:
            stored = CODEC.decode(*CODEC.encode(event), lambda state: state)
            frames.extend(again.apply(stored, recorded_at, version, live=False))
        assert again.state == self.turn.state
        return frames


STARTED = TurnStarted(
    session_id="s", agent_id="a", owner=OWNER, input_messages=[InputMessage(role="user", content="What?")]
)

texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)
fragments = st.one_of(st.sampled_from(['{"city":', '"Oslo"}', "{}", "{", "}", '{"a":1}', '"', "[1]"]), texts)
calls = st.builds(
    ToolCallChunk,
    index=st.integers(0, 3),
    call_id=st.sampled_from(["", "call_0", "call_1"]),
    name=st.sampled_from(["", "weather", "clock", "oracle"]),
    arguments=st.one_of(st.just(""), fragments),
)
inferences = st.builds(
    Inference,
    st.lists(st.one_of(st.builds(TextChunk, texts), calls, calls), max_size=12).map(tuple),
    st.sampled_from(["stop", "tool_calls", "tool_calls", "length", None]),
    st.lists(st.integers(0, 500), max_size=12).map(tuple),
)


def weather(arguments: str = "", index: int = 0, call_id: str = "", name: str = "") -> ToolCallChunk:
    return ToolCallChunk(index, call_id, name, arguments)


BROKEN_OFF = Inference(
    (
        TextChunk("Let"),
        weather('{"city":', call_id="c", name="weather"),
        TextChunk(" me see"),
        weather('"Os'),
    ),
    None,
)
TWO_CALLS = Inference(
    (weather("{}", 0, "c0", "weather"), weather("", 1, "c1", "clock"), weather('{"at":"noon"}', 1)),
    "tool_calls",
)
ODD_TEXT = Inference(
    (TextChunk("🎉"), TextChunk("e\u0301\x00"), weather("🎉\u2028", 0, "c", "weather")), "tool_calls"
)


@pytest.mark.slow
@given(st.lists(inferences, min_size=1, max_size=4))
@example([BROKEN_OFF])
@example([TWO_CALLS, BROKEN_OFF])
@example([TWO_CALLS, TWO_CALLS, TWO_CALLS, TWO_CALLS])
@example([ODD_TEXT])
def test_a_replay_is_the_stream_that_was_seen(script: list[Inference]) -> None:
    recording = Recording(script)
    asyncio.run(recording.run())
    live, replayed = recording.live, recording.replayed()
    assert [frame.body for frame in replayed] == [frame.body for frame in live]
    assert replayed == live, "positions and delays"
    assert recording.replayed() == replayed
    positions = [frame.position for frame in live]
    assert positions == sorted(set(positions)), "ids rise"
    check_order(live)


def check_order(frames: list[Frame]) -> None:
    """Steps lie between their start and end, calls are told whole once, and one frame ends the stream."""
    found = [msgspec.json.decode(frame.body.partition(b"data: ")[2]) for frame in frames]
    assert "event" in found[0] and found[0]["event"]["payload"]["event_type"] == "turn_start"
    open_step = ""
    for number, value in enumerate(found):
        last = number == len(found) - 1
        if "error" in value:
            assert last
            continue
        payload = value["event"]["payload"]
        match payload["event_type"]:
            case "step_start":
                assert open_step == ""
                open_step = payload["step_id"]
            case "step_progress":
                assert payload["step_id"] == open_step
            case "step_complete":
                assert payload["step_id"] == payload["step_details"]["step_id"] == open_step
                open_step = ""
            case "turn_complete":
                assert last and "tool_calls" not in payload["turn"]["output_message"]
            case "turn_awaiting_input":
                assert open_step == "" and payload["turn"]["output_message"]["tool_calls"]


def payloads(recording: Recording) -> list[dict[str, object]]:
    values = [msgspec.json.decode(f.body.partition(b"data: ")[2]) for f in recording.live]
    return [value["event"]["payload"] for value in values if "event" in value]


levels = st.sampled_from([None, None, "info", "warn", "error", "fails"])


@pytest.mark.slow
@given(st.lists(inferences, min_size=1, max_size=4), st.lists(levels, max_size=4))
@example([TWO_CALLS, ODD_TEXT], [None, "error"])
@example([TWO_CALLS], ["fails"])
@example([BROKEN_OFF], [None])
def test_a_replay_of_a_shielded_turn_is_the_stream_that_was_seen(
    script: list[Inference], verdicts: list[str | None]
) -> None:
    recording = Recording(script, verdicts)
    asyncio.run(recording.run())
    live, replayed = recording.live, recording.replayed()
    assert replayed == live
    positions = [frame.position for frame in live]
    assert positions == sorted(set(positions))
    check_order(live)
    # An answer is shown after its verdict, and never without one.
    shown = [payload for payload in payloads(recording) if payload["event_type"] == "step_progress"]
    passed = [step for step in recording.turn.state.finished_steps if step.step_type == "inference"]
    assert {payload["step_id"] for payload in shown} <= {step.step_id for step in passed if step.output}
    for event, _, _ in recording.events:
        if isinstance(event, TurnStepCompleted) and event.withheld is not None:
            assert event.output == CompletionMessage(content="", stop_reason="end_of_turn")
            assert event.trace is None and event.reasoning == ""
            assert event.step_id not in {payload["step_id"] for payload in shown}
        if isinstance(event, TurnStepFailed):
            assert event.output is None and event.trace is None


def test_what_a_client_sees_of_two_calls() -> None:
    recording = Recording([TWO_CALLS])
    asyncio.run(recording.run())
    deltas = [payload["delta"] for payload in payloads(recording) if payload["event_type"] == "step_progress"]
    whole = {"call_id": "c0", "tool_name": "weather", "arguments": "{}"}
    second = {"call_id": "c1", "tool_name": "clock", "arguments": '{"at":"noon"}'}
    assert deltas[:4] == [
        {"type": "tool_call", "tool_call": "{}", "parse_status": "in_progress"},
        {"type": "tool_call", "tool_call": whole, "parse_status": "succeeded"},
        {"type": "tool_call", "tool_call": '{"at":"noon"}', "parse_status": "in_progress"},
        {"type": "tool_call", "tool_call": second, "parse_status": "succeeded"},
    ]


@pytest.mark.slow
@given(st.lists(inferences, min_size=1, max_size=3), st.data())
def test_a_reader_that_comes_back_misses_nothing(script: list[Inference], data: st.DataObject) -> None:
    """From any frame on, live and replayed; also from an id between two frames."""
    recording = Recording(script)
    asyncio.run(recording.run())
    frames = recording.replayed()
    stored = LiveFrames()
    stored.publish(frames)
    seen = data.draw(st.integers(0, len(frames)))
    after = frames[seen - 1].position if seen else BEGINNING
    assert recording.turn.live.after(after) == stored.after(after) == frames[seen:]
    between = StreamPosition(after.version, 2**31)
    assert stored.after(between) == [frame for frame in frames if frame.position > between]


@pytest.mark.slow
@given(st.lists(inferences, min_size=1, max_size=3), st.data())
def test_a_turn_that_is_taken_up_from_its_events_goes_on_alike(
    script: list[Inference], data: st.DataObject
) -> None:
    """A resume or a restart folds the stored events and continues live: the following frames are the same."""
    recording = Recording(script)
    asyncio.run(recording.run())
    kept = data.draw(st.integers(0, len(recording.events)))
    again = TurnFrames("turn-1")
    frames: list[Frame] = []
    for event, recorded_at, version in recording.events:
        frames.extend(again.apply(event, recorded_at, version, live=version > kept))
    told = {frame.position for frame in frames}
    assert frames == [frame for frame in recording.live if frame.position in told]
    missing = [frame for frame in recording.live if frame.position not in told]
    assert all(b'"step_progress"' in frame.body for frame in missing), "only chunks are sent as they come"


def test_a_step_of_a_kind_that_only_newer_releases_know_is_left_out() -> None:
    frames = TurnFrames("turn-1")
    done = CompletionMessage(content="Yes.", stop_reason="paused")
    events = (
        STARTED,
        TurnStepStarted(step_id="1", step_type="dream", attempt=1),
        TurnStepCompleted(step_id="1", step_type="dream"),
        TurnCompleted(output_message=done),
    )
    shown = [frames.apply(event, 1, version, live=False) for version, event in enumerate(events, 1)]
    assert [len(some) for some in shown] == [1, 0, 0, 1]
    turn = turn_wire("turn-1", frames.state)
    assert turn.steps == []
    assert (turn.output_message.content, turn.output_message.stop_reason) == ("Yes.", "paused")
