"""Events that are damaged in the log: what they belong to stays usable, and what cannot be told is said."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.server.api import ANSWER, Api, Conversation, check_error
from tests.server.conftest import FreshServer
from tests.server.evals import Evals
from tests.server.process import Replaystack, wait_until

QUESTION = "[What the user said here is damaged"
NAME = "[The name is damaged"


def damage(server: Replaystack, name: str, stream: str, which: int = 0) -> None:
    """Changes the content of an event of a stream, the first of this name by default; the server does not run."""
    with closing(sqlite3.connect(server.data / "events.sqlite")) as log, log:
        positions = log.execute(
            "SELECT position FROM events WHERE stream = ? AND name LIKE ? ORDER BY position",
            (f"default/{stream}", f"{name}.%"),
        ).fetchall()
        log.execute(
            "UPDATE events SET state = CAST(replace(state, '{', '[') AS BLOB) WHERE position = ?",
            positions[which],
        )


def forget_views(data: Path) -> None:
    for file in data.glob("views.duckdb*"):
        file.unlink()


def again(http: httpx.Client, conversation: Conversation) -> Conversation:
    return Conversation(Api(http), conversation.agent_id, conversation.session_id)


@pytest.mark.parametrize("rebuild", [False, True])
def test_turns_and_sessions_with_damaged_events(fresh_server: FreshServer, rebuild: bool) -> None:
    server = fresh_server()
    kinds = (
        "turn.started", "turn.step_started", "turn.step_completed", "turn.completed",
        "session.created", "session.turn_opened", "session.turn_closed",
    )  # fmt: skip
    with server.http() as http:
        api = Api(http)
        agent_id = api.create_agent()
        made: dict[str, tuple[Conversation, dict[str, Any], bytes]] = {}
        for kind in kinds:
            conversation = Conversation(api, agent_id, api.create_session(agent_id, kind))
            turn = conversation.turn("First")
            made[kind] = conversation, turn, conversation.replay(turn["turn_id"]).content
            assert conversation.show()["turns"] == [turn]
    server.kill9()
    for kind, (conversation, turn, _) in made.items():
        of_turn = kind.startswith("turn.")
        stream = f"turn/{turn['turn_id']}" if of_turn else f"session/{conversation.session_id}"
        damage(server, kind, stream)
    if rebuild:
        forget_views(server.data)
    server.start()
    with server.http() as http:
        for kind, (earlier, turn, replayed) in made.items():
            conversation = again(http, earlier)
            shown = conversation.show()
            assert shown["session_name"].startswith(
                NAME if rebuild and kind == "session.created" else kind
            ), kind
            [shown_turn] = shown["turns"]
            assert conversation.get(turn["turn_id"]).json() == shown_turn
            answer = conversation.get(turn["turn_id"])
            assert answer.headers["x-turn-status"] == "completed" and "completed_at" in shown_turn
            outcome = conversation.get(turn["turn_id"], "/outcome").json()
            assert outcome["status"] == "completed" and "error" not in outcome
            frames = conversation.replay(turn["turn_id"])
            assert frames.status_code == 200 and b"turn_complete" in frames.content
            if not rebuild or not kind.startswith("turn."):
                assert shown_turn == turn, kind
            elif kind == "turn.started":
                assert shown_turn["input_messages"][0]["content"].startswith(QUESTION)
                assert shown_turn["output_message"] == turn["output_message"]
                assert shown_turn["steps"] == turn["steps"]
            elif kind == "turn.step_completed":
                assert shown_turn == turn | {"steps": []}
            else:
                assert shown_turn["output_message"] == turn["output_message"], kind
                assert [step["step_id"] for step in shown_turn["steps"]] == [
                    step["step_id"] for step in turn["steps"]
                ]
            if not kind.startswith("turn."):
                assert frames.content == replayed
            assert conversation.turn("Second")["output_message"]["content"] == ANSWER, kind
            turns = conversation.show()["turns"]
            assert turns[0] == shown_turn and len(turns) == 2
            assert conversation.http.delete(conversation.path).status_code == 200
            assert conversation.http.get(conversation.path).status_code == 404


@pytest.mark.parametrize("rebuild", [False, True])
def test_an_agent_with_a_damaged_configuration_can_be_deleted(
    fresh_server: FreshServer, rebuild: bool
) -> None:
    server = fresh_server()
    with server.http() as http:
        conversation = Api(http).conversation()
        turn = conversation.turn("First")
        assert conversation.show()["turns"] == [turn]
    server.kill9()
    damage(server, "agent.created", f"agent/{conversation.agent_id}")
    if rebuild:
        forget_views(server.data)
    server.start()
    with server.http() as http:
        conversation = again(http, conversation)
        path = f"/v1alpha/agents/{conversation.agent_id}"
        assert conversation.show()["turns"] == [turn]
        assert conversation.get(turn["turn_id"]).json() == turn
        [listed] = http.get(f"/v1alpha/agents/{conversation.agent_id}/sessions").json()["data"]
        assert listed["session_id"] == conversation.session_id
        error = check_error(conversation.post("Second"), 500)
        assert error["title"] == "Stored Content Damaged" and "agent.created" in error["detail"]
        if rebuild:
            error = check_error(http.get(path), 500)
            assert error["title"] == "Stored Content Damaged" and "restore a backup" in error["detail"]
        assert http.get(f"{path}/sessions").status_code == 200
        assert http.delete(path).status_code == 200
        assert http.get(path).status_code == 404 and http.delete(path).status_code == 404


def test_a_session_with_a_damaged_creation_is_deleted_with_its_agent(fresh_server: FreshServer) -> None:
    server = fresh_server()
    with server.http() as http:
        conversation = Api(http).conversation()
        conversation.turn("a canary in its cage")
    server.kill9()
    damage(server, "session.created", f"session/{conversation.session_id}")
    forget_views(server.data)
    server.start()
    with server.http() as http:
        http.delete(f"/v1alpha/agents/{conversation.agent_id}").raise_for_status()
    server.stop()
    with closing(sqlite3.connect(server.data / "events.sqlite")) as log:
        assert not log.execute(
            "SELECT name FROM events WHERE CAST(state AS TEXT) LIKE '%canary in its cage%'"
        ).fetchall()


def test_a_session_of_which_nothing_is_known_is_named(fresh_server: FreshServer) -> None:
    server = fresh_server()
    with server.http() as http:
        conversation = Api(http).conversation()
    server.kill9()
    damage(server, "session.created", f"session/{conversation.session_id}")
    forget_views(server.data)
    server.start()
    with server.http() as http:
        conversation = again(http, conversation)
        for answer in (conversation.http.get(conversation.path), conversation.post("First")):
            error = check_error(answer, 500)
            assert error["title"] == "Stored Content Damaged" and "session.created" in error["detail"]


@pytest.mark.parametrize("rebuild", [False, True])
def test_a_turn_that_was_open_when_its_start_was_damaged(fresh_server: FreshServer, rebuild: bool) -> None:
    """It can be cancelled, and holds up nothing for ever."""
    server = fresh_server()
    with server.http() as http:
        conversation = Api(http).conversation(model="scripted/silent")
        with conversation.streaming("First") as stream:
            turn_id = stream.until("turn_start").payload["turn_id"]
            assert conversation.only_turn_id() == turn_id
            server.kill9()
    damage(server, "turn.started", f"turn/{turn_id}")
    if rebuild:
        forget_views(server.data)
    server.start()
    with server.http() as http:
        conversation = again(http, conversation)
        if rebuild:
            assert "cancel" in check_error(conversation.post("Second"), 409)["detail"]
            assert conversation.cancel(turn_id).status_code == 200
        outcome = wait_until(lambda: (told := conversation.outcome(turn_id))["status"] != "running" and told)
        assert outcome and outcome["status"] == ("cancelled" if rebuild else "failed")
        assert conversation.http.delete(conversation.path).status_code == 200


@pytest.mark.parametrize("rebuild", [False, True])
def test_datasets_with_a_damaged_last_event(fresh_server: FreshServer, rebuild: bool) -> None:
    server = fresh_server()
    with server.http() as http:
        datasets = Evals(http).datasets
        appended, registered = datasets.registered([{"n": 0}]), datasets.registered([{"n": 0}, {"n": 1}])
        datasets.append(appended, [{"n": 1}, {"n": 2}])
        whole = datasets.registered([{"n": 0}])
        assert {appended, registered, whole} <= set(datasets.listed())
    server.kill9()
    damage(server, "dataset.rows_appended", f"dataset/{appended}")
    damage(server, "dataset.registered", f"dataset/{registered}")
    if rebuild:
        forget_views(server.data)
    server.start()
    with server.http() as http:
        datasets = Evals(http).datasets
        lost = 1 if rebuild else 2
        assert appended in datasets.listed() and whole in datasets.listed()
        assert datasets.page(appended).json()["data"] == [{"n": 0}]
        refused = check_error(datasets.page(appended, start_index=1), 500)
        assert refused["title"] == "Stored Content Damaged" and "1 " in refused["detail"]
        assert datasets.append(appended, [{"n": 3}]).status_code == 200
        assert datasets.rows(appended, start_index=1 + lost) == [{"n": 3}]
        assert datasets.show(appended).status_code == 200

        shown = datasets.show(registered)
        if rebuild:
            assert "dataset.registered" in check_error(shown, 500)["detail"]
            assert registered not in datasets.listed()
        else:
            assert shown.status_code == 200 and registered in datasets.listed()
        refused = check_error(datasets.page(registered), 500)
        assert refused["title"] == "Stored Content Damaged"
        assert datasets.append(registered, [{"n": 2}]).status_code == 200
        assert datasets.rows(registered, start_index=lost) == [{"n": 2}]
        if rebuild:
            assert "dataset.registered" in check_error(datasets.show(registered), 500)["detail"]
            body = {"purpose": "eval/question-answer", "source": {"type": "rows", "rows": [{"n": 0}]}}
            taken = http.post("/v1beta/datasets", json=body | {"dataset_id": registered})
            assert "unregister it first" in check_error(taken, 409)["detail"]
        for name in (appended, registered):
            assert http.delete(f"/v1beta/datasets/{name}").status_code == 200
            assert datasets.show(name).status_code == 404
