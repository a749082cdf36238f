"""Calls that need approval: the inbox, decisions, deadlines, restarts."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from tests.server.api import ANSWER, Api, Conversation
from tests.server.conftest import FreshServer
from tests.server.process import Replaystack

MODEL = 'scripted/tools;name=code_interpreter;arguments={"code":"6 * 7"}'
Connect = Callable[[Replaystack], Api]
GROUP = "builtin::code_interpreter"


def server_with(fresh_server: FreshServer, **group: Any) -> Replaystack:
    toolgroups = [{"id": GROUP, "approval": [{}], **group}]
    return fresh_server(environment={"REPLAYSTACK_TOOLGROUPS": json.dumps(toolgroups)})


def waiting(api: Api) -> tuple[Conversation, dict[str, Any]]:
    conversation = api.conversation(MODEL, toolgroups=[GROUP])
    answer = conversation.post("Compute.")
    assert answer.headers["x-turn-status"] == "awaiting_input", answer.text
    turn: dict[str, Any] = answer.json()
    return conversation, turn


def approvals(api: Api, status: str = "pending") -> list[dict[str, Any]]:
    answer = api.http.get("/v1alpha/approvals", params={"status": status})
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["data"]
    return found


def decide(api: Api, approval_id: str, **body: Any) -> Any:
    return api.http.post(f"/v1alpha/approvals/{approval_id}", json=body)


def ended(conversation: Conversation, turn_id: str) -> dict[str, Any]:
    """The turn once it has ended."""
    conversation.replay(turn_id)
    turn: dict[str, Any] = conversation.get(turn_id).json()
    return turn


@pytest.fixture
def connect() -> Iterator[Connect]:
    """Connects to servers; the connections are closed after the test."""
    with ExitStack() as opened:
        yield lambda server: Api(opened.enter_context(server.http()))


def at(api: Api, conversation: Conversation) -> Conversation:
    """The same session at a server that was started again."""
    return Conversation(api, conversation.agent_id, conversation.session_id)


@pytest.fixture
def asking(fresh_server: FreshServer, connect: Connect) -> Api:
    return connect(server_with(fresh_server))


def test_a_decision_continues_the_turn_after_a_restart(fresh_server: FreshServer, connect: Connect) -> None:
    server = server_with(fresh_server)
    api = connect(server)
    conversation, turn = waiting(api)
    [call] = turn["output_message"]["tool_calls"]
    [approval] = approvals(api)
    assert approval["call_id"] == call["call_id"] and approval["turn_id"] == turn["turn_id"]
    assert (approval["kind"], approval["status"]) == ("approval", "pending")
    assert (
        json.loads(approval["arguments"]) == {"code": "6 * 7"}
        and approval["deadline"] > approval["requested_at"]
    )
    server.kill9()
    api = connect(server.start())
    conversation = at(api, conversation)
    assert approvals(api) == [approval]
    wrong = decide(api, approval["approval_id"], decision="approve", digest="0" * 64)
    assert wrong.status_code == 409 and "digest" in wrong.json()["detail"]
    answer = decide(api, approval["approval_id"], decision="approve", digest=approval["digest"])
    assert answer.status_code == 200 and answer.json()["status"] == "approve"
    done = ended(conversation, turn["turn_id"])
    assert done["output_message"]["content"] == ANSWER and "42" in str(done["steps"][1])
    second = decide(api, approval["approval_id"], decision="deny")
    assert second.status_code == 409 and "decided before: approve" in second.json()["detail"]
    assert approvals(api) == [] and len(approvals(api, "approve")) == 1
    [effect] = api.http.get("/v1alpha/effects").json()["data"]
    assert (effect["status"], effect["tool_name"]) == ("done", "code_interpreter")
    assert api.http.get(f"/v1alpha/effects/{effect['key']}").json() == effect
    settled = api.http.post(f"/v1alpha/effects/{effect['key']}", json={"decision": "done", "content": "x"})
    assert settled.status_code == 409 and "known: done" in settled.json()["detail"]


def test_a_denial_with_a_reason_reaches_the_model(asking: Api) -> None:
    conversation, turn = waiting(asking)
    [approval] = approvals(asking)
    decide(asking, approval["approval_id"], decision="deny", reason="not on Mondays")
    done = ended(conversation, turn["turn_id"])
    [response] = done["steps"][1]["tool_responses"]
    assert response["content"] == "The call was denied: not on Mondays"
    assert asking.http.get("/v1alpha/effects").json()["data"] == []


def test_a_resume_decides_as_well(asking: Api) -> None:
    conversation, turn = waiting(asking)
    [call] = turn["output_message"]["tool_calls"]
    response = {"call_id": call["call_id"], "tool_name": call["tool_name"], "content": "fine"}
    refused = conversation.resume(turn["turn_id"], response)
    assert refused.status_code == 400 and "approve or deny" in refused.json()["detail"]
    resumed = conversation.resume(turn["turn_id"], response | {"metadata": {"decision": "approve"}})
    assert resumed.status_code == 200 and resumed.json()["output_message"]["content"] == ANSWER
    [approval] = approvals(asking, "approve")
    assert approval["reason"] == "fine"


def test_bad_decisions_change_nothing(asking: Api) -> None:
    _, _ = waiting(asking)
    [approval] = approvals(asking)
    for body, status in (
        ({"decision": "maybe"}, 400),
        ({"decision": "accept"}, 400),
        ({"decision": "approve", "content": {}}, 400),
        ({"decision": "approve", "extra": 1}, 400),
        ({}, 400),
    ):
        assert decide(asking, approval["approval_id"], **body).status_code == status, body
    assert decide(asking, "unknown", decision="approve").status_code == 404
    assert approvals(asking) == [approval]


def test_a_new_turn_makes_a_pending_approval_void(asking: Api) -> None:
    conversation, _ = waiting(asking)
    [approval] = approvals(asking)
    conversation.post("Something else.")
    late = decide(asking, approval["approval_id"], decision="approve")
    assert late.status_code == 409 and "has ended" in late.json()["detail"]
    assert [one["status"] for one in approvals(asking, "")] == ["void", "pending"]


def test_no_decision_before_the_deadline_is_a_denial(fresh_server: FreshServer, connect: Connect) -> None:
    api = connect(server_with(fresh_server, approval_timeout_s=0.2))
    conversation, turn = waiting(api)
    end = time.monotonic() + 60
    while not (expired := approvals(api, "expired")) and time.monotonic() < end:
        time.sleep(0.05)
    late = decide(api, expired[0]["approval_id"], decision="approve")
    assert late.status_code == 409
    done = ended(conversation, turn["turn_id"])
    [response] = done["steps"][1]["tool_responses"]
    assert response["content"] == "The call was denied: it was not approved in time."


def test_a_deadline_that_passes_while_no_server_runs(fresh_server: FreshServer, connect: Connect) -> None:
    server = server_with(fresh_server, approval_timeout_s=1.0)
    api = connect(server)
    conversation, turn = waiting(api)
    server.kill9()
    time.sleep(1.1)
    api = connect(server.start())
    conversation = at(api, conversation)
    end = time.monotonic() + 60
    while not approvals(api, "expired") and time.monotonic() < end:
        time.sleep(0.05)
    assert ended(conversation, turn["turn_id"])["output_message"]["content"] == ANSWER
