"""Refused answers in the log, and shields after restarts and kills. The guard model is a scripted server."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.server.api import Api, Conversation, check_error, parse, text_of
from tests.server.conftest import FreshServer
from tests.server.process import wait_until
from tests.server.shields import ENVIRONMENT, GUARD, REFUSAL, SECRET, SHIELDS, steps_of
from tests.server.test_erasure import found_in
from tests.server.tool_calls import WEATHER, rain
from tests.servers.processes import RunningServer

pytestmark = pytest.mark.slow


def test_the_log_keeps_a_refused_answer_until_it_is_erased(
    fresh_server: FreshServer, scripted: RunningServer, tmp_path: Path
) -> None:
    server = fresh_server(environment=ENVIRONMENT)
    with server.http() as http:
        conversation = Api(http).conversation(output_shields=["answers"])
        scripted.queue(SECRET)
        turn = conversation.turn("What is it?")
        assert turn["output_message"]["content"] == REFUSAL
        server.stop()
    [places] = found_in(server.data, ["xyzzy4711"], tmp_path).values()
    assert places and all(place.startswith("events") for place in places), places
    server.start()
    with server.http() as http:
        again = Conversation(Api(http), conversation.agent_id, conversation.session_id)
        assert again.get(turn["turn_id"]).json() == turn
        assert b"xyzzy4711" not in again.replay(turn["turn_id"]).content
        assert http.delete(conversation.path).status_code == 200
        receipt = f"/v1alpha/erasures/{conversation.session_id}"
        wait_until(lambda: http.get(receipt).json().get("completed_at"), 60)
        server.stop()
    assert found_in(server.data, ["xyzzy4711"], tmp_path) == {}


def test_a_shield_that_is_no_longer_configured_closes(
    fresh_server: FreshServer, scripted: RunningServer
) -> None:
    server = fresh_server(environment=ENVIRONMENT)
    with server.http() as http:
        conversation = Api(http).conversation(
            "scripted/tools", input_shields=["words"], client_tools=[WEATHER]
        )
        turn = conversation.turn("Hello")
    server.stop()
    other = fresh_server(environment={"REPLAYSTACK_SHIELDS": json.dumps(SHIELDS[1:])})
    with other.http() as http:
        again = Conversation(Api(http), conversation.agent_id, conversation.session_id)
        before = scripted.counts()["requests"]
        for refused in (again.resume(turn["turn_id"], rain()), again.post("Hello")):
            check_error(refused, 400, "input_shields", "'words'", "answers")
        assert again.outcome(turn["turn_id"])["status"] == "awaiting_input"
        assert scripted.counts()["requests"] == before


def test_a_recorded_verdict_is_not_asked_for_again_after_kill_9(
    fresh_server: FreshServer, scripted: RunningServer
) -> None:
    server = fresh_server(environment=ENVIRONMENT)
    with server.http() as http:
        conversation = Api(http).conversation("scripted/mute;times=1", input_shields=["guard"])
        with conversation.streaming("Hello") as stream:
            stream.until("step_complete")
            wait_until(lambda: scripted.counts()["by_model"].get("mute;times=1"), 60)
            server.kill9()
    server.start()
    with server.http() as http:
        again = Conversation(Api(http), conversation.agent_id, conversation.session_id)
        turn_id = again.only_turn_id()
        raw = again.replay(turn_id).content
        assert text_of(parse(raw)) == "The answer comes"
        assert scripted.counts()["by_model"] == {GUARD: 1, "mute;times=1": 2}
        assert parse(again.replay(turn_id).content) == parse(raw)


def test_an_answer_that_was_held_back_is_made_again_after_kill_9(
    fresh_server: FreshServer, scripted: RunningServer
) -> None:
    server = fresh_server(environment=ENVIRONMENT)
    guard = "guard;word=bomb;first_ms=600000"
    with server.http() as http:
        conversation = Api(http).conversation(output_shields=["slow"])
        with conversation.streaming("Hello") as stream:
            stream.until("step_start")
            wait_until(lambda: scripted.counts()["by_model"].get(guard), 60)
            server.kill9()
        assert b"answer" not in stream.raw
    scripted.queue("say;text=Another answer.", "say;text=safe")
    server.start()
    with server.http() as http:
        again = Conversation(Api(http), conversation.agent_id, conversation.session_id)
        turn_id = again.only_turn_id()
        raw = again.replay(turn_id).content
        assert text_of(parse(raw)) == "Another answer."
        turn = again.get(turn_id).json()
        assert steps_of(turn) == ["inference", "shield_call"]
        assert parse(again.replay(turn_id).content) == parse(raw)
