"""Tools of MCP servers through the server: listed, called directly, called by turns."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import httpx
import psutil
import pytest

from tests.server.api import ANSWER, Api, check_error
from tests.server.conftest import FreshServer
from tests.server.process import Replaystack, wait_until
from tests.servers.processes import ROOT, RunningServer

pytestmark = pytest.mark.slow


def server(name: str, module: str, **more: Any) -> dict[str, Any]:
    return {"id": f"mcp::{name}", "command": [sys.executable, "-m", module], "cwd": str(ROOT), **more}


TOOLS = server(
    "tools",
    "tests.servers.mcp_tools",
    env={"SECRET": "hidden-value"},
    approval=[{"tools": ["add"], "arguments": {"$.a": "^13$"}}],
)
GROUPS = [
    TOOLS,
    server("odd", "tests.servers.mcp_hostile", repeatable=["answer"]),
    {"id": "mcp::gone", "command": ["/no/such/command"], "env": {"TOKEN": "hidden-value"}},
    {"id": "mcp::far", "url": "http://user:hidden-value@127.0.0.1:9/mcp?key=hidden-value"},
]
CONFIGURED = {"REPLAYSTACK_TOOLGROUPS": json.dumps(GROUPS)}


@pytest.fixture(scope="module")
def client(
    tmp_path_factory: pytest.TempPathFactory, scripted_server: RunningServer
) -> Iterator[httpx.Client]:
    data = tmp_path_factory.mktemp("mcp") / "data"
    with Replaystack(data, model_url=scripted_server.base_url, environment=CONFIGURED) as running:
        with httpx.Client(base_url=running.url, timeout=60) as client:
            yield client
        running.check_healthy()
    assert '"level":"error"' not in running.log, running.log
    assert "hidden-value" not in running.log


def invoke(client: httpx.Client, tool: str, headers: dict[str, str] | None = None, **kwargs: Any) -> Any:
    body = {"tool_name": tool, "kwargs": kwargs}
    return client.post("/v1/tool-runtime/invoke", json=body, headers=headers)


@pytest.mark.parametrize("content", ["mcp://tools/memo://note", {"uri": "mcp://tools/memo://note"}])
def test_a_resource_is_a_document(client: httpx.Client, content: Any) -> None:
    conversation = Api(client).conversation("scripted/echo")
    document = {"content": content, "mime_type": "text/plain"}
    assert "remember" in conversation.turn("Read.", documents=[document])["output_message"]["content"]


@pytest.mark.parametrize(
    ("uri", "status"),
    [
        ("mcp://none/memo://note", 400),
        ("mcp://tools/", 400),
        ("mcp://tools/memo://none", 502),
        ("mcp://gone/a", 502),
    ],
)
def test_a_resource_that_cannot_be_read(client: httpx.Client, uri: str, status: int) -> None:
    document = {"content": {"uri": uri}, "mime_type": "text/plain"}
    answer = Api(client).conversation().post("Read.", documents=[document])
    assert answer.status_code == status and "documents[0].content" in answer.json()["detail"], answer.text


def test_toolgroups_are_listed_without_secrets(client: httpx.Client) -> None:
    answer = client.get("/v1/toolgroups")
    listed = {one["identifier"]: one for one in answer.json()["data"]}
    assert {"mcp::tools", "mcp::odd", "mcp::gone", "mcp::far"} <= listed.keys()
    assert listed["mcp::tools"] == {
        "identifier": "mcp::tools",
        "provider_id": "model-context-protocol",
        "type": "tool_group",
        "provider_resource_id": "mcp::tools",
    }
    assert listed["mcp::far"]["mcp_endpoint"] == {"uri": "http://127.0.0.1:9/mcp"}
    assert "hidden" not in answer.text
    assert client.get("/v1/toolgroups/mcp::odd").json() == listed["mcp::odd"]
    check_error(client.get("/v1/toolgroups/mcp::none"), 404)


def test_tools_are_listed_and_those_of_a_broken_group_left_out(client: httpx.Client) -> None:
    tools = {one["identifier"]: one for one in client.get("/v1/tools").json()["data"]}
    assert {"add", "answer"} <= tools.keys()
    add = tools["add"]
    assert add["toolgroup_id"] == "mcp::tools" and add["name"] == "add" and add["type"] == "tool"
    assert add["parameters"] == [
        {"name": "a", "description": "A", "parameter_type": "integer", "required": True},
        {"name": "b", "description": "B", "parameter_type": "integer", "required": True},
    ]
    assert add["input_schema"]["required"] == ["a", "b"]
    of_one = client.get("/v1/tools", params={"toolgroup_id": "mcp::odd"}).json()["data"]
    assert {one["toolgroup_id"] for one in of_one} == {"mcp::odd"}
    assert (
        client.get("/v1/tool-runtime/list-tools", params={"tool_group_id": "mcp::odd"}).json()["data"]
        == of_one
    )
    assert client.get("/v1/tools/add").json() == add
    assert client.get("/v1/tools/mcp::tools/add").json()["toolgroup_id"] == "mcp::tools"
    check_error(client.get("/v1/tools/none"), 404)
    check_error(client.get("/v1/tools", params={"toolgroup_id": "mcp::gone"}), 502)
    check_error(client.get("/v1/tool-runtime/list-tools", params={"mcp_endpoint": "http://a"}), 400)


def test_a_tool_is_called_directly(client: httpx.Client) -> None:
    assert invoke(client, "add", a=2, b=3).json() == {
        "content": "5",
        "metadata": {"structured_content": {"result": 5}},
    }
    failed = invoke(client, "mcp::tools/fail", message="no")
    assert failed.status_code == 200 and failed.json()["error_code"] == 1 and failed.json()["error_message"]


def test_a_direct_call_is_refused_with_the_reason(client: httpx.Client) -> None:
    check_error(invoke(client, "add", a=13, b=1), 403)
    check_error(invoke(client, "add", a="x", b=1), 400)
    check_error(invoke(client, "none"), 404)
    asked = invoke(client, "delete", path="/a")
    check_error(asked, 409)
    assert "Delete /a?" in asked.json()["detail"]
    died = invoke(client, "die")
    check_error(died, 502)
    assert died.headers["x-should-retry"] == "false"


def test_a_direct_call_is_not_repeated(client: httpx.Client) -> None:
    for headers in ({"x-stainless-retry-count": "1"}, {"Idempotency-Key": "k"}):
        check_error(invoke(client, "add", headers, a=1, b=1), 409)
        assert invoke(client, "answer", headers, x=1).json()["content"] == '{"x": 1}'


def test_a_turn_calls_a_tool(client: httpx.Client) -> None:
    model = 'scripted/tools;name=add;arguments={"a":40,"b":2}'
    turn = Api(client).conversation(model, toolgroups=["mcp::tools/add"]).turn("Go.")
    [response] = turn["steps"][1]["tool_responses"]
    assert response["content"] == "42" and turn["output_message"]["content"] == ANSWER


def test_a_turn_with_a_server_that_is_down_fails_with_its_name(client: httpx.Client) -> None:
    answer = Api(client).conversation(toolgroups=["mcp::gone"]).post("Go.")
    check_error(answer, 502)
    assert "mcp::gone" in answer.json()["detail"]


def test_a_cancelled_turn_cancels_its_call_at_the_server(fresh_server: FreshServer) -> None:
    running = fresh_server(environment={"REPLAYSTACK_TOOLGROUPS": json.dumps(GROUPS[1:2])})
    with running.http() as client:
        before = invoke(client, "cancelled").json()["content"]
        conversation = Api(client).conversation("scripted/tools;name=hang", toolgroups=["mcp::odd/hang"])
        with conversation.streaming("Go.") as stream:
            turn_id = next(iter(stream)).payload["turn_id"]
            wait_until(lambda: "hang" in invoke(client, "calls").json()["content"])
            assert conversation.cancel(turn_id).status_code == 200
        wait_until(lambda: invoke(client, "cancelled").json()["content"] != before)


def test_a_question_is_answered_after_a_restart(fresh_server: FreshServer) -> None:
    """The server, and with it the MCP server, are other processes when the answer comes."""
    environment = {"REPLAYSTACK_TOOLGROUPS": json.dumps([TOOLS])}
    model = 'scripted/tools;name=delete;arguments={"path":"/a"}'
    running = fresh_server(environment=environment)
    with running.http() as client:
        conversation = Api(client).conversation(model, toolgroups=["mcp::tools"])
        turn = conversation.turn("Go.")
        [call] = turn["output_message"]["tool_calls"]
        assert "completed_at" not in turn and call["tool_name"] == "delete"
    running.stop()
    running.start()
    with running.http() as client:
        conversation.http = client
        response = {"call_id": call["call_id"], "tool_name": "delete", "content": '{"really": true}'}
        resumed = conversation.resume(turn["turn_id"], response)
        assert resumed.status_code == 200, resumed.text
    done = resumed.json()
    [returned] = next(step for step in done["steps"] if step["step_type"] == "tool_execution")[
        "tool_responses"
    ]
    assert returned["content"] == "deleted /a" and done["output_message"]["content"] == ANSWER


def test_doctor_names_what_does_not_work(fresh_server: FreshServer) -> None:
    running = fresh_server(environment={"REPLAYSTACK_TOOLGROUPS": json.dumps(GROUPS[2:3])})
    with running.http() as client:
        assert client.get("/v1/tools").status_code == 200
    done = subprocess.run(
        [sys.executable, "-m", "stack.cli", "doctor", "--data", str(running.data), "--json"],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
    )
    checks = [check for check in json.loads(done.stdout)["checks"] if check["name"] == "tools"]
    assert [check["state"] for check in checks] == ["warning"] and "mcp::gone" in checks[0]["detail"]


def test_no_mcp_server_outlives_a_server_that_is_killed(fresh_server: FreshServer) -> None:
    """Also if it hangs, and does not notice that its input has ended."""
    running = fresh_server(environment={"REPLAYSTACK_TOOLGROUPS": json.dumps(GROUPS[1:2])})
    with running.http() as client:
        assert "answer" in str(client.get("/v1/tools").json())
        with pytest.raises(httpx.ReadTimeout):
            body = {"tool_name": "deaf", "kwargs": {}}
            client.post("/v1/tool-runtime/invoke", json=body, timeout=1.0)
    [process] = [
        one for one in psutil.Process(running.pid).children() if "tests.servers.mcp_hostile" in one.cmdline()
    ]
    running.kill9()
    wait_until(lambda: not process.is_running() or process.status() == psutil.STATUS_ZOMBIE)
