"""Sessions exported to files and imported into another server, over HTTP."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.server.api import TEXT, Api, Conversation, check_error, kinds, parse
from tests.server.process import Replaystack
from tests.server.tool_calls import rain, waiting, weather_man
from tests.servers.processes import RunningServer

pytestmark = pytest.mark.slow

IMPORT = "/v1alpha/sessions/import"
LINES = {"content-type": "application/jsonl"}
LONG = "long text " * 40_000


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory, scripted_server: RunningServer) -> Iterator[Replaystack]:
    """The server into which the tests of this file import."""
    data = tmp_path_factory.mktemp("target") / "data"
    with Replaystack(data, model_url=scripted_server.base_url) as server:
        yield server
        server.check_healthy()


@pytest.fixture
def there(target: Replaystack) -> Iterator[Api]:
    with target.http() as http:
        yield Api(http)


def exported(conversation: Conversation) -> bytes:
    answer = conversation.http.get(f"{conversation.path}/export")
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == LINES["content-type"]
    return answer.content


def import_(api: Api, file: bytes, **query: str) -> httpx.Response:
    return api.http.post(IMPORT, content=file, headers=LINES, params=query)


def imported(api: Api, file: bytes, **query: str) -> Conversation:
    answer = import_(api, file, **query)
    assert answer.status_code == 200, answer.text
    return Conversation(api, answer.json()["agent_id"], answer.json()["session_id"])


def shown(conversation: Conversation) -> list[Any]:
    """The answers about a session, byte for byte: the session, its agent, its turns, their outcomes and streams."""
    http, path = conversation.http, conversation.path
    turns = [turn["turn_id"] for turn in conversation.show()["turns"]]
    paths = [path, f"/v1alpha/agents/{conversation.agent_id}", f"/v1alpha/sessions/{conversation.session_id}"]
    for turn_id in turns:
        paths += [f"{path}/turn/{turn_id}{suffix}" for suffix in ("", "/outcome", "/stream")]
    return [(one, http.get(one).raise_for_status().content) for one in paths]


def lines_of(file: bytes) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.splitlines()]


def test_an_imported_session_is_shown_as_at_its_source(api: Api, there: Api) -> None:
    conversation = weather_man(api)
    first = waiting(conversation)
    conversation.resume(first["turn_id"], rain()).raise_for_status()
    conversation.turn(LONG, documents=[{"content": "A document.", "mime_type": "text/plain"}])
    second = waiting(conversation)
    file = exported(conversation)
    assert exported(conversation) == file

    copy = imported(there, file)
    assert (copy.agent_id, copy.session_id) == (conversation.agent_id, conversation.session_id)
    assert shown(copy) == shown(conversation)
    assert copy.get(second["turn_id"]).headers["x-turn-status"] == "awaiting_input"
    again = [line for line in lines_of(exported(copy)) if line["line"] in ("event", "blob")]
    events = [line for line in lines_of(file) if line["line"] in ("event", "blob")]
    for line in (*again, *events):
        line.pop("position", None)
    extra = [line for line in again if line not in events]
    assert [line["name"] for line in extra] == ["session.imported.1"] and len(again) == len(events) + 1

    copy.resume(second["turn_id"], rain()).raise_for_status()
    assert copy.turn("And now?")["output_message"]["tool_calls"]


def test_a_file_has_a_header_events_blobs_and_a_closing_line(api: Api) -> None:
    conversation = api.conversation()
    conversation.turn(LONG)
    header, *middle, end = lines_of(exported(conversation))
    assert header["line"] == "header" and header["format"] == "replaystack.session"
    assert header["format_version"] == 1
    assert (header["agent_id"], header["session_id"]) == (conversation.agent_id, conversation.session_id)
    events = [line for line in middle if line["line"] == "event"]
    [blob] = [line for line in middle if line["line"] == "blob"]
    assert header["events"] == sorted({line["name"] for line in events})
    assert header["environment"]["settings"] == {"max_context_document_characters": 200_000}
    assert blob["content"] == LONG and middle[-1] is blob
    assert (end["line"], end["events"], end["blobs"]) == ("end", len(events), 1)


def test_a_session_is_imported_under_a_name_and_for_an_agent(api: Api, there: Api) -> None:
    conversation = api.conversation()
    turn = conversation.turn()
    agent_id = there.create_agent(TEXT)
    copy = imported(there, exported(conversation), name="a copy", agent_id=agent_id)
    assert copy.agent_id == agent_id and copy.session_id == conversation.session_id
    assert copy.show() == {**conversation.show(), "session_name": "a copy"}
    assert copy.get(turn["turn_id"]).json() == turn
    check_error(there.http.get(f"/v1alpha/agents/{conversation.agent_id}"), 404)
    assert copy.turn()["output_message"]["content"]


def test_an_import_is_done_once(api: Api, there: Api) -> None:
    conversation = api.conversation()
    conversation.turn()
    file = exported(conversation)
    headers = {**LINES, "idempotency-key": conversation.session_id}
    first = there.http.post(IMPORT, content=file, headers=headers)
    assert first.status_code == 200
    second = there.http.post(IMPORT, content=file, headers=headers)
    assert (second.status_code, second.json()) == (200, first.json())
    check_error(import_(there, file), 409, conversation.session_id, "imported from this file before")
    check_error(import_(api, file), 409, conversation.session_id, "with the content of the file")
    conversation.turn()
    check_error(import_(there, exported(conversation)), 409, "with other content")


def test_a_running_turn_is_imported_as_cancelled(api: Api, there: Api, scripted: RunningServer) -> None:
    conversation = api.conversation("scripted/stall;chunks=3")
    with conversation.streaming() as stream:
        stream.until("step_start")
        turn_id = conversation.only_turn_id()
        file = exported(conversation)
        conversation.cancel(turn_id).raise_for_status()
    [header, *_] = lines_of(file)
    assert header["open_turn"] == turn_id
    answer = import_(there, file)
    assert answer.json()["cancelled_turns"] == [turn_id]
    copy = Conversation(there, conversation.agent_id, conversation.session_id)
    assert copy.outcome(turn_id)["status"] == "cancelled"
    assert "turn_complete" in kinds(parse(copy.replay(turn_id).content))
    assert copy.show()["turns"][0]["completed_at"]
