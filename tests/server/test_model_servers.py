"""Turns over model servers that are not quite what the API says; the variants themselves are decoded in
`tests/providers/inference/test_openai_variants.py`."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.server.api import ANSWER, Api, check_error, kinds, parse, text_of
from tests.server.folded_log import FoldedLog
from tests.server.process import Replaystack
from tests.server.tool_calls import CLOCK, WEATHER
from tests.servers.processes import RunningServer

pytestmark = pytest.mark.slow

JSON, STREAM = "application/json", "text/event-stream"


def wire(body: bytes, kind: str = STREAM, size: int = 0) -> str:
    """A script of the scripted server."""
    settings = {"body": base64.b64encode(body).decode(), "type": kind, "size": str(size or len(body))}
    return ";".join(["wire", *(f"{name}={value}" for name, value in settings.items() if value)])


def event(value: Any) -> bytes:
    return b"data: " + json.dumps(value).encode() + b"\n\n"


def chunk(delta: dict[str, Any], finish: str | None = None, **more: Any) -> dict[str, Any]:
    return {"id": "c", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}], **more}


HELLO = event(chunk({"content": "Hel"})) + event(chunk({"content": "lo"})) + event(chunk({}, "stop"))
DONE = b"data: [DONE]\n\n"
WHOLE = {"id": "c", "choices": [{"message": {"content": "Hello"}, "finish_reason": "stop"}]}


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory, scripted_server: RunningServer) -> Iterator[Replaystack]:
    """A server that repeats what a model server refused, and one provider that does not."""
    generic = {"base_url": scripted_server.base_url, "flavour": "generic"}
    providers = [{"id": "up", **generic}, {"id": "once", **generic, "max_retries": 0}]
    environment = {"REPLAYSTACK_INFERENCE": json.dumps(providers)}
    data = tmp_path_factory.mktemp("models") / "data"
    with Replaystack(data, environment=environment, settings={"hold_back_ms": 300}) as server:
        yield server
        server.check_healthy()


@pytest.fixture
def up(models: Replaystack, scripted: RunningServer) -> Iterator[Api]:
    with models.http() as http:
        yield Api(http)


@pytest.mark.parametrize(
    "script",
    [
        wire(HELLO + DONE, JSON),
        wire(HELLO + DONE, "text/plain; charset=utf-8"),
        wire(HELLO + DONE, ""),
        wire(HELLO + DONE, "application/octet-stream", size=1),
        wire((b"\xef\xbb\xbf" + HELLO + DONE).replace(b"\n", b"\r"), size=1),
        wire(HELLO),
        wire(HELLO.replace(b"stop", b"") + DONE),
        wire(json.dumps(WHOLE).encode(), JSON),
        wire(json.dumps(WHOLE, indent=2).encode(), STREAM, size=7),
    ],
)
def test_answers_are_taken_as_they_come(up: Api, scripted: RunningServer, script: str) -> None:
    conversation = up.conversation("once/any")
    scripted.queue(script, script)
    assert conversation.turn()["output_message"]["content"] == "Hello"
    frames = parse(conversation.streamed())
    assert text_of(frames) == "Hello" and frames[-1].kind == "turn_complete"


@pytest.mark.parametrize(
    ("script", "status", "mention"),
    [
        (wire(b'{"error":{"message":"No credits left","code":402}}', JSON), 502, "No credits left"),
        (wire(b'{"detail":"No credits left"}', JSON), 502, "No credits left"),
        (wire(b"No credits left", "text/plain"), 502, "No credits left"),
        (wire(b"<html><body>No credits left", "text/html"), 502, "No credits left"),
        (wire(b'{"error":{"message":"Slow down","code":429}}', JSON), 429, "Slow down"),
        (wire(event({"error": {"message": "Loading", "code": 503}})), 503, "Loading"),
        (wire(HELLO.replace(b"stop", b"")), 502, "cut off"),
        (wire(HELLO.replace(b"stop", b"error") + DONE), 502, "'error'"),
    ],
)
def test_failures_have_the_words_of_the_server(
    up: Api, scripted: RunningServer, script: str, status: int, mention: str
) -> None:
    conversation = up.conversation("once/any")
    scripted.queue(script)
    check_error(conversation.post(), status, mention)
    scripted.queue(script)
    streamed = conversation.post(stream=True)
    if b"content" in base64.b64decode(script.split("body=")[1].split(";")[0]):
        # It was shown before it failed.
        assert mention in parse(streamed.content)[-1].value["error"]["detail"]
    else:
        check_error(streamed, status, mention)


@pytest.mark.parametrize(
    ("script", "status", "wait"),
    [
        ("status;code=429", 429, "5"),
        ("status;code=429;retry_after=1", 429, "1"),
        ("status;code=503", 503, "5"),
        ("status;code=502", 502, None),
        ("drop", 502, None),
    ],
)
def test_a_stream_has_the_status_of_what_its_retries_came_to(
    up: Api, scripted: RunningServer, script: str, status: int, wait: str | None
) -> None:
    """Its status waits longer than `hold_back_ms` while nothing was shown."""
    answer = up.conversation(f"up/{script}").post(stream=True)
    check_error(answer, status)
    assert answer.headers.get("retry-after") == wait
    # One more where a connection that was kept turned out to be closed.
    assert scripted.counts()["requests"] in (3, 4 if script == "drop" else 3)


def test_a_stream_that_a_retry_saved(up: Api, scripted: RunningServer) -> None:
    conversation = up.conversation("up/any")
    scripted.queue("status;code=503", "drop", "text;chunks=3")
    frames = parse(conversation.streamed())
    assert text_of(frames) == ANSWER and frames[-1].kind == "turn_complete"


def test_a_refusal_of_stream_options_is_remembered(up: Api, scripted: RunningServer) -> None:
    conversation = up.conversation("once/no-options")
    for _ in range(2):
        turn = conversation.turn()
        assert conversation.outcome(turn["turn_id"])["usage"] == {}
    assert ["stream_options" in seen["body"] for seen in scripted.requests()] == [True, False, False]


@pytest.mark.parametrize(
    ("usage", "shown"),
    [
        (None, {}),
        ({"prompt_tokens": 7}, {"input_tokens": 7}),
        ({"input_tokens": 7, "output_tokens": 0}, {"input_tokens": 7, "output_tokens": 0}),
    ],
)
def test_unknown_usage_is_absent(
    up: Api, models: Replaystack, scripted: RunningServer, usage: dict[str, int] | None, shown: dict[str, int]
) -> None:
    conversation = up.conversation("once/any")
    scripted.queue(wire(event(chunk({"content": "Hello"}, "stop", usage=usage)) + DONE))
    turn_id = conversation.turn()["turn_id"]
    assert conversation.outcome(turn_id)["usage"] == shown
    assert FoldedLog(models.data).turn(turn_id)[1]["usage"] == shown


def test_reasoning_is_kept_and_is_no_part_of_the_answer(
    up: Api, models: Replaystack, scripted: RunningServer
) -> None:
    conversation = up.conversation("once/any")
    thought = event(chunk({"content": None, "reasoning_content": "Let me"})) + event(
        chunk({"reasoning": " see."})
    )
    scripted.queue(wire(thought + HELLO + DONE), wire(thought))
    raw = conversation.streamed()
    frames = parse(raw)
    assert kinds(frames) == ["turn_start", "step_start", "step_progress", "step_complete", "turn_complete"]
    assert text_of(frames) == "Hello" and b"Let me" not in raw
    turn_id = conversation.only_turn_id()
    assert parse(conversation.replay(turn_id).content) == frames
    assert FoldedLog(models.data).reasoning(turn_id) == ["Let me see."]
    check_error(conversation.post(), 502, "cut off")
    failed = conversation.show()["turns"][-1]["turn_id"]
    assert FoldedLog(models.data).reasoning(failed) == ["Let me see."]


def test_calls_that_interleave_are_shown_one_after_the_other(up: Api, scripted: RunningServer) -> None:
    def piece(index: int, arguments: str, **more: str) -> bytes:
        named = {"id": more["id"]} if more else {}
        function = {"arguments": arguments, **({"name": more["name"]} if more else {})}
        return event(chunk({"tool_calls": [{"index": index, **named, "function": function}]}))

    sent = b"".join(
        [piece(0, "", id="a", name="weather"), piece(1, "", id="b", name="clock"), piece(0, '{"city":'),
         piece(1, '{"zone":'), piece(0, '"Oslo"}'), piece(1, '"UTC"}'), event(chunk({}, "tool_calls")), DONE]
    )  # fmt: skip
    conversation = up.conversation("once/any", client_tools=[WEATHER, CLOCK])
    scripted.queue(wire(sent))
    frames = parse(conversation.streamed())
    deltas = [frame.payload["delta"] for frame in frames if frame.kind == "step_progress"]
    shown = [
        delta["tool_call"] if isinstance(delta["tool_call"], str) else delta["tool_call"]["call_id"]
        for delta in deltas
    ]
    assert shown == ['{"city":', '"Oslo"}', "a", '{"zone":', '"UTC"}', "b"]
    turn = frames[-1].payload["turn"]
    assert [(call["call_id"], call["arguments"]) for call in turn["output_message"]["tool_calls"]] == [
        ("a", '{"city":"Oslo"}'),
        ("b", '{"zone":"UTC"}'),
    ]
    assert parse(conversation.replay(turn["turn_id"]).content) == frames
