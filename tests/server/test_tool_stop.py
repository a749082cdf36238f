"""Turns that end while a tool of the server runs: cancelled, replaced, deleted, at a shutdown."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.server.api import Api, Conversation
from tests.server.conftest import FreshServer
from tests.server.process import Replaystack, wait_until
from tests.server.test_effects import ask
from tests.servers.processes import running

pytestmark = pytest.mark.slow

LONG = 'scripted/tools;name=write;arguments={"line":"one","seconds":60}'


class Busy:
    """A server with a turn whose tool runs for a minute."""

    def __init__(self, server: Replaystack, conversation: Conversation) -> None:
        self.server = server
        self.conversation = conversation
        self.http = conversation.http

    @property
    def turn(self) -> dict[str, Any]:
        turn: dict[str, Any] = self.conversation.show()["turns"][0]
        return turn


@pytest.fixture
def busy(fresh_server: FreshServer, tmp_path: Path) -> Iterator[Busy]:
    journal = tmp_path / "journal"
    journal.touch()
    with running("tests.servers.mcp_journal", "--journal", str(journal)) as tools:
        group = {"id": "mcp::journal", "url": f"http://127.0.0.1:{tools.port}/mcp"}
        environment = {"REPLAYSTACK_TOOLGROUPS": json.dumps([group])}
        server = fresh_server(environment=environment, shutdown_grace_s=0.1)
        with server.http() as http:
            conversation = Api(http).conversation(LONG, toolgroups=["mcp::journal"])
            asking = threading.Thread(target=ask, args=(conversation,))
            asking.start()
            wait_until(lambda: journal.read_text() != "")
            yield Busy(server, conversation)
            asking.join()


def test_a_cancelled_turn_ends_at_once_and_says_that_the_outcome_is_unknown(busy: Busy) -> None:
    began = time.monotonic()
    path = f"{busy.conversation.path}/turn/{busy.turn['turn_id']}/cancel"
    assert busy.http.post(path).status_code == 200
    assert time.monotonic() - began < 30, "it does not wait for the tool"
    [_, step] = busy.turn["steps"]
    assert step["step_type"] == "tool_execution" and "unknown" in step["tool_responses"][0]["content"]
    assert busy.conversation.outcome(busy.turn["turn_id"])["status"] == "cancelled"
    [effect] = busy.http.get("/v1alpha/effects?status=unknown").json()["data"]
    assert effect["attempts"] == 1


def test_a_new_turn_while_a_tool_runs_is_refused(busy: Busy) -> None:
    assert busy.conversation.post("More.").status_code == 409
    busy.conversation.cancel(busy.turn["turn_id"])


def test_a_deleted_session_leaves_no_trace_of_its_calls(busy: Busy) -> None:
    [effect] = busy.http.get("/v1alpha/effects").json()["data"]
    assert (effect["status"], effect["session_id"]) == ("running", busy.conversation.session_id)
    settled = busy.http.post(f"/v1alpha/effects/{effect['key']}", json={"decision": "done", "content": "x"})
    assert settled.status_code == 409 and "running" in settled.json()["detail"]
    assert busy.http.delete(busy.conversation.path).status_code == 200
    assert busy.http.get("/v1alpha/effects").json()["data"] == []
    assert busy.http.get(f"/v1alpha/effects/{effect['key']}").status_code == 404


def test_a_shutdown_leaves_the_turn_to_the_next_start(busy: Busy) -> None:
    assert busy.server.stop() == 0
    busy.server.start()
    with busy.server.http() as http:
        there = Conversation(Api(http), busy.conversation.agent_id, busy.conversation.session_id)
        wait_until(lambda: there.show()["turns"][0].get("completed_at") is not None)
        [turn] = there.show()["turns"]
        assert "unknown" in turn["steps"][1]["tool_responses"][0]["content"]
        assert there.outcome(turn["turn_id"])["status"] == "completed"
