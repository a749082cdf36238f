"""Code of the model that calls other tools, through crashes and approvals: each effect happens once."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.server.api import ANSWER, Api, Conversation
from tests.server.conftest import FreshServer
from tests.server.process import Replaystack, wait_until
from tests.servers.processes import RunningServer, running

pytestmark = pytest.mark.slow

GROUPS = ["builtin::code_interpreter", "mcp::journal"]


class Journal:
    """A server with an MCP server that writes into a file, and connections to it."""

    def __init__(self, server: Replaystack, path: Path, opened: ExitStack) -> None:
        self.server = server
        self._path = path
        self._opened = opened

    @property
    def lines(self) -> list[str]:
        return self._path.read_text().splitlines()

    def api(self) -> Api:
        return Api(self._opened.enter_context(self.server.http()))

    def conversation(self, code: str) -> Conversation:
        arguments = json.dumps({"code": code})
        assert ";" not in arguments
        return self.api().conversation(
            f"scripted/tools;name=code_interpreter;arguments={arguments}", toolgroups=GROUPS
        )

    def killed(self, conversation: Conversation) -> Conversation:
        """Kills the server and starts it again. Returns the same session there."""
        self.server.kill9()
        self.server.start()
        return Conversation(self.api(), conversation.agent_id, conversation.session_id)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[RunningServer, Path]]:
    """The MCP server, and what it writes."""
    path = tmp_path_factory.mktemp("journal") / "journal"
    path.touch()
    with running("tests.servers.mcp_journal", "--journal", str(path)) as tools:
        yield tools, path


@pytest.fixture
def journal(fresh_server: FreshServer, written: tuple[RunningServer, Path]) -> Iterator[Journal]:
    tools, path = written
    path.write_text("")
    url = f"http://127.0.0.1:{tools.port}/mcp"
    groups = [{"id": "mcp::journal", "url": url, "approval": [{"tools": ["sign"]}]}]
    server = fresh_server(environment={"REPLAYSTACK_TOOLGROUPS": json.dumps(groups)})
    with ExitStack() as opened:
        yield Journal(server, path, opened)


def the_turn(conversation: Conversation) -> dict[str, Any]:
    [turn] = conversation.show()["turns"]
    return dict(turn)


def completed(conversation: Conversation) -> dict[str, Any]:
    turn_id = the_turn(conversation)["turn_id"]
    conversation.replay(turn_id)
    turn: dict[str, Any] = wait_until(
        lambda: found if (found := conversation.get(turn_id).json()).get("completed_at") else None
    )
    return turn


def result_of(turn: dict[str, Any]) -> str:
    assert turn["output_message"]["content"] == ANSWER
    [step] = [one for one in turn["steps"] if one["step_type"] == "tool_execution"]
    [response] = step["tool_responses"]
    return str(response["content"])


def test_code_calls_tools_one_after_the_other_and_together(journal: Journal) -> None:
    code = (
        "import asyncio\nfirst = await write(line='one')\n"
        "both = await asyncio.gather(write('two'), write('two', 0.0))\nprint(first)\nboth"
    )
    turn = journal.conversation(code).turn("Go.")
    assert result_of(turn) == "wrote one\n['wrote two', 'wrote two']"
    assert journal.lines == ["one", "two", "two"]


def test_a_crash_during_a_call_of_the_code(journal: Journal) -> None:
    """The outcome of the second call is lost: the code is told so, and continues after it."""
    code = (
        "first = write(line='one')\ntry:\n    second = write(line='two', seconds=30)\n"
        "except RuntimeError as error:\n    second = str(error)\nthird = write(line='three')\n"
        "print(first)\nprint(second)\nthird"
    )
    conversation = journal.conversation(code)

    def post() -> None:
        with pytest.raises(Exception, match=r".*"):
            conversation.post("Go.")

    posting = threading.Thread(target=post)
    posting.start()
    wait_until(lambda: journal.lines == ["one", "two"])
    conversation = journal.killed(conversation)
    posting.join()
    first, second, third = result_of(completed(conversation)).splitlines()
    assert (first, third) == ("wrote one", "wrote three")
    assert "unknown" in second
    assert journal.lines == ["one", "two", "three"]
    effects = conversation.http.get("/v1alpha/effects").json()["data"]
    assert sorted(one["status"] for one in effects) == ["done", "done", "done", "unknown"]


def test_an_approval_and_a_crash_in_the_middle_of_code(journal: Journal) -> None:
    code = "x = [write(line='one')]\nprint('before')\nx.append(sign(line='signed'))\nx.append(write(line='last'))\nx"
    conversation = journal.conversation(code)
    waiting = conversation.post("Go.")
    assert waiting.headers["x-turn-status"] == "awaiting_input", waiting.text
    [call] = waiting.json()["output_message"]["tool_calls"]
    assert (call["tool_name"], json.loads(call["arguments"])) == ("sign", {"line": "signed"})
    assert journal.lines == ["one"]
    conversation = journal.killed(conversation)
    [approval] = conversation.http.get("/v1alpha/approvals").json()["data"]
    decided = conversation.http.post(
        f"/v1alpha/approvals/{approval['approval_id']}", json={"decision": "approve"}
    )
    assert decided.status_code == 200
    assert result_of(completed(conversation)) == "before\n['wrote one', 'wrote signed', 'wrote last']"
    assert journal.lines == ["one", "signed", "last"]


def test_a_denial_is_an_exception_in_the_code(journal: Journal) -> None:
    conversation = journal.conversation(
        "try:\n    sign(line='x')\nexcept RuntimeError as error:\n    print('refused:', error)"
    )
    conversation.post("Go.")
    [approval] = conversation.http.get("/v1alpha/approvals").json()["data"]
    body = {"decision": "deny", "reason": "not on Mondays"}
    conversation.http.post(f"/v1alpha/approvals/{approval['approval_id']}", json=body)
    assert "not on Mondays" in result_of(completed(conversation))
    assert journal.lines == []
