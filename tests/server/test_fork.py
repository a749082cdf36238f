"""Forks of sessions over HTTP: what they share, what is copied, and what deletions keep."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.cli.folders import replaystack
from tests.server.api import UUID, Api, Conversation, check_error
from tests.server.process import Replaystack

pytestmark = pytest.mark.slow


def fork(conversation: Conversation, headers: dict[str, str] | None = None, **body: Any) -> Conversation:
    answer = conversation.http.post(f"{conversation.path}/fork", json=body, headers=headers)
    assert answer.status_code == 200, answer.text
    assert set(answer.json()) == {"session_id"} and UUID.fullmatch(answer.json()["session_id"])
    return Conversation(
        conversation.api, body.get("agent_id", conversation.agent_id), answer.json()["session_id"]
    )


def turn_ids(conversation: Conversation) -> list[str]:
    return [turn["turn_id"] for turn in conversation.show()["turns"]]


def test_a_fork_shares_the_past_of_its_parent(conversation: Conversation) -> None:
    first, second = conversation.turn("one"), conversation.turn("two")
    before = conversation.show()
    other = fork(conversation, session_name="another way")
    shown = other.show()
    assert shown["session_name"] == "another way" and shown["session_id"] == other.session_id
    assert shown["turns"] == [first, second]
    assert {turn["session_id"] for turn in shown["turns"]} == {conversation.session_id}
    third = other.turn("three")
    assert third["session_id"] == other.session_id
    assert turn_ids(other) == [first["turn_id"], second["turn_id"], third["turn_id"]]
    assert conversation.show() == before
    listed = conversation.http.get(f"/v1alpha/agents/{conversation.agent_id}/sessions").json()["data"]
    assert [one["session_id"] for one in listed] == [conversation.session_id, other.session_id]


def test_a_shared_turn_is_read_through_the_fork(conversation: Conversation) -> None:
    turn = conversation.turn()
    other = fork(fork(conversation))
    id = turn["turn_id"]
    assert other.get(id).json() == turn
    assert other.outcome(id) == conversation.outcome(id)
    step = turn["steps"][0]["step_id"]
    assert other.get(id, f"/step/{step}").json() == conversation.get(id, f"/step/{step}").json()
    assert other.replay(id).content == conversation.replay(id).content
    check_error(other.cancel(id), 409, conversation.session_id)
    check_error(other.resume(id, {"call_id": "c", "tool_name": "t", "content": "x"}), 409)
    unrelated = Conversation(
        other.api, conversation.agent_id, other.api.create_session(conversation.agent_id)
    )
    for answer in (unrelated.get(id), unrelated.replay(id), unrelated.cancel(id)):
        check_error(answer, 404, id)


def test_a_fork_after_a_turn_and_with_another_agent(api: Api, conversation: Conversation) -> None:
    first, _ = conversation.turn("one"), conversation.turn("two")
    agent_id = api.create_agent()
    other = fork(conversation, turn_id=first["turn_id"], agent_id=agent_id)
    assert turn_ids(other) == [first["turn_id"]]
    check_error(api.http.get(f"/v1alpha/agents/{conversation.agent_id}/session/{other.session_id}"), 404)
    assert other.get(first["turn_id"]).json() == first
    other.turn("and")


def test_the_same_key_forks_once(conversation: Conversation) -> None:
    conversation.turn()
    key = {"Idempotency-Key": f"fork-{conversation.session_id}"}
    assert fork(conversation, key).session_id == fork(conversation, key).session_id
    chained = fork(conversation)
    assert fork(chained, key).session_id == fork(chained, key).session_id != chained.session_id


@pytest.mark.parametrize(
    ("body", "status", "mention"),
    [
        ({"turn_id": "none"}, 404, "turn_id"),
        ({"step_id": "none"}, 404, "step_id"),
        ({"event": 0}, 400, "event"),
        ({"event": 1}, 400, "event"),
        ({"event": 10**9}, 404, "event"),
        ({"event": 2, "step_id": "s"}, 400, "step_id"),
        ({"agent_id": "none"}, 404, "agent_id"),
        ({"session_name": " "}, 400, "session_name"),
        ({"continue": True}, 400, "continue"),
        ({"turn": "x"}, 400, "turn_id"),
    ],
)
def test_a_wrong_fork_names_the_field(
    conversation: Conversation, body: dict[str, Any], status: int, mention: str
) -> None:
    conversation.turn()
    check_error(conversation.http.post(f"{conversation.path}/fork", json=body), status, mention)


def test_a_fork_keeps_what_it_shares_until_it_is_deleted(api: Api, conversation: Conversation) -> None:
    shared, own = conversation.turn("kept"), conversation.turn("gone")
    agent_id = api.create_agent()
    other = fork(conversation, turn_id=shared["turn_id"], agent_id=agent_id)
    last = fork(other)
    assert api.http.delete(conversation.path).status_code == 200
    check_error(conversation.get(shared["turn_id"]), 404)
    check_error(conversation.replay(shared["turn_id"]), 404)
    assert other.get(shared["turn_id"]).json() == shared
    check_error(other.get(own["turn_id"]), 404)
    # The agent of the parent goes with all its sessions; forks with another agent stay.
    assert api.http.delete(f"/v1alpha/agents/{conversation.agent_id}").status_code == 200
    assert api.http.delete(other.path).status_code == 200
    assert turn_ids(last) == [shared["turn_id"]]
    last.turn("still here")
    newest = fork(last)
    assert api.http.delete(last.path).status_code == 200
    assert newest.get(shared["turn_id"]).json() == shared
    assert len(turn_ids(newest)) == 2
    assert api.http.delete(f"/v1alpha/agents/{agent_id}").status_code == 200
    check_error(newest.get(shared["turn_id"]), 404)


def test_a_fork_is_compared_with_its_parent(server: Replaystack, conversation: Conversation) -> None:
    shared = conversation.turn("one")
    other = fork(conversation)
    conversation.turn("two")
    said = replaystack("diff", conversation.session_id, other.session_id, "--url", server.url, "--exit-code")
    assert said.returncode == 1 and "turns: 1 shared, 1 only in A" in said.stdout, said
    found = replaystack("diff", conversation.session_id, other.session_id, "--url", server.url, "--json")
    assert found.returncode == 0
    diff = json.loads(found.stdout)
    assert (diff["shared"], diff["only_a"]) == (1, 1)
    assert diff["turns"][0]["a"]["turn_id"] == shared["turn_id"] == diff["turns"][0]["b"]["turn_id"]
    other.turn("two")
    asked = ("diff", conversation.session_id, other.session_id, "--url", server.url)
    scored = replaystack(*asked, "--score", "basic::equality", "--json")
    [first, second] = json.loads(scored.stdout)["turns"]
    assert first["b"]["score"] == second["b"]["score"] == 1.0 and second["change"] == "same"
    unknown = replaystack(*asked, "--score", "basic::none")
    assert unknown.returncode != 0 and "basic::none" in unknown.stderr
    gone = replaystack("diff", "none", other.session_id, "--url", server.url)
    assert gone.returncode != 0 and "none" in gone.stderr
