"""The list of all agents' sessions: order, pages, search, and what each row says."""

from __future__ import annotations

from typing import Any

import httpx

from tests.server.api import Api, Conversation, check_error
from tests.server.conftest import FreshServer

PATH = "/v1alpha/sessions"


def listed(http: httpx.Client, **query: Any) -> dict[str, Any]:
    answer = http.get(PATH, params=query)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def ids(http: httpx.Client, **query: Any) -> list[str]:
    """Returns those of all pages."""
    found: list[str] = []
    while True:
        page = listed(http, **query)
        found += [one["session_id"] for one in page["data"]]
        if "next" not in page:
            return found
        query["before"] = page["next"]


def test_a_row_has_what_is_worth_seeing(api: Api) -> None:
    empty = api.conversation()
    conversation = api.conversation()
    conversation.turn("Where is the storm now?")
    turn = conversation.turn("x" * 1000)
    rows = {one["session_id"]: one for one in listed(api.http)["data"]}
    row = rows[conversation.session_id]
    shown = conversation.show()
    assert row == {
        "session_id": conversation.session_id,
        "agent_id": conversation.agent_id,
        "session_name": shown["session_name"],
        "started_at": shown["started_at"],
        "turn_count": 2,
        "status": "completed",
        "last_event_at": turn["completed_at"],
        "first_words": "Where is the storm now?",
    } | {key: row[key] for key in ("input_tokens", "output_tokens") if key in row}
    assert rows[empty.session_id].keys() == {
        "session_id",
        "agent_id",
        "session_name",
        "started_at",
        "turn_count",
    }


def test_order_and_pages(api: Api) -> None:
    agent_id = api.create_agent()
    made = [Conversation(api, agent_id, api.create_session(agent_id)) for _ in range(5)]
    order = [one.session_id for one in reversed(made)]
    assert ids(api.http, agent_id=agent_id) == order
    for limit in (1, 2, 5):
        assert ids(api.http, agent_id=agent_id, limit=limit) == order
    made[1].turn()
    assert ids(api.http, agent_id=agent_id, sort="active", limit=2) == [made[1].session_id] + [
        one for one in order if one != made[1].session_id
    ]
    assert ids(api.http, agent_id=agent_id, sort="created") == order
    assert ids(api.http, agent_id="no one") == []


def test_search(api: Api) -> None:
    first, second = api.conversation(), api.conversation()
    turn = first.turn("Über die Straße, 100 % sicher_'\"")
    second.turn("another thing")
    for words in ("über DIE straße", "100 %", "sicher_'", turn["turn_id"], first.session_id, first.agent_id):
        assert ids(api.http, q=words) == [first.session_id], words
    assert ids(api.http, q="nothing has this") == []
    # What the server adds to an event is not searched.
    assert ids(api.http, q="input_messages") == []


def test_what_is_deleted_is_not_listed(api: Api) -> None:
    conversation = api.conversation()
    conversation.turn("a secret of the deleted")
    assert ids(api.http, q="a secret of the deleted") == [conversation.session_id]
    api.http.delete(conversation.path).raise_for_status()
    assert ids(api.http, q="a secret of the deleted") == []
    other = api.conversation()
    api.http.delete(f"/v1alpha/agents/{other.agent_id}").raise_for_status()
    assert not {conversation.session_id, other.session_id} & {*ids(api.http)}


def test_forks_count_the_turns_that_they_share(api: Api) -> None:
    conversation = api.conversation()
    conversation.turn("one")
    conversation.turn("two")
    fork = api.http.post(f"{conversation.path}/fork", json={}).json()["session_id"]
    row = listed(api.http, limit=1)["data"][0]
    assert (row["session_id"], row["parent_session_id"]) == (fork, conversation.session_id)
    assert (row["turn_count"], row["status"], row["first_words"]) == (2, "completed", "one")


def test_a_waiting_turn_is_said(api: Api) -> None:
    tool = {"name": "look", "description": "Looks.", "input_schema": {"type": "object", "properties": {}}}
    conversation = api.conversation("scripted/tools", client_tools=[tool])
    conversation.turn()
    assert listed(api.http, limit=1)["data"][0]["status"] == "awaiting_input"


def test_wrong_queries(api: Api) -> None:
    for name, value in (
        ("limit", "0"),
        ("limit", "1001"),
        ("limit", "x"),
        ("before", "-1"),
        ("before", "1.5"),
        ("sort", "name"),
        ("q", "x" * 1001),
        ("query", "x"),
    ):
        check_error(api.http.get(PATH, params={name: value}), 400, name)


def test_an_empty_server(fresh_server: FreshServer) -> None:
    with fresh_server().http() as http:
        assert listed(http) == {"data": []}
