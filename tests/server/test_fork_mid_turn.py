"""Forks in the middle of a turn: at each of its events, while it runs, and where it waits for a client or for decisions."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from tests.cli.folders import replaystack
from tests.server.api import ANSWER, Api, Conversation, Frame, check_error, kinds, parse, text_of
from tests.server.conftest import FreshServer
from tests.server.process import Replaystack, wait_until
from tests.server.test_approvals import approvals, decide
from tests.server.test_code_mode import Journal, journal, result_of, written
from tests.server.test_fork import fork, turn_ids
from tests.server.tool_calls import NOT_EXECUTED, messages, rain, waiting, weather_man
from tests.servers.processes import RunningServer

__all__ = ["journal", "written"]

pytestmark = pytest.mark.slow

STALL = "scripted/stall;chunks=2"


def events_of(http: httpx.Client, turn_id: str) -> list[dict[str, Any]]:
    """The events of a turn, with their positions."""
    answer = http.get("/v1alpha/events", params={"stream": f"turn/{turn_id}"})
    found: list[dict[str, Any]] = answer.raise_for_status().json()["data"]
    return found


def version_of(frame: Frame) -> int:
    return int(frame.id.partition(".")[0])


def as_copied(raw: bytes, parent: Conversation, turn_id: str, other: Conversation, copy: str) -> bytes:
    """Frames of a turn with the ids of its copy."""
    raw = raw.replace(turn_id.encode(), copy.encode())
    return raw.replace(parent.session_id.encode(), other.session_id.encode())


def test_a_fork_at_each_event_has_the_frames_up_to_it(api: Api) -> None:
    parent = weather_man(api)
    turn = waiting(parent)
    parent.resume(turn["turn_id"], rain()).raise_for_status()
    turn_id = turn["turn_id"]
    before = parent.show()
    whole = parent.replay(turn_id).content
    frames = parse(whole)
    events = events_of(api.http, turn_id)
    assert len(events) == 10, [one["name"] for one in events]
    for number, event in enumerate(events, 1):
        other = fork(parent, event=event["position"])
        [copy] = turn_ids(other)
        raw = other.replay(copy).content
        if number == len(events):
            assert copy == turn_id and raw == whole
            continue
        assert copy != turn_id
        awaits = event["name"] == "turn.awaiting_input"
        end = [] if awaits else parse(raw)[-1:]
        own = raw[: len(raw) - sum(len(f"id: {one.id}\ndata: {one.data}\n\n".encode()) for one in end)]
        assert as_copied(whole, parent, turn_id, other, copy).startswith(own)
        seen = [frame.id for frame in frames if frame.kind != "step_progress" and version_of(frame) <= number]
        assert [frame.id for frame in parse(own) if frame.kind != "step_progress"] == seen
        copied = events_of(api.http, copy)
        assert [one["name"] for one in copied[:number]] == [one["name"] for one in events[:number]]
        status = other.outcome(copy)["status"]
        assert status == ("awaiting_input" if awaits else "cancelled")
        answer = other.post("And now?")
        assert answer.status_code == 200, answer.text
    assert parent.show() == before
    assert parent.replay(turn_id).content == whole


def test_a_turn_that_awaits_its_client_is_resumed_in_each_fork(api: Api, scripted: RunningServer) -> None:
    parent = weather_man(api)
    turn = waiting(parent)
    other = fork(parent, turn_id=turn["turn_id"])
    [copy] = turn_ids(other)
    assert other.get(copy).json()["output_message"] == turn["output_message"]
    left_out = fork(parent)
    assert turn_ids(left_out) == []
    done = other.resume(copy, rain(content="snow"))
    assert done.json()["output_message"]["content"] == ANSWER
    assert ("tool", "snow") in messages(scripted)
    assert parent.outcome(turn["turn_id"])["status"] == "awaiting_input"
    done = parent.resume(turn["turn_id"], rain(content="sun"))
    assert done.json()["output_message"]["content"] == ANSWER
    assert ("tool", "sun") in messages(scripted)
    # The parent ended its turn; a fork where it waits can still be made.
    awaited = next(
        one for one in events_of(api.http, turn["turn_id"]) if one["name"].startswith("turn.awaiting_input")
    )
    third = fork(parent, event=awaited["position"])
    [copy] = turn_ids(third)
    third.post("Never mind.")
    assert third.outcome(copy)["status"] == "abandoned"
    assert ("tool", NOT_EXECUTED) in messages(scripted)


def test_a_step_is_a_point_too(api: Api, scripted: RunningServer) -> None:
    parent = weather_man(api)
    turn = waiting(parent)
    parent.resume(turn["turn_id"], rain(content="hail")).raise_for_status()
    [asked, told, _] = parent.get(turn["turn_id"]).json()["steps"]
    other = fork(parent, step_id=told["step_id"])
    [copy] = other.show()["turns"]
    assert [step["step_id"] for step in copy["steps"]] == [asked["step_id"], told["step_id"]]
    again = fork(other, step_id=asked["step_id"], turn_id=copy["turn_id"])
    [copy] = again.show()["turns"]
    assert [step["step_id"] for step in copy["steps"]] == [asked["step_id"]]
    check_error(again.http.post(f"{again.path}/fork", json={"step_id": told["step_id"]}), 404, "step_id")
    other.turn("So?")
    assert ("tool", "hail") in messages(scripted)


def test_a_running_turn_is_cancelled_in_the_fork_and_runs_on(api: Api, scripted: RunningServer) -> None:
    parent = api.conversation()
    before = parent.turn("before")
    agent_id = api.create_agent(STALL)
    parent = fork(parent, agent_id=agent_id)
    with parent.streaming("Stall") as stream:
        turn_id = stream.until("turn_start").payload["turn_id"]
        stream.until("step_progress")
        path = f"{parent.path}/fork"
        other = fork(parent, turn_id=turn_id, agent_id=api.create_agent())
        assert parent.outcome(turn_id)["status"] == "running"
        shared, copy = other.show()["turns"]
        assert shared == before
        assert (other.outcome(copy["turn_id"])["status"], copy["completed_at"] is not None) == (
            "cancelled",
            True,
        )
        other.turn("next")
        [user, answer, last] = messages(scripted)
        assert (user[1], last[1]) == ("before", "next"), "the cancelled turn had produced nothing"
        check_error(api.http.post(path, json={"turn_id": turn_id, "event": 1}), 400, "event")
        left_out = fork(parent)
        assert turn_ids(left_out) == [before["turn_id"]]
        check_error(other.cancel(before["turn_id"]), 409)
        assert parent.cancel(turn_id).status_code == 200
    assert answer[0] == "assistant"


def test_a_turn_continues_in_the_fork(api: Api, server: Replaystack) -> None:
    parent = weather_man(api, "scripted/tools")
    turn = waiting(parent)
    parent.resume(turn["turn_id"], rain()).raise_for_status()
    told = parent.get(turn["turn_id"]).json()["steps"][1]
    other = fork(parent, step_id=told["step_id"], **{"continue": True})
    [copy] = turn_ids(other)
    frames = parse(other.replay(copy).content)
    assert frames[-1].kind == "turn_complete"
    assert text_of(frames).endswith(ANSWER)
    assert other.outcome(copy)["status"] == "completed"
    assert "turn.restarted" in [one["name"] for one in events_of(api.http, copy)]
    assert kinds(frames)[:2] == ["turn_start", "step_start"]
    checked = replaystack("replay", other.session_id, "--check", "--url", server.url)
    assert checked.returncode == 0 and "identical: 1 turn" in checked.stdout, checked
    # From its first event: the whole turn is run again.
    first = events_of(api.http, turn["turn_id"])[0]["position"]
    again = fork(parent, event=first, **{"continue": True})
    [copy] = turn_ids(again)
    wait_until(lambda: again.outcome(copy)["status"] == "awaiting_input")
    body = {"turn_id": copy, "continue": True}
    check_error(again.http.post(f"{again.path}/fork", json=body), 400, "continue", "resume")


def test_a_fork_has_approvals_of_its_own(journal: Journal) -> None:
    """In the middle of code that called one tool, and waits for the approval of another one."""
    code = "x = [write(line='one')]\nx.append(sign(line='signed'))\nx.append(write(line='last'))\nx"
    parent = journal.conversation(code)
    waiting = parent.post("Go.")
    assert waiting.headers["x-turn-status"] == "awaiting_input", waiting.text
    other = fork(parent, turn_id=waiting.json()["turn_id"])
    [copy] = turn_ids(other)
    pending = {one["turn_id"]: one for one in approvals(parent.api)}
    assert set(pending) == {waiting.json()["turn_id"], copy}
    original, own = pending[waiting.json()["turn_id"]], pending[copy]
    assert own["approval_id"] != original["approval_id"] and own["digest"] == original["digest"]
    assert own["session_id"] == other.session_id and own["deadline"] >= original["deadline"]
    effects = parent.http.get("/v1alpha/effects").json()["data"]
    assert {one["turn_id"] for one in effects} == {waiting.json()["turn_id"]}
    journal.killed(parent)
    api = journal.api()
    parent, other = (Conversation(api, one.agent_id, one.session_id) for one in (parent, other))
    assert decide(api, own["approval_id"], decision="approve").status_code == 200
    other.replay(copy)
    wait_until(lambda: other.outcome(copy)["status"] == "completed")
    assert result_of(other.get(copy).json()) == "['wrote one', 'wrote signed', 'wrote last']"
    assert journal.lines == ["one", "signed", "last"], "the first call was not made again"
    [left] = approvals(api)
    assert left["approval_id"] == original["approval_id"]
    assert decide(api, left["approval_id"], decision="deny").status_code == 200
    parent.replay(original["turn_id"])
    assert journal.lines == ["one", "signed", "last"]
    effects = api.http.get("/v1alpha/effects").json()["data"]
    keys = [one["key"] for one in effects]
    assert len(keys) == len(set(keys)) and all(one["status"] != "unknown" for one in effects)
    made = [
        json.loads(one["arguments"])["line"] for one in effects if one["turn_id"] == copy and one["parent"]
    ]
    assert made == ["signed", "last"]


def test_a_call_that_ran_is_unknown_in_the_fork_and_not_to_be_settled_there(journal: Journal) -> None:
    parent = journal.conversation("print(write(line='one'))")
    turn = parent.turn("Go.")
    events = events_of(parent.http, turn["turn_id"])
    called = [one for one in events if one["name"].startswith("turn.tool_called")]
    for event in called:
        other = fork(parent, event=event["position"])
        [copy] = turn_ids(other)
        assert other.outcome(copy)["status"] == "cancelled"
        [step] = [one for one in other.get(copy).json()["steps"] if one["step_type"] == "tool_execution"]
        assert "unknown" in str(step["tool_responses"][0]["content"]) or "not executed" in str(
            step["tool_responses"][0]["content"]
        )
    effects = parent.http.get("/v1alpha/effects", params={"status": "unknown"}).json()["data"]
    assert effects == []
    assert journal.lines == ["one"]


def test_a_fork_survives_a_kill(fresh_server: FreshServer) -> None:
    """A turn that continues in a fork is taken up by the next start, and a fork that was acknowledged is there."""
    server: Replaystack = fresh_server()
    with server.http() as http:
        api = Api(http)
        parent = api.conversation("scripted/stall;chunks=2;times=2")
        with parent.streaming("Go") as stream:
            turn_id = stream.until("turn_start").payload["turn_id"]
            stream.until("step_progress")
            other = fork(parent, turn_id=turn_id, **{"continue": True})
            plain = fork(parent)
            server.kill9()
    server.start()
    with server.http() as http:
        api = Api(http)
        other, plain = (Conversation(api, one.agent_id, one.session_id) for one in (other, plain))
        [copy] = turn_ids(other)
        assert copy != turn_id
        wait_until(lambda: other.outcome(copy)["status"] == "completed")
        assert turn_ids(plain) == []
        server.check_healthy()
