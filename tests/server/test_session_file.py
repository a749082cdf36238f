"""Sessions exported to files and imported into another server, over HTTP."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from msgspec.structs import replace

from schemas.session_file import Redaction, Tolerance
from stack.services.replay.session_file import read_session_file, written
from stack.services.replay.session_record import SessionRecord
from tests.server.api import TEXT, Api, Conversation, check_error, kinds, parse
from tests.server.process import Replaystack
from tests.server.session_files import (
    IMPORT,
    LINES,
    LONG,
    changed,
    exported,
    import_,
    imported,
    lines_of,
    shown,
)
from tests.server.tool_calls import rain, waiting, weather_man
from tests.servers.processes import RunningServer

pytestmark = pytest.mark.slow


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


def test_a_session_is_exported_redacted(api: Api, there: Api) -> None:
    conversation = api.conversation("scripted/echo")
    conversation.turn("Write to ada@example.org, order C-123456.")
    path = f"{conversation.path}/export"
    rules = {"builtin": ["email"], "patterns": {"order": "C-[0-9]{6}"}}
    file = api.http.post(path, json=rules)
    assert file.status_code == 200 and file.headers["content-type"].startswith("application/jsonl")
    assert "[email:1]" in file.text and "[order:1]" in file.text
    assert "ada@" not in file.text and "C-123456" not in file.text
    assert "ada@" in exported(conversation).decode()
    copy = imported(there, file.content)
    assert there.http.get(f"{copy.path}/check").json()["verdict"] == "identical"
    rows = api.http.post(path, params={"as": "sft"}, json={"paths": {"text": "$..content"}}).text
    assert "[text:1]" in rows and "ada@" not in rows
    for wrong, said in (
        ({}, "no rule"),
        ({"builtin": ["emails"]}, "no built-in redaction"),
        ({"patterns": {"order": "C-secret("}}, "The pattern of the redaction"),
        ({"paths": {"text": "content"}}, "The path of the redaction"),
    ):
        error = check_error(api.http.post(path, json=wrong), 400)
        assert said in str(error) and "secret" not in str(error)
    check_error(api.http.post(path, params={"as": "x"}, json=rules), 400)
    check_error(api.http.post(f"{conversation.path}x/export", json=rules), 404)


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


def test_events_keep_their_actor_and_their_trace(api: Api, there: Api) -> None:
    conversation = api.conversation()
    conversation.turn()

    def by_someone(record: SessionRecord) -> SessionRecord:
        turns = {
            turn_id: [
                one._replace(event=replace(one.event, actor="someone", trace_id="0" * 31 + "1"))
                for one in events
            ]
            for turn_id, events in record.turns.items()
        }
        return replace(record, turns=turns)

    copy = imported(there, changed(exported(conversation), by_someone))
    events = [line for line in lines_of(exported(copy)) if line["line"] == "event"]
    actors = {(line["name"].partition(".")[0], line["state"].get("actor", "")) for line in events}
    assert actors == {("agent", ""), ("session", ""), ("turn", "someone")}


def test_what_a_header_says_is_kept(api: Api, there: Api) -> None:
    conversation = api.conversation()
    conversation.turn()
    read = read_session_file(exported(conversation))
    tolerance = Tolerance(ignore=["$.time"], text="exact")
    header = replace(
        read.header, tolerance=tolerance, redaction=Redaction({"email": 2}), forked_from="another"
    )
    copy = imported(there, b"".join(written(replace(read, header=header))))
    again = read_session_file(exported(copy)).header
    assert (again.tolerance, again.redaction, again.forked_from) == (
        tolerance,
        Redaction({"email": 2}),
        "another",
    )


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


def head_of(api: Api, target: Replaystack) -> int:
    return int(target.state()["log"]["head"])


def renamed(session_id: str) -> Callable[[SessionRecord], SessionRecord]:
    """Returns a change that makes the same turns those of another session."""

    def change(record: SessionRecord) -> SessionRecord:
        turns = {
            turn_id: [one[0]._replace(event=replace(one[0].event, session_id=session_id)), *one[1:]]
            for turn_id, one in record.turns.items()
        }
        return replace(record, session_id=session_id, turns=turns)

    return change


def with_instructions(text: str) -> Callable[[SessionRecord], SessionRecord]:
    def change(record: SessionRecord) -> SessionRecord:
        [first] = record.agents[record.agent_id]
        config = replace(first.event.config, instructions=text)
        return replace(
            record, agents={record.agent_id: [first._replace(event=replace(first.event, config=config))]}
        )

    return change


def test_nothing_is_written_on_a_conflict(api: Api, there: Api, target: Replaystack) -> None:
    conversation = api.conversation()
    turn_id = conversation.turn()["turn_id"]
    file = exported(conversation)
    imported(there, file)
    head = head_of(there, target)

    other = changed(file, renamed("another-session"))
    check_error(import_(there, other), 409, turn_id, "in another session")
    check_error(there.http.get("/v1alpha/sessions/another-session"), 404)
    no_turns = changed(
        file, lambda record: replace(renamed("other")(record), turns={}, session=record.session[:1])
    )
    differing = changed(no_turns, with_instructions("Be long."))
    check_error(import_(there, differing), 409, conversation.agent_id, "Another agent")
    large = changed(differing, lambda record: replace(with_instructions("x" * 2**21)(record)))
    check_error(import_(there, large), 413)
    check_error(import_(there, no_turns, agent_id="unknown"), 404, "unknown")
    check_error(import_(there, no_turns, name=" "), 400, "session_name")
    check_error(import_(there, no_turns, form="x"), 400, "form")
    check_error(import_(there, b"{}"), 400, "not a session file")
    check_error(
        there.http.post(IMPORT, content=file, headers={"content-type": "text/csv"}),
        415,
        LINES["content-type"],
    )
    check_error(there.http.post(IMPORT, headers=LINES), 400, "no body")
    assert head_of(there, target) == head
    assert imported(there, no_turns).agent_id == conversation.agent_id


def test_what_was_deleted_is_not_imported_again(api: Api, there: Api) -> None:
    conversation = api.conversation()
    conversation.turn()
    file = exported(conversation)
    copy = imported(there, file)
    there.http.delete(copy.path).raise_for_status()
    check_error(import_(there, file), 409, conversation.session_id, "was deleted here")
    other = changed(
        file, lambda record: replace(renamed("fresh")(record), turns={}, session=record.session[:1])
    )
    there.http.delete(f"/v1alpha/agents/{copy.agent_id}").raise_for_status()
    check_error(import_(there, other), 409, copy.agent_id, "was deleted here")
    agent_id = there.create_agent()
    assert imported(there, other, agent_id=agent_id).agent_id == agent_id


def test_sessions_of_one_agent_are_imported_one_by_one(api: Api, there: Api) -> None:
    first = api.conversation()
    first.turn()
    second = Conversation(api, first.agent_id, api.create_session(first.agent_id))
    second.turn()
    copies = [imported(there, exported(one)) for one in (first, second)]
    assert [shown(copy) for copy in copies] == [shown(first), shown(second)]
    listed = there.http.get(f"/v1alpha/agents/{first.agent_id}/sessions").json()["data"]
    assert [one["session_id"] for one in listed] == [first.session_id, second.session_id]


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


def forked(conversation: Conversation, **body: Any) -> Conversation:
    answer = conversation.http.post(f"{conversation.path}/fork", json=body).raise_for_status()
    agent_id = body.get("agent_id", conversation.agent_id)
    return Conversation(conversation.api, agent_id, answer.json()["session_id"])


def own(turn: dict[str, Any], conversation: Conversation) -> dict[str, Any]:
    """Returns a turn as one of this session."""
    return {**turn, "session_id": conversation.session_id}


def test_a_fork_is_imported_as_a_session_of_its_own(api: Api, there: Api) -> None:
    conversation = weather_man(api)
    first = waiting(conversation)
    conversation.resume(first["turn_id"], rain()).raise_for_status()
    second = waiting(conversation)
    step = second["steps"][0]["step_id"]
    fork = forked(conversation, step_id=step)
    waiting(fork)
    file = exported(fork)
    [header, *lines] = lines_of(file)
    assert header["forked_from"] == conversation.session_id and exported(fork) == file
    assert not any("fork" in line["name"] for line in lines if line["line"] == "event")

    copy = imported(there, file)
    assert copy.show()["turns"] == [own(turn, fork) for turn in fork.show()["turns"]]
    assert len(copy.show()["turns"]) == 3
    for turn in fork.show()["turns"]:
        assert copy.outcome(turn["turn_id"]) == fork.outcome(turn["turn_id"])
    check_error(import_(there, exported(conversation)), 409, first["turn_id"], "in another session")
    there.http.delete(copy.path).raise_for_status()
    check_error(copy.get(first["turn_id"]), 404)


def test_the_parent_of_a_fork_is_imported_without_it(api: Api, there: Api) -> None:
    conversation = api.conversation()
    conversation.turn()
    before = exported(conversation)
    forked(conversation)
    after = exported(conversation)
    assert after == before
    copy = imported(there, after)
    assert shown(copy) == shown(conversation)
    copy.turn()
    there.http.delete(copy.path).raise_for_status()


def test_a_fork_outlives_its_parent_in_a_file(api: Api, there: Api) -> None:
    conversation = api.conversation()
    turn = conversation.turn()
    agent_id = api.create_agent()
    fork = forked(conversation, agent_id=agent_id)
    both = exported(fork)
    assert {line["stream"] for line in lines_of(both)[1:-1]} >= {
        f"agent/{agent_id}",
        f"agent/{conversation.agent_id}",
    }
    api.http.delete(f"/v1alpha/agents/{conversation.agent_id}").raise_for_status()
    file = exported(fork)
    copy = imported(there, file)
    assert copy.agent_id == agent_id and copy.show()["turns"] == [own(turn, fork)]
    assert copy.replay(turn["turn_id"]).status_code == 200
    check_error(there.http.get(f"/v1alpha/agents/{conversation.agent_id}"), 404)
