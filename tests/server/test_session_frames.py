"""Playback of sessions: every kind of turn comes back byte for byte as its caller got it."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

import pytest

from tests.server.api import Api, Conversation, Stream, check_error, kinds, parse
from tests.server.conftest import FreshServer
from tests.server.playback import (
    check_played,
    frames_page,
    played,
    streams_in,
    streams_of,
    without_keep_alive,
)
from tests.server.process import Replaystack, wait_until
from tests.server.test_damaged_events import again, damage
from tests.server.test_fork import fork
from tests.server.tool_calls import WEATHER, rain
from tests.servers.processes import RunningServer

CODE = 'tools;name=code_interpreter;arguments={"code":"6 * 7"}'
GROUP = "builtin::code_interpreter"
PAGE_BYTES = 4096


@pytest.fixture(scope="module")
def players(
    tmp_path_factory: pytest.TempPathFactory, scripted_server: RunningServer
) -> Iterator[Replaystack]:
    """A server whose pages are small, and whose code needs approval."""
    data = tmp_path_factory.mktemp("players") / "data"
    groups = json.dumps([{"id": GROUP, "approval": [{}]}])
    settings = {"keep_alive_s": 0.2, "hold_back_ms": 300, "shutdown_grace_s": 30}
    environment = {"REPLAYSTACK_TOOLGROUPS": groups}
    with Replaystack(
        data, model_url=scripted_server.base_url, settings=settings, environment=environment
    ) as server:
        yield server
        server.check_healthy()


@pytest.fixture
def api(players: Replaystack, scripted: RunningServer) -> Iterator[Api]:
    with players.http() as http:
        yield Api(http)


def test_turns_of_every_kind(api: Api, scripted: RunningServer) -> None:
    """Completed, with tools of the client, approvals and code, failed early and late, cancelled, abandoned, waiting."""
    conversation = api.conversation("scripted/text", client_tools=[WEATHER], toolgroups=[GROUP])
    live: list[bytes] = []
    scripted.queue("text;chunks=12;gap_ms=3")
    live.append(conversation.streamed("Plain, with naïve – 漢字 🎉 \u2028 text"))

    scripted.queue("tools;name=weather;pieces=4", "text;chunks=2")
    live.append(conversation.streamed("A tool of the client"))
    turn_id = conversation.show()["turns"][-1]["turn_id"]
    live[-1] += conversation.resume(turn_id, rain(), stream=True).content

    scripted.queue(CODE, "text;chunks=2")
    live.append(conversation.streamed("Code that needs approval"))
    [approval] = api.http.get("/v1alpha/approvals", params={"status": "pending"}).json()["data"]
    answer = api.http.post(f"/v1alpha/approvals/{approval['approval_id']}", json={"decision": "approve"})
    assert answer.status_code == 200, answer.text
    turn_id = conversation.show()["turns"][-1]["turn_id"]
    live[-1] = conversation.replay(turn_id).content

    scripted.queue("status;code=400")
    assert conversation.post("Fails early", stream=True).status_code == 400
    live.append(conversation.replay(conversation.show()["turns"][-1]["turn_id"]).content)
    scripted.queue("cut;chunks=2;gap_ms=20")
    live.append(conversation.streamed("Fails late"))

    scripted.queue("stall;chunks=2")
    with conversation.streaming("Cancelled") as stream:
        turn_id = stream.until("turn_start").payload["turn_id"]
        stream.until("step_progress")
        assert conversation.cancel(turn_id).status_code == 200
        live.append(stream.rest())

    scripted.queue("tools;name=weather", "text;chunks=3", "tools;name=weather")
    conversation.streamed("Abandoned")
    turn_id = conversation.show()["turns"][-1]["turn_id"]
    not_streamed = conversation.turn("Not streamed")["turn_id"]
    live += [conversation.replay(turn_id).content, conversation.replay(not_streamed).content]
    live.append(conversation.streamed("Waits"))

    check_played(conversation, live)
    last = [parse(stream)[-1].kind for stream in live]
    assert last == [
        "turn_complete", "turn_complete", "turn_complete", "error", "error", "turn_complete", "turn_complete",
        "turn_complete", "turn_awaiting_input",
    ]  # fmt: skip


def test_a_fork_plays_the_turns_that_it_shares(api: Api) -> None:
    """Also those of a parent that was deleted, and the copy of a part of a turn."""
    conversation = api.conversation()
    live = [conversation.streamed("one"), conversation.streamed("two")]
    rows = frames_page(conversation)["data"]
    last = conversation.show()["turns"][-1]
    whole = fork(conversation)
    part = fork(conversation, turn_id=last["turn_id"], step_id=last["steps"][-1]["step_id"])
    third = whole.streamed("three")
    check_played(whole, [*live, third])
    assert frames_page(whole)["data"][: len(rows)] == rows
    for one in (part, fork(part)):
        shown = streams_of(played(one).content)
        assert shown[1] == without_keep_alive(live[0])
        assert parse(shown[2])[0].kind == "turn_start"
        check_played(one, list(shown.values()))
    api.http.delete(conversation.path).raise_for_status()
    check_played(whole, [*live, third])


def test_times_are_those_of_the_chunks(api: Api) -> None:
    conversation = api.conversation("scripted/text;chunks=4;gap_ms=40")
    conversation.turn()
    page = frames_page(conversation)
    at = {row[2]: row[1] for row in page["data"]}
    start, *chunks, complete = [
        at[row[2]] for row in page["data"] if row[2].startswith("2.") or row[2] == "3.0"
    ]
    assert start <= chunks[0] and chunks[-1] <= complete
    assert 60 <= chunks[-1] - chunks[0] < 30_000
    [turn] = page["turns"]
    [shown] = conversation.show()["turns"]
    assert turn["started_at"] == shown["started_at"] and "damage" not in turn


def test_a_session_without_turns(api: Api) -> None:
    conversation = api.conversation()
    assert frames_page(conversation) == {"data": [], "turns": [], "next": "0.0.0", "has_more": False}
    empty = played(conversation)
    assert (empty.status_code, empty.content) == (200, b"")
    assert frames_page(conversation, "0.0.0")["data"] == []
    check_error(api.http.get(f"{conversation.path}/frames?after=1.1.0"), 400, "the session has 0")
    for wrong in ("1", "1.2", "a.b.c", "1.2.-3", "1.2.3.4", "1." + "9" * 50 + ".0"):
        check_error(api.http.get(f"{conversation.path}/frames?after={wrong}"), 400, "after", "2.3.17")
        check_error(played(conversation, headers={"last-event-id": wrong}), 400, "Last-Event-ID")


def test_a_session_that_is_not_there(api: Api) -> None:
    conversation = api.conversation()
    conversation.turn()
    other = api.conversation()
    wrong = Conversation(api, other.agent_id, conversation.session_id)
    api.http.delete(conversation.path).raise_for_status()
    for missing in (conversation, wrong):
        check_error(api.http.get(f"{missing.path}/frames"), 404, conversation.session_id)
        check_error(played(missing), 404, conversation.session_id)


def test_each_place_continues_after_that_frame(api: Api) -> None:
    conversation = api.conversation()
    live = [conversation.streamed("one"), conversation.streamed("two")]
    whole = played(conversation).content
    frames = parse(whole)
    rows = frames_page(conversation)["data"]
    assert [f"{turn}.{id}" for turn, _, id, _ in rows] == [frame.id for frame in frames]
    for index, frame in enumerate(frames):
        rest = frames_page(conversation, frame.id)
        assert rest["data"] == rows[index + 1 :]
        assert rest["next"] == frames[-1].id
        if index + 1 < len(frames):
            assert (
                parse(played(conversation, headers={"last-event-id": frame.id}).content)
                == frames[index + 1 :]
            )
            assert parse(played(conversation, f"?after={frame.id}").content) == frames[index + 1 :]
    assert frames_page(conversation, "2.0.0")["data"] == [row for row in rows if row[0] == 2]
    assert streams_of(whole) == {1: without_keep_alive(live[0]), 2: without_keep_alive(live[1])}
    # A client that reconnects sends the header in addition to its first query.
    last = {"last-event-id": frames[-1].id}
    assert played(conversation, "?after=1.1.0", last).status_code == 204


def test_a_running_turn(api: Api) -> None:
    """Its frames so far are on the page, before they are recorded; the stream follows it to its end."""
    conversation = api.conversation("scripted/text;chunks=30;gap_ms=30")
    first = conversation.streamed("one")
    with conversation.streaming("two") as stream:
        for _ in range(3):
            stream.until("step_progress")
        seen = stream.raw
        answer = api.http.get(f"{conversation.path}/frames")
        page = answer.json()
        streams = streams_in(answer.content)
        assert streams[1] == without_keep_alive(first)
        assert len(streams[2]) >= len(seen[: seen.rfind(b"\n\n") + 2])
        assert [turn["status"] for turn in page["turns"]] == ["completed", "running"]
        rest = played(conversation, headers={"last-event-id": page["next"]})
        second = without_keep_alive(stream.rest())
    assert streams[2] + streams_of(without_keep_alive(rest.content)).get(2, b"") == second
    assert second.startswith(streams[2])
    whole = frames_page(conversation)
    assert whole["data"][: len(page["data"])] == page["data"], "also the times"
    check_played(conversation, [first, second])


def test_a_page_continues_a_running_turn(api: Api) -> None:
    conversation = api.conversation("scripted/text;chunks=40;gap_ms=10")
    collected: dict[int, bytes] = {}
    with conversation.streaming() as stream:
        stream.until("step_progress")
        after = "0.0.0"
        while True:
            answer = api.http.get(f"{conversation.path}/frames", params={"after": after})
            page = answer.json()
            for turn, raw in streams_in(answer.content).items():
                collected[turn] = collected.get(turn, b"") + raw
            after = page["next"]
            statuses = {turn["status"] for turn in page["turns"]}
            if not page["has_more"] and statuses == {"completed"}:
                break
            time.sleep(0.01)
        live = stream.rest()
    assert collected == {1: without_keep_alive(live)}


def test_a_stream_continues_with_turns_that_begin_meanwhile(api: Api) -> None:
    conversation = api.conversation("scripted/text;chunks=10;gap_ms=20")
    first = conversation.streamed("one")
    with api.http.stream("GET", f"{conversation.path}/stream?speed=1") as answer:
        stream = Stream(answer)
        stream.until("turn_start")
        second = conversation.streamed("two")
        raw = without_keep_alive(stream.rest())
    assert streams_of(raw) == {1: without_keep_alive(first), 2: without_keep_alive(second)}


@pytest.mark.slow
def test_the_pace(api: Api) -> None:
    conversation = api.conversation("scripted/text;chunks=3;gap_ms=150")
    live = [without_keep_alive(conversation.streamed("one"))]
    time.sleep(0.5)
    live.append(without_keep_alive(conversation.streamed("two")))
    took: dict[str, float] = {}
    for query in ("?speed=1&max_pause_s=0", "?speed=1&max_pause_s=all", "?speed=10", "?speed=max", ""):
        began = time.monotonic()
        raw = played(conversation, query).content
        took[query] = time.monotonic() - began
        assert streams_of(raw) == {1: live[0], 2: live[1]}, query
    folded, kept, *_ = took.values()
    assert folded > 0.5, "two answers of 300 ms were recorded"
    assert kept > 1.0, "and half a second between them"
    assert b": \n" in played(conversation, "?speed=0.6&max_pause_s=0").content, "it is kept alive"


def test_wrong_paces_are_refused(api: Api) -> None:
    conversation = api.conversation()
    for wrong in ("fast", "-1", "nan", "inf", "1e999", "0.001"):
        check_error(played(conversation, f"?speed={wrong}"), 400, "speed", "0.01 or more")
    for wrong in ("long", "-1", "nan", "inf"):
        check_error(played(conversation, f"?max_pause_s={wrong}"), 400, "max_pause_s", "all")
    check_error(played(conversation, "?sped=1"), 400, "`speed`")


@pytest.mark.slow
def test_two_readers_at_different_speeds(api: Api) -> None:
    conversation = api.conversation("scripted/text;chunks=6;gap_ms=50")
    live = without_keep_alive(conversation.streamed())
    with api.http.stream("GET", f"{conversation.path}/stream?speed=0.5") as answer:
        slow = Stream(answer)
        slow.until("step_progress")
        assert streams_of(played(conversation).content) == {1: live}
        assert streams_of(played(conversation, "?speed=4").content) == {1: live}
        assert streams_of(without_keep_alive(slow.rest())) == {1: live}


@pytest.mark.slow
def test_a_shutdown_ends_a_slow_playback_which_then_continues(fresh_server: FreshServer) -> None:
    server = fresh_server(shutdown_grace_s=300)
    with server.http() as http:
        conversation = Api(http).conversation("scripted/text;chunks=5;gap_ms=100")
        live = without_keep_alive(conversation.streamed())
        with http.stream("GET", f"{conversation.path}/stream?speed=0.01") as answer:
            stream = Stream(answer)
            stream.until("turn_start")
            assert server.stop() == 0, "it does not wait for the reader"
            seen = without_keep_alive(stream.rest())
    server.start()
    with server.http() as http:
        conversation = again(http, conversation)
        rest = played(conversation, headers={"last-event-id": parse(seen)[-1].id}).content
        assert streams_of(seen + rest) == {1: live}


@pytest.mark.slow
def test_a_turn_that_a_crash_interrupted(fresh_server: FreshServer, scripted: RunningServer) -> None:
    """Chunks that were shown and not recorded are not played; the start of both attempts is."""
    server = fresh_server()
    with server.http() as http:
        conversation = Api(http).conversation("scripted/text;chunks=3")
        first = conversation.streamed("one")
        scripted.queue("stall;chunks=2")
        with conversation.streaming("two") as stream:
            turn_id = stream.until("turn_start").payload["turn_id"]
            stream.until("step_progress")
            server.kill9()
    server.start()
    with server.http() as http:
        conversation = again(http, conversation)
        whole = played(conversation)
        second = conversation.replay(turn_id).content
        frames = parse(second)
        assert [frame.kind for frame in frames].count("step_start") == 2
        assert kinds(frames) == [
            "turn_start",
            "step_start",
            "step_progress",
            "step_complete",
            "turn_complete",
        ]
        assert streams_of(without_keep_alive(whole.content)) == {1: without_keep_alive(first), 2: second}
        check_played(conversation, [first, second])


def test_damaged_turns_are_shown_as_far_as_they_can_be(fresh_server: FreshServer) -> None:
    names = ("turn.started", "turn.step_started", "turn.step_completed", "turn.completed")
    server = fresh_server()
    with server.http() as http:
        conversation = Api(http).conversation()
        turn_ids = [conversation.turn(name)["turn_id"] for name in (*names, "whole")]
        whole = conversation.replay(turn_ids[-1]).content
    server.kill9()
    for name, turn_id in zip(names, turn_ids, strict=False):
        damage(server, name, f"turn/{turn_id}")
    server.start()
    with server.http() as http:
        conversation = again(http, conversation)
        page = frames_page(conversation)
        assert [turn["status"] for turn in page["turns"]] == ["completed"] * 5
        for number, name in enumerate(names):
            [damaged] = page["turns"][number]["damage"]
            assert name in damaged and "replaystack verify" in damaged
        assert "damage" not in page["turns"][-1]
        streams = streams_of(played(conversation).content)
        assert streams == {number: conversation.replay(id).content for number, id in enumerate(turn_ids, 1)}
        assert streams[5] == whole
        assert kinds(parse(streams[3])) == ["turn_start", "step_start", "turn_complete"]
        assert kinds(parse(streams[2])) == ["turn_start", "step_progress", "step_complete", "turn_complete"]
        ids = [tuple(map(int, frame.id.split("."))) for frame in parse(played(conversation).content)]
        assert ids == sorted(set(ids))


def test_long_sessions_come_in_pages(fresh_server: FreshServer) -> None:
    server = fresh_server(max_page_bytes=PAGE_BYTES)
    with server.http() as http:
        conversation = Api(http).conversation("scripted/text;chunks=12")
        live = {number: without_keep_alive(conversation.streamed()) for number in range(1, 6)}
        collected: dict[int, bytes] = {}
        after, pages = "", 0
        while True:
            query = {"after": after} if after else {}
            answer = http.get(f"{conversation.path}/frames", params=query)
            page = answer.json()
            assert len(page["data"]) == 1 or len(answer.content) < PAGE_BYTES + 1000
            assert sorted({row[0] for row in page["data"]}) == [turn["turn"] for turn in page["turns"]]
            for turn, raw in streams_in(answer.content).items():
                collected[turn] = collected.get(turn, b"") + raw
            after, pages = page["next"], pages + 1
            if not page["has_more"]:
                break
        assert collected == live and pages > 4


def test_a_reader_that_leaves_ends_the_work(players: Replaystack, api: Api) -> None:
    conversation = api.conversation("scripted/text;chunks=3;gap_ms=50")
    conversation.turn()
    before = players.state()
    with api.http.stream("GET", f"{conversation.path}/stream?speed=0.01") as answer:
        Stream(answer).until("turn_start")
    wait_until(lambda: len(players.state()["tasks"]) <= len(before["tasks"]))
    assert streams_of(played(conversation).content)[1].endswith(b"\n\n")
