"""While a turn awaits its tools: other turns, cancelling, deleting, repeating, reading along, crashing."""

from __future__ import annotations

import socket
import threading
import time
from functools import partial
from typing import Any

import httpx
import pytest

from tests.server.api import ANSWER, Api, Conversation, Frame, check_error, kinds, parse, text_of
from tests.server.conftest import FreshServer
from tests.server.process import Replaystack, wait_until
from tests.server.tool_calls import (
    CALL,
    NOT_EXECUTED,
    late,
    messages,
    rain,
    user,
    waiting,
    weather_man,
)
from tests.servers.processes import RunningServer

CALLED = ("assistant", [("call_0", "weather", {"city": "scripted"})])
RETRY = {"x-stainless-retry-count": "1"}


def again(client: httpx.Client, conversation: Conversation) -> Conversation:
    """The same session through another client."""
    return Conversation(Api(client), conversation.agent_id, conversation.session_id)


def statuses(conversation: Conversation) -> list[str]:
    return [conversation.outcome(turn["turn_id"])["status"] for turn in conversation.show()["turns"]]


@pytest.mark.parametrize("stream", [True, False])
def test_a_new_turn_abandons_the_one_that_waits(api: Api, scripted: RunningServer, stream: bool) -> None:
    conversation = weather_man(api)
    first = waiting(conversation)
    second = conversation.post("Never mind.", stream=stream)
    assert second.status_code == 200
    assert messages(scripted) == [
        ("user", "Will it rain?"), CALLED, ("tool", NOT_EXECUTED), ("user", "Never mind."),
    ]  # fmt: skip
    assert statuses(conversation) == ["abandoned", "awaiting_input"]
    shown = conversation.get(first["turn_id"])
    turn = shown.json()
    assert shown.headers["x-turn-status"] == "abandoned"
    assert turn["completed_at"] and turn["steps"] == first["steps"]
    assert turn["output_message"] == {"role": "assistant", "content": "", "stop_reason": "end_of_turn"}
    frames = parse(conversation.replay(first["turn_id"]).content)
    assert kinds(frames)[-2:] == ["turn_awaiting_input", "turn_complete"]
    assert frames[-1].payload["turn"] == turn
    scripted.queue("text;chunks=3")
    conversation.turn("And now?")
    assert messages(scripted)[2:] == [
        ("tool", NOT_EXECUTED), ("user", "Never mind."), CALLED, ("tool", NOT_EXECUTED), ("user", "And now?"),
    ]  # fmt: skip


def test_late_responses_in_a_new_turn_answer_the_calls(api: Api, scripted: RunningServer) -> None:
    conversation = weather_man(api, "scripted/tools;calls=2")
    waiting(conversation)
    posted = [user("And tomorrow?"), late("call_1")]
    scripted.queue("text;chunks=3")
    turn = conversation.turn(posted)
    assert turn["input_messages"] == posted
    both = ("assistant", [(f"call_{n}", "weather", {"city": "scripted"}) for n in range(2)])
    said = [
        ("user", "Will it rain?"),
        both,
        ("tool", NOT_EXECUTED),
        ("tool", "late rain"),
        ("user", "And tomorrow?"),
    ]
    assert messages(scripted) == said
    assert statuses(conversation) == ["abandoned", "completed"]
    conversation.post("Later")
    assert messages(scripted)[: len(said)] == said, "the history stays"


def test_late_responses_alone_are_a_turn(api: Api, scripted: RunningServer) -> None:
    conversation = weather_man(api)
    waiting(conversation)
    turn = conversation.turn([late()])
    assert turn["output_message"]["content"] == ANSWER
    assert messages(scripted) == [("user", "Will it rain?"), CALLED, ("tool", "late rain")]


@pytest.mark.parametrize(
    ("posted", "mention"),
    [
        ([late("call_9")], "messages[0].call_id"),
        ([user("x"), late(), late()], "messages[2].call_id"),
        ([late(content={"type": "video"})], "messages[0].content"),
        ([], "messages"),
    ],
)
def test_a_refused_turn_leaves_the_waiting_one_alone(api: Api, posted: list[Any], mention: str) -> None:
    conversation = weather_man(api)
    turn = waiting(conversation)
    check_error(conversation.post(posted), 400, mention)
    assert conversation.show()["turns"] == [turn]
    assert conversation.resume(turn["turn_id"], rain()).status_code == 200


@pytest.mark.parametrize("ended", ["failed", "cancelled", "out_of_tokens"])
def test_late_responses_answer_calls_that_are_open_for_any_reason(
    api: Api, scripted: RunningServer, ended: str
) -> None:
    """The turn with the responses failed and is posted again, or the waiting one was cancelled, or had its last
    inference: the model's calls are still without an answer."""
    limit = 1 if ended == "out_of_tokens" else 10
    conversation = weather_man(api, max_infer_iters=limit)
    turn = conversation.post().json()
    if ended == "failed":
        scripted.queue("status;code=500")
        check_error(conversation.post([late()]), 502)
    elif ended == "cancelled":
        assert conversation.cancel(turn["turn_id"]).status_code == 200
    check_error(conversation.post([late("call_1")]), 400, "call_1")
    assert conversation.turn([late()])["output_message"]["content"] == ANSWER
    assert messages(scripted) == [("user", "Hello"), CALLED, ("tool", "late rain")]
    check_error(conversation.post([late()]), 400, "call_0")


def test_cancelling_while_a_tool_is_awaited(api: Api, scripted: RunningServer) -> None:
    conversation = weather_man(api)
    turn_id = waiting(conversation)["turn_id"]
    for _ in range(2):
        cancelled = conversation.cancel(turn_id)
        assert cancelled.status_code == 200 and cancelled.content == b""
    turn = conversation.get(turn_id).json()
    assert turn["completed_at"] and "tool_calls" not in turn["output_message"]
    assert statuses(conversation) == ["cancelled"]
    assert kinds(parse(conversation.replay(turn_id).content))[-2:] == ["turn_awaiting_input", "turn_complete"]
    check_error(conversation.resume(turn_id, rain()), 409, "cancelled")
    waiting(conversation, "Again?")
    assert messages(scripted)[-2:] == [("tool", NOT_EXECUTED), ("user", "Again?")]


@pytest.mark.parametrize("what", ["session", "agent"])
def test_deleting_while_a_tool_is_awaited(api: Api, what: str) -> None:
    conversation = weather_man(api)
    turn_id = waiting(conversation)["turn_id"]
    path = conversation.path if what == "session" else f"/v1alpha/agents/{conversation.agent_id}"
    assert api.http.delete(path).status_code == 200
    check_error(conversation.resume(turn_id, rain()), 404)
    check_error(conversation.get(turn_id), 404)
    check_error(conversation.replay(turn_id), 404)
    check_error(conversation.cancel(turn_id), 404)


def at_once(server: Replaystack, conversation: Conversation, *work: Any) -> list[httpx.Response]:
    """The answers to requests that are made at the same time, each by a client of its own."""
    answers: list[httpx.Response] = []
    barrier = threading.Barrier(len(work))

    def do(one: Any) -> None:
        with server.http() as client:
            own = again(client, conversation)
            barrier.wait()
            answers.append(one(own))

    threads = [threading.Thread(target=do, args=(one,)) for one in work]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    return answers


def _resume(turn_id: str, content: str, stream: bool, own: Conversation) -> httpx.Response:
    return own.resume(turn_id, rain(content=content), stream=stream)


@pytest.mark.parametrize("stream", [True, False])
def test_of_several_resumes_one_wins(
    api: Api, server: Replaystack, scripted: RunningServer, stream: bool
) -> None:
    for _ in range(3):
        conversation = weather_man(api)
        turn_id = waiting(conversation)["turn_id"]
        scripted.reset()
        contents = [f"rain {number}" for number in range(4)]
        work = [partial(_resume, turn_id, content, stream) for content in contents]
        answers = at_once(server, conversation, *work)
        assert sorted(answer.status_code for answer in answers) == [200, 409, 409, 409]
        for answer in answers:
            if answer.status_code == 409:
                check_error(answer, 409)
        assert scripted.counts()["requests"] == 1
        turn = conversation.get(turn_id).json()
        assert [step["step_type"] for step in turn["steps"]] == ["inference", "tool_execution", "inference"]
        assert conversation.outcome(turn_id)["status"] == "completed"


@pytest.mark.slow
def test_a_resume_a_cancel_and_a_new_turn_at_once(api: Api, server: Replaystack) -> None:
    """Regardless of which arrives first, the turn ends once and the session continues."""
    for _ in range(12):
        conversation = weather_man(api)
        turn_id = waiting(conversation)["turn_id"]
        answers = at_once(
            server,
            conversation,
            lambda own: own.resume(turn_id, rain()),  # noqa: B023
            lambda own: own.cancel(turn_id),  # noqa: B023
            lambda own: own.post("Never mind."),
        )
        assert {answer.status_code for answer in answers} <= {200, 409}
        wait_until(lambda: "completed_at" in conversation.get(turn_id).json())  # noqa: B023
        assert statuses(conversation)[0] in ("completed", "cancelled", "abandoned")
        replayed = kinds(parse(conversation.replay(turn_id).content))
        assert replayed.count("turn_complete") == 1 and replayed[-1] == "turn_complete"
        assert waiting(conversation, "goes on")["output_message"]["tool_calls"]


@pytest.mark.slow
def test_cancelling_just_as_a_turn_begins_to_wait(api: Api) -> None:
    """Whenever the cancellation comes, the turn is over once it is answered."""
    for delay_ms in range(0, 40, 2):
        conversation = weather_man(api, "scripted/tools;pieces=4;gap_ms=4")
        with conversation.streaming() as stream:
            turn_id = stream.until("turn_start").payload["turn_id"]
            time.sleep(delay_ms / 1000)
            assert conversation.cancel(turn_id).status_code == 200
            assert conversation.outcome(turn_id)["status"] == "cancelled"
            stream.rest()
        frames = parse(conversation.replay(turn_id).content)
        assert frames[-1].kind == "turn_complete"


@pytest.mark.parametrize("headers", [RETRY, {"idempotency-key": "k"}])
@pytest.mark.parametrize("stream", [True, False])
def test_a_repeated_resume_joins_the_first(
    api: Api, server: Replaystack, scripted: RunningServer, headers: dict[str, str], stream: bool
) -> None:
    conversation = weather_man(api)
    turn_id = waiting(conversation)["turn_id"]
    scripted.reset()
    scripted.queue("text;chunks=3;gap_ms=150")
    first = {} if headers is RETRY else headers

    def repeated(own: Conversation) -> httpx.Response:
        wait_until(lambda: scripted.counts()["requests"])
        return own.resume(turn_id, rain(), stream=stream, headers=headers)

    work = [lambda own: own.resume(turn_id, rain(), stream=stream, headers=first), repeated, repeated]
    answers = [*at_once(server, conversation, *work), repeated(conversation)]
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.content.replace(b": \n", b"") for answer in answers}) == 1
    assert scripted.counts()["requests"] == 1
    if stream:
        frames = parse(answers[-1].content)
        assert frames[0].payload["step_type"] == "tool_execution" and text_of(frames) == ANSWER
    other = conversation.resume(turn_id, rain(content="snow"), headers=headers)
    check_error(other, 409)


def test_a_repeated_turn_that_abandoned_another_joins_its_own(api: Api, scripted: RunningServer) -> None:
    for _ in range(4):
        conversation = weather_man(api)
        waiting(conversation)
        second = waiting(conversation, "second")
        repeated = conversation.post("second", headers=RETRY)
        assert repeated.json() == second
        assert len(conversation.show()["turns"]) == 2


def test_reading_on_over_a_resume(api: Api) -> None:
    conversation = weather_man(api)
    frames = parse(conversation.streamed())
    turn_id = frames[0].payload["turn_id"]
    assert parse(conversation.replay(turn_id).content) == frames, "it ends where the turn waits"
    assert conversation.replay(turn_id, {"last-event-id": frames[-1].id}).content == b""
    more = parse(conversation.resume(turn_id, rain(), stream=True).content)
    whole = parse(conversation.replay(turn_id).content)
    assert whole == [*frames, *more]
    for index, frame in enumerate(whole):
        assert parse(conversation.replay(turn_id, {"last-event-id": frame.id}).content) == whole[index + 1 :]


def test_two_readers_of_a_resume(api: Api, server: Replaystack, scripted: RunningServer) -> None:
    conversation = weather_man(api)
    before = parse(conversation.streamed())
    turn_id = before[0].payload["turn_id"]
    scripted.queue("text;chunks=8;gap_ms=40")
    found: list[list[Frame]] = []

    def read(own: Conversation) -> httpx.Response:
        wait_until(lambda: own.get(turn_id).headers["x-turn-status"] == "running")
        answer = own.replay(turn_id, {"last-event-id": before[-1].id})
        found.append(parse(answer.content))
        return answer

    work = [lambda own: own.resume(turn_id, rain(), stream=True), read, read]
    at_once(server, conversation, *work)
    assert found[0] == found[1] and kinds(found[0])[-1] == "turn_complete"
    assert parse(conversation.replay(turn_id).content) == [*before, *found[0]]


def test_a_reader_of_a_call_that_stalls_holds_up_nobody(api: Api, server: Replaystack) -> None:
    """It asks for the stream of a huge call and takes nothing of it."""
    large = "{" + f'"city":"{"x" * 400_000}"' + "}"
    conversation = weather_man(api, f"scripted/tools;pieces=200;arguments={large}")
    turn_id = waiting(conversation)["turn_id"]
    head = f"GET {conversation.path}/turn/{turn_id}/stream HTTP/1.1\r\nhost: localhost\r\n\r\n"
    with socket.socket() as stalled:
        stalled.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        stalled.connect(("127.0.0.1", int(server.url.rpartition(":")[2])))
        stalled.sendall(head.encode())
        assert conversation.resume(turn_id, rain()).status_code == 200
        assert len(conversation.replay(turn_id).content) > 1_600_000


@pytest.mark.slow
def test_a_crash_while_a_tool_is_awaited(fresh_server: FreshServer, scripted: RunningServer) -> None:
    server = fresh_server()
    with server.http() as client:
        conversation = weather_man(Api(client))
        frames = parse(conversation.streamed())
        turn = frames[-1].payload["turn"]
        server.kill9()
    scripted.reset()
    server.start()
    with server.http() as client:
        found = again(client, conversation)
        assert found.get(turn["turn_id"]).json() == turn
        assert found.outcome(turn["turn_id"])["status"] == "awaiting_input"
        assert parse(found.replay(turn["turn_id"]).content) == frames
        assert scripted.counts()["requests"] == 0, "there is nothing to run"
        more = parse(found.resume(turn["turn_id"], rain(), stream=True).content)
        assert more[-1].kind == "turn_complete" and text_of(more) == ANSWER
        assert parse(found.replay(turn["turn_id"]).content) == [*frames, *more]
        assert messages(scripted) == [("user", "Hello"), CALLED, ("tool", "rain")]
        waiting(found, "goes on")
    server.check_healthy()


def test_a_crash_during_a_resume(fresh_server: FreshServer, scripted: RunningServer) -> None:
    """The response is not lost and not executed twice: the inference behind it is run again."""
    server = fresh_server()
    with server.http() as client:
        conversation = weather_man(Api(client))
        turn_id = waiting(conversation)["turn_id"]
        scripted.queue("stall;chunks=1")
        path = f"{conversation.path}/turn/{turn_id}/resume"
        with client.stream("POST", path, json={"tool_responses": [rain()], "stream": True}) as answer:
            next(line for line in answer.iter_lines() if '"text"' in line)
            server.kill9()
    server.start()
    with server.http() as client:
        found = again(client, conversation)
        wait_until(lambda: found.outcome(turn_id)["status"] == "completed")
        turn = found.get(turn_id).json()
        assert turn["output_message"]["content"] == ANSWER
        assert [step["step_type"] for step in turn["steps"]] == ["inference", "tool_execution", "inference"]
        assert turn["steps"][1]["tool_calls"] == [CALL]
        check_error(found.resume(turn_id, rain(content="snow")), 409, "completed")
        retried = found.resume(turn_id, rain(), stream=True, headers=RETRY)
        assert parse(retried.content)[-1].payload["turn"] == turn
        assert parse(retried.content)[0].payload["step_type"] == "tool_execution"
        assert messages(scripted) == [("user", "Will it rain?"), CALLED, ("tool", "rain")]
    server.check_healthy()


def test_a_crash_between_two_calls(fresh_server: FreshServer, scripted: RunningServer) -> None:
    server = fresh_server()
    with server.http() as client:
        conversation = weather_man(Api(client), "scripted/tools;again=1")
        turn_id = waiting(conversation)["turn_id"]
        second = conversation.resume(turn_id, rain(content="rain 1")).json()
        server.kill9()
    server.start()
    with server.http() as client:
        found = again(client, conversation)
        assert found.get(turn_id).json() == second
        scripted.queue("text;chunks=3")
        turn = found.resume(turn_id, rain(content="rain 2")).json()
        assert len(turn["steps"]) == 5 and turn["output_message"]["content"] == ANSWER
        assert messages(scripted)[1:] == [CALLED, ("tool", "rain 1"), CALLED, ("tool", "rain 2")]
    server.check_healthy()
