"""Effects whose outcome is unknown after a crash: shown, told to the model, and settled by an operator."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.cli.folders import replaystack
from tests.server.api import ANSWER, Api, Conversation
from tests.server.conftest import FreshServer
from tests.server.process import Replaystack, wait_until
from tests.server.tool_calls import messages
from tests.servers.processes import RunningServer, running

pytestmark = pytest.mark.slow

UNKNOWN = "The outcome of this call is unknown"


class Lost:
    """A server that was killed while a tool ran, and was started again."""

    def __init__(
        self, server: Replaystack, http: httpx.Client, journal: Path, conversation: Conversation
    ) -> None:
        self.server = server
        self.http = http
        self.journal = journal
        self.conversation = conversation

    def effects(self, status: str = "unknown") -> list[dict[str, Any]]:
        answer = self.http.get("/v1alpha/effects", params={"status": status})
        assert answer.status_code == 200, answer.text
        found: list[dict[str, Any]] = answer.json()["data"]
        return found

    def settle(self, key: str, **body: Any) -> httpx.Response:
        return self.http.post(f"/v1alpha/effects/{key}", json=body)


@pytest.fixture
def lost(fresh_server: FreshServer, tmp_path: Path) -> Iterator[Lost]:
    journal = tmp_path / "journal"
    journal.touch()
    with running("tests.servers.mcp_journal", "--journal", str(journal)) as tools, ExitStack() as opened:
        group = {"id": "mcp::journal", "url": f"http://127.0.0.1:{tools.port}/mcp"}
        server = fresh_server(environment={"REPLAYSTACK_TOOLGROUPS": json.dumps([group])})
        model = 'scripted/tools;name=write;arguments={"line":"one","seconds":5}'
        first = opened.enter_context(server.http())
        conversation = Api(first).conversation(model, toolgroups=["mcp::journal"])
        asking = threading.Thread(target=ask, args=(conversation,))
        asking.start()
        wait_until(lambda: journal.read_text() != "")
        server.kill9()
        asking.join()
        http = opened.enter_context(server.start().http())
        there = Conversation(Api(http), conversation.agent_id, conversation.session_id)
        wait_until(lambda: there.show()["turns"][0].get("completed_at") is not None)
        yield Lost(server, http, journal, there)


def ask(conversation: Conversation) -> None:
    try:
        conversation.post("Go.")
    except httpx.HTTPError:
        return  # the server was killed


def test_a_lost_outcome_is_unknown_to_the_model_and_settled_by_an_operator(
    lost: Lost, scripted: RunningServer
) -> None:
    [turn] = lost.conversation.show()["turns"]
    assert turn["output_message"]["content"] == ANSWER
    assert messages(scripted)[-1][0] == "tool" and UNKNOWN in messages(scripted)[-1][1]
    [effect] = lost.effects()
    assert (effect["tool_name"], effect["toolgroup"], effect["attempts"]) == ("write", "mcp::journal", 1)
    assert lost.journal.read_text() == "one\n", "it was not called again"
    for body, problem in (
        ({"decision": "done"}, "needs the content"),
        ({"decision": "retry", "content": "x"}, "has no content"),
        ({"decision": "later"}, "decision"),
    ):
        answer = lost.settle(effect["key"], **body)
        assert answer.status_code == 400 and problem in answer.json()["detail"], answer.text
    assert lost.settle("0" * 64, decision="retry").status_code == 404
    answer = lost.settle(effect["key"], decision="done", content="wrote one", reason="I looked")
    assert answer.status_code == 200, answer.text
    settled = answer.json()
    assert (settled["status"], settled["content"], settled["settled_reason"]) == (
        "done",
        "wrote one",
        "I looked",
    )
    assert lost.effects() == [] and lost.effects("done") == [settled]
    again = lost.settle(effect["key"], decision="failed", content="x")
    assert again.status_code == 409 and "known: done" in again.json()["detail"]
    lost.conversation.post("And now?", toolgroups=[])
    assert ("tool", "wrote one") in messages(scripted, 2), "a later turn sees the settled result"


def test_a_retry_calls_the_tool_again_because_an_operator_says_so(lost: Lost) -> None:
    [effect] = lost.effects()
    answer = lost.settle(effect["key"], decision="retry")
    assert answer.status_code == 200, answer.text
    assert (answer.json()["status"], answer.json()["content"]) == ("done", "wrote one")
    assert lost.journal.read_text() == "one\none\n"


def test_doctor_counts_unknown_effects(lost: Lost) -> None:
    answer = replaystack("doctor", "--data", str(lost.server.data))
    assert "1 call of a tool has an unknown outcome" in answer.stdout
