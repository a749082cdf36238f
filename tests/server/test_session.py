"""Sessions over HTTP."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb
import pytest

from tests.server.api import TIME, UUID, Api, Conversation, check_error, parse
from tests.server.conftest import FreshServer
from tests.server.process import Replaystack, wait_until


def test_a_session_is_created_shown_and_deleted(api: Api) -> None:
    agent_id = api.create_agent()
    answer = api.http.post(f"/v1alpha/agents/{agent_id}/session", json={"session_name": "first"})
    assert answer.status_code == 200 and set(answer.json()) == {"session_id"}
    session_id = answer.json()["session_id"]
    assert UUID.fullmatch(session_id)
    path = f"/v1alpha/agents/{agent_id}/session/{session_id}"

    shown = api.http.get(path).json()
    assert set(shown) == {"session_id", "session_name", "turns", "started_at"}
    assert shown["session_name"] == "first" and shown["turns"] == []
    assert TIME.fullmatch(shown["started_at"])

    gone = api.http.delete(path)
    assert gone.status_code == 200 and gone.content == b""
    check_error(api.http.get(path), 404, session_id)
    check_error(api.http.delete(path), 404, session_id)
    assert api.http.get(f"/v1alpha/agents/{agent_id}/sessions").json()["data"] == []


def test_a_session_is_found_by_its_id_alone(api: Api) -> None:
    conversation = api.conversation()
    path = f"/v1alpha/sessions/{conversation.session_id}"
    found = {
        "session_id": conversation.session_id,
        "session_name": "a session",
        "agent_id": conversation.agent_id,
    }
    assert api.http.get(path).json() == found
    api.http.delete(conversation.path).raise_for_status()
    check_error(api.http.get(path), 404, conversation.session_id)
    check_error(api.http.get("/v1alpha/sessions/nothing"), 404, "nothing")


def test_sessions_are_listed_in_pages_without_turns(api: Api) -> None:
    conversation = api.conversation()
    conversation.turn()
    ids = [conversation.session_id] + [api.create_session(conversation.agent_id) for _ in range(3)]
    path = f"/v1alpha/agents/{conversation.agent_id}/sessions"

    def page(**query: Any) -> tuple[list[str], bool]:
        body = api.http.get(path, params=query).raise_for_status().json()
        assert body["url"] == path
        assert all(session["turns"] == [] for session in body["data"])
        return [session["session_id"] for session in body["data"]], body["has_more"]

    assert page() == (ids, False)
    assert page(limit=2) == (ids[:2], True)
    assert page(start_index=2, limit=2) == (ids[2:], False)
    check_error(api.http.get(path, params={"limit": -3}), 400, "limit")


def test_a_session_of_another_agent_is_unknown(api: Api) -> None:
    conversation = api.conversation()
    turn = conversation.turn()
    other = Conversation(api, api.create_agent(), conversation.session_id)
    check_error(api.http.get(other.path), 404)
    check_error(other.get(turn["turn_id"]), 404)
    check_error(other.replay(turn["turn_id"]), 404)
    check_error(other.post(), 404)
    check_error(other.cancel(turn["turn_id"]), 404)
    check_error(api.http.delete(other.path), 404)
    assert conversation.show()["turns"] == [turn]


def test_an_empty_session_name_is_refused(api: Api) -> None:
    agent_id = api.create_agent()
    check_error(
        api.http.post(f"/v1alpha/agents/{agent_id}/session", json={"session_name": " "}), 400, "session_name"
    )
    check_error(api.http.post(f"/v1alpha/agents/{agent_id}/session", json={}), 400, "session_name")


def test_turn_ids_select_turns(conversation: Conversation) -> None:
    turns = [conversation.turn(f"question {number}") for number in range(3)]
    ids = [turn["turn_id"] for turn in turns]

    def selected(*wanted: str) -> list[dict[str, Any]]:
        answer = conversation.http.get(conversation.path, params=[("turn_ids", one) for one in wanted])
        found: list[dict[str, Any]] = answer.raise_for_status().json()["turns"]
        return found

    assert selected() == turns
    assert selected(ids[1]) == [turns[1]]
    assert selected(ids[2], ids[0]) == [turns[0], turns[2]]
    assert selected("unknown") == []


def test_deleting_a_session_ends_its_running_turn(api: Api) -> None:
    conversation = api.conversation("scripted/stall;chunks=2")
    with conversation.streaming() as stream:
        turn_id = stream.until("step_progress") and conversation.only_turn_id()
        assert api.http.delete(conversation.path).status_code == 200
        frames = parse(stream.rest())
    assert frames[-1].kind == "turn_complete"
    check_error(conversation.get(turn_id), 404)
    check_error(api.http.get(conversation.path), 404)


@pytest.mark.slow
def test_deleted_content_is_gone_from_every_file(fresh_server: FreshServer) -> None:
    """Positions and the deletion stay; what was said, by whom it was answered and the instructions do not."""
    server = fresh_server(view_linger_ms=0)
    asked, told, kept = "marker-of-the-question", "marker-of-the-instructions", "marker-that-stays"
    long_text = asked + " " + "x" * 400_000
    with server.http() as client:
        api = Api(client)
        gone = api.conversation("scripted/echo", instructions=told)
        gone.turn(asked)
        gone.turn(long_text)
        named = api.create_session(gone.agent_id, asked)
        other = api.conversation("scripted/echo", instructions=kept)
        other.turn(kept)
        assert client.delete(gone.path).status_code == 200
        assert client.delete(f"/v1alpha/agents/{gone.agent_id}/session/{named}").status_code == 200
        assert client.get(f"/v1alpha/agents/{gone.agent_id}").json()["agent_config"]["instructions"] == told
        assert client.delete(f"/v1alpha/agents/{gone.agent_id}").status_code == 200
        other.turn(kept)
    wait_until(lambda: not _files_with(server.data, asked, told, only="events.sqlite*"))
    server.stop()
    assert not _files_with(server.data, asked, told, only="events.sqlite*")
    assert not [blob for blob in (server.data / "blobs").rglob("*") if blob.is_file()]
    with duckdb.connect(str(server.data / "views.duckdb"), read_only=True) as views:
        for schema, table in views.execute(
            "SELECT schema_name, table_name FROM duckdb_tables() WHERE NOT temporary"
        ).fetchall():
            rows = str(views.execute(f'SELECT * FROM {schema}."{table}"').fetchall())
            assert asked not in rows and told not in rows, table


def _files_with(folder: Path, *words: str, only: str) -> list[str]:
    found = []
    for file in folder.glob(only):
        content = file.read_bytes()
        found += [f"{file.name}: {word}" for word in words if word.encode() in content]
    return found


@pytest.mark.slow
def test_everything_is_there_after_a_restart(fresh_server: FreshServer) -> None:
    server: Replaystack = fresh_server()
    with server.http() as client:
        conversation = Api(client).conversation()
        turn = conversation.turn()
        before = client.get(conversation.path).content
    server.restart()
    with server.http() as client:
        assert client.get(conversation.path).content == before
        again = Conversation(Api(client), conversation.agent_id, conversation.session_id)
        assert again.get(turn["turn_id"]).json() == turn
        again.turn("and now?")
        assert len(again.show()["turns"]) == 2
    server.check_healthy()
