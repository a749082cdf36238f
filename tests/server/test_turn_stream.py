"""Turns over HTTP, streamed: frames, replay, followers, and what fails in the middle."""

from __future__ import annotations

import re
import socket
import threading
import time
from typing import Any

import pytest

from tests.server.api import ANSWER, Api, Conversation, Frame, check_error, kinds, parse, text_of
from tests.server.process import Replaystack, wait_until
from tests.servers.processes import RunningServer

ORDER = ["turn_start", "step_start", "step_progress", "step_complete", "turn_complete"]


def without_keep_alive(raw: bytes) -> bytes:
    return raw.replace(b": \n", b"")


def position(frame: Frame) -> tuple[int, int]:
    version, number = frame.id.split(".")
    return int(version), int(number)


def test_a_streamed_turn(conversation: Conversation) -> None:
    answer = conversation.post("Hello", stream=True, headers={"accept": "application/json"})
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.headers["cache-control"] == "no-cache, no-transform"
    assert re.fullmatch(r"[0-9a-f]{32}", answer.headers["x-trace-id"])
    frames = parse(answer.content)
    assert kinds(frames) == ORDER
    assert text_of(frames) == ANSWER

    start, step_start, *progress, step_complete, turn_complete = frames
    turn_id = start.payload["turn_id"]
    assert answer.headers["x-turn-id"] == turn_id
    assert start.payload == {"event_type": "turn_start", "turn_id": turn_id}
    step_id = step_start.payload["step_id"]
    assert step_start.payload == {"event_type": "step_start", "step_type": "inference", "step_id": step_id}
    for frame, word in zip(progress, ("The", " answer", " comes"), strict=True):
        assert frame.payload == {
            "event_type": "step_progress",
            "step_type": "inference",
            "step_id": step_id,
            "delta": {"type": "text", "text": word},
        }
    details = step_complete.payload["step_details"]
    assert step_complete.payload == {
        "event_type": "step_complete", "step_type": "inference", "step_id": step_id, "step_details": details,
    }  # fmt: skip
    whole = turn_complete.payload["turn"]
    assert whole["steps"] == [details]
    assert "tool_calls" not in whole["output_message"]
    assert conversation.get(turn_id).json() == whole
    positions = [position(frame) for frame in frames]
    assert positions == sorted(set(positions)), "ids rise"
    times = [whole["started_at"], details["started_at"], details["completed_at"], whole["completed_at"]]
    assert times == sorted(set(times))


def test_the_bytes_of_a_frame(conversation: Conversation) -> None:
    raw = without_keep_alive(conversation.streamed())
    for frame in raw.split(b"\n\n")[:-1]:
        lines = frame.split(b"\n")
        assert len(lines) == 2
        assert re.fullmatch(rb"id: \d+\.\d+", lines[0]) and lines[1].startswith(b'data: {"event":{"payload":')
    assert raw.endswith(b"}\n\n") and not raw.endswith(b"\n\n\n")
    assert b"event:" not in raw.replace(b'"event":', b"") and b"retry:" not in raw and b"[DONE]" not in raw


def test_a_finished_turn_is_replayed_byte_for_byte(api: Api) -> None:
    conversation = api.conversation("scripted/text;chunks=12;gap_ms=10")
    live = conversation.streamed()
    turn_id = parse(live)[0].payload["turn_id"]
    replayed = conversation.replay(turn_id)
    assert replayed.content == without_keep_alive(live)
    assert replayed.headers["content-type"].startswith("text/event-stream")
    assert conversation.replay(turn_id).content == replayed.content


def test_a_turn_that_was_not_streamed_can_be_replayed(conversation: Conversation) -> None:
    turn = conversation.turn()
    frames = parse(conversation.replay(turn["turn_id"]).content)
    assert kinds(frames) == ORDER and text_of(frames) == ANSWER
    assert frames[-1].payload["turn"] == turn


def test_a_replay_at_the_recorded_pace(api: Api) -> None:
    conversation = api.conversation("scripted/text;chunks=5;gap_ms=60")
    live = conversation.streamed()
    turn_id = parse(live)[0].payload["turn_id"]
    arrivals: list[float] = []
    with conversation.following(turn_id, query="?speed=1") as stream:
        arrivals.extend(time.monotonic() for frame in stream if frame.kind == "step_progress")
    assert without_keep_alive(stream.raw) == without_keep_alive(live)
    assert arrivals[-1] - arrivals[0] > 0.15, "240 ms were recorded"
    replayed = conversation.replay(turn_id, query="?speed=4").content
    assert without_keep_alive(replayed) == without_keep_alive(live)
    for speed in ("fast", "-1", "nan", "inf", "1e999"):
        check_error(conversation.replay(turn_id, query=f"?speed={speed}"), 400, "speed")


def test_last_event_id_continues_behind_that_frame(conversation: Conversation) -> None:
    raw = without_keep_alive(conversation.streamed())
    frames = parse(raw)
    turn_id = frames[0].payload["turn_id"]
    for index, frame in enumerate(frames):
        rest = parse(conversation.replay(turn_id, {"last-event-id": frame.id}).content)
        assert rest == frames[index + 1 :]
    assert parse(conversation.replay(turn_id, {"last-event-id": "0.0"}).content) == frames
    assert conversation.replay(turn_id, {"last-event-id": "99.0"}).content == b""
    for wrong in ("x", "1", "1.", "-1.0", "1.0.0", "9" * 50 + ".0", "1.0x"):
        check_error(conversation.replay(turn_id, {"last-event-id": wrong}), 400, "Last-Event-ID")


def test_last_event_id_continues_a_running_turn(api: Api) -> None:
    conversation = api.conversation("scripted/text;chunks=8;gap_ms=40")
    with conversation.streaming() as stream:
        seen = [stream.until("turn_start"), stream.until("step_progress")]
    turn_id = seen[0].payload["turn_id"]
    rest = parse(conversation.replay(turn_id, {"last-event-id": seen[-1].id}).content)
    whole = parse(conversation.replay(turn_id).content)
    assert rest == whole[whole.index(seen[-1]) + 1 :]
    assert len(text_of(whole)) > len(ANSWER)


def test_two_readers_see_the_same_stream(api: Api) -> None:
    conversation = api.conversation("scripted/text;chunks=10;gap_ms=30")
    with conversation.streaming() as first:
        turn_id = first.until("turn_start").payload["turn_id"]
        first.until("step_progress")
        with conversation.following(turn_id) as second:
            second.until("step_progress")
            second.rest()
        first.rest()
    assert without_keep_alive(first.raw) == without_keep_alive(second.raw)
    assert kinds(parse(first.raw)) == ORDER


def test_a_client_that_leaves_does_not_stop_its_turn(api: Api, scripted: RunningServer) -> None:
    conversation = api.conversation("scripted/text;chunks=6;gap_ms=50")
    with conversation.streaming() as stream:
        turn_id = stream.until("turn_start").payload["turn_id"]
        stream.until("step_progress")
    ended = parse(conversation.replay(turn_id).content)
    assert kinds(ended) == ORDER
    assert conversation.outcome(turn_id)["status"] == "completed"
    assert scripted.counts()["requests"] == 1


@pytest.mark.slow
def test_a_reader_that_stalls_holds_up_nobody(api: Api, server: Replaystack) -> None:
    """It takes nothing of an answer far larger than all socket buffers."""
    conversation = api.conversation("scripted/echo")
    body = b'{"messages":[{"role":"user","content":"%s"}],"stream":true}' % (b"x" * 900_000)
    head = f"POST {conversation.path}/turn HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
    with socket.socket() as stalled:
        stalled.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        stalled.connect(("127.0.0.1", int(server.url.rpartition(":")[2])))
        stalled.sendall(head.encode() + b"content-length: %d\r\n\r\n" % len(body) + body)
        [turn] = wait_until(lambda: conversation.show()["turns"])
        turn_id = turn["turn_id"]
        wait_until(lambda: conversation.outcome(turn_id)["status"] == "completed")
        assert api.conversation().turn()["output_message"]["content"] == ANSWER
        assert len(conversation.replay(turn_id).content) > 900_000
    assert conversation.turn("it goes on")["completed_at"]


@pytest.mark.parametrize(
    ("model", "status"),
    [
        ("scripted/status;code=429;retry_after=9", 429),
        ("scripted/status;code=500", 502),
        ("scripted/status;code=400", 400),
        ("scripted/drop", 502),
        ("scripted/malformed;chunks=0", 502),
        ("scripted/cut;chunks=0", 502),
    ],
)
def test_what_fails_early_has_its_status(api: Api, model: str, status: int) -> None:
    conversation = api.conversation(model)
    answer = conversation.post(stream=True)
    error = check_error(answer, status)
    turn_id = conversation.only_turn_id()
    assert error["instance"].endswith(f"/turn/{turn_id}")
    replayed = parse(conversation.replay(turn_id).content)
    assert kinds(replayed)[-1] == "error"
    assert replayed[-1].value["error"] == {
        "status": status,
        "title": error["title"],
        "detail": error["detail"],
        "message": error["detail"],
    }


@pytest.mark.parametrize(
    ("model", "status", "text"),
    [
        ("scripted/cut;chunks=2;gap_ms=30", 502, "The answer"),
        ("scripted/malformed;chunks=2", 502, "The answer"),
        ("scripted/error;chunks=2", 502, "The answer"),
        ("impatient/stall;chunks=2", 504, "The answer"),
        ("scripted/status;code=500;headers_ms=700", 502, ""),
    ],
)
def test_what_fails_later_ends_the_stream_with_an_error(api: Api, model: str, status: int, text: str) -> None:
    conversation = api.conversation(model)
    raw = without_keep_alive(conversation.streamed())
    frames = parse(raw)
    assert [kind for kind in kinds(frames) if kind != "step_progress"] == [
        "turn_start",
        "step_start",
        "error",
    ]
    assert text_of(frames) == text
    error = frames[-1].value["error"]
    assert set(error) == {"status", "title", "detail", "message"}
    assert error["status"] == status and error["message"] == error["detail"]
    turn_id = frames[0].payload["turn_id"]
    assert conversation.replay(turn_id).content == raw
    assert conversation.get(turn_id).json()["output_message"]["content"] == text
    assert conversation.outcome(turn_id)["error"] == {k: error[k] for k in ("status", "title", "detail")}


def test_the_status_line_is_not_held_back_for_long(api: Api) -> None:
    conversation = api.conversation("scripted/text;chunks=3;headers_ms=1500")
    with conversation.streaming() as stream:
        assert stream.status_code == 200
        turn_id = stream.until("turn_start").payload["turn_id"]
        assert conversation.outcome(turn_id)["status"] == "running"
        assert text_of(stream) == ANSWER


@pytest.mark.slow
def test_a_silent_stream_is_kept_alive(api: Api) -> None:
    """Comment lines without a blank line behind them, before the first token and between two."""
    conversation = api.conversation("scripted/text;chunks=2;first_ms=700;gap_ms=500")
    raw = conversation.streamed()
    assert raw.count(b": \n") >= 3
    assert b"\n\n\n" not in raw and b": \n\n" not in raw
    assert kinds(parse(raw)) == ORDER


def test_a_cancelled_stream_ends_with_its_turn(api: Api) -> None:
    conversation = api.conversation("scripted/stall;chunks=2")
    with conversation.streaming() as stream:
        turn_id = stream.until("turn_start").payload["turn_id"]
        stream.until("step_progress")
        began = time.monotonic()
        assert conversation.cancel(turn_id).status_code == 200
        frames = parse(stream.rest())
        assert time.monotonic() - began < 20.0
    last = frames[-1]
    assert last.kind == "turn_complete"
    assert last.payload["turn"] == conversation.get(turn_id).json()
    assert conversation.outcome(turn_id)["status"] == "cancelled"
    assert conversation.replay(turn_id).content == without_keep_alive(stream.raw)


@pytest.mark.slow
def test_an_answer_without_end_is_broken_off(api: Api) -> None:
    """At the limit of what is kept; what was streamed until then is what is kept."""
    conversation = api.conversation("scripted/flood")
    live = without_keep_alive(conversation.streamed())
    frames = parse(live)
    assert frames[-1].value["error"]["status"] == 502
    text = text_of(frames)
    assert len(text) > 1 << 20
    turn_id = frames[0].payload["turn_id"]
    assert conversation.get(turn_id).json()["output_message"]["content"] == text
    assert conversation.replay(turn_id).content == live
    assert api.http.delete(conversation.path).status_code == 200


def test_many_streams_at_once_do_not_mix(api: Api, server: Replaystack) -> None:
    agent_id = api.create_agent("scripted/text;chunks=7;gap_ms=5")
    found: dict[str, list[Frame]] = {}

    def run(session_id: str) -> None:
        with server.http() as own:
            conversation = Conversation(Api(own), agent_id, session_id)
            found[session_id] = parse(conversation.streamed(f"question of {session_id}"))

    sessions = [api.create_session(agent_id) for _ in range(12)]
    threads = [threading.Thread(target=run, args=(session_id,)) for session_id in sessions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    for session_id in sessions:
        frames = found[session_id]
        assert kinds(frames) == ORDER
        whole: dict[str, Any] = frames[-1].payload["turn"]
        assert whole["session_id"] == session_id
        assert whole["input_messages"][0]["content"] == f"question of {session_id}"
        assert text_of(frames) == whole["output_message"]["content"]


def test_text_of_every_kind_survives_a_stream(api: Api) -> None:
    """Chunks are cut where the model cuts; what is replayed is counted in characters."""
    conversation = api.conversation("scripted/echo")
    said = 'naïve – 漢字 🎉👩‍👩‍👧 \u2028 \\n " \x01 end'
    live = conversation.streamed(said)
    frames = parse(live)
    assert frames[-1].payload["turn"]["input_messages"] == [{"role": "user", "content": said}]
    assert text_of(frames) == frames[-1].payload["turn"]["output_message"]["content"]
    replayed = conversation.replay(frames[0].payload["turn_id"])
    assert replayed.content == without_keep_alive(live)
