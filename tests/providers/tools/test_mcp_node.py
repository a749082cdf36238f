"""The reference servers of MCP, over standard input and output and over HTTP."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from stack.providers.tools.port import Answer, ToolResult
from tests.providers.tools.conftest import Group, Open
from tests.server.process import wait_until
from tests.servers import mcp_node

pytestmark = pytest.mark.slow

EVERYTHING = "@modelcontextprotocol/server-everything"
FILESYSTEM = "@modelcontextprotocol/server-filesystem"


def command(package: str, *arguments: str) -> list[str]:
    return [mcp_node.node(), mcp_node.package(package, "dist/index.js"), *arguments]


if mcp_node.is_wanted():

    @pytest.fixture(scope="module")
    def http_url() -> Iterator[str]:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        environment = os.environ | {"PORT": str(port)}
        with subprocess.Popen(
            command(EVERYTHING, "streamableHttp"), env=environment, stderr=subprocess.DEVNULL
        ) as one:
            wait_until(lambda: listens(port))
            yield f"http://127.0.0.1:{port}/mcp"
            one.terminate()

    @pytest.fixture(scope="module", params=["stdio", "http"])
    def everything(request: pytest.FixtureRequest, open_group: Open) -> Group:
        if request.param == "stdio":
            return open_group(
                command=command(EVERYTHING, "stdio"), repeatable=["trigger-elicitation-request"]
            )
        url = request.getfixturevalue("http_url")
        return open_group(url=url, repeatable=["trigger-elicitation-request"])

    def test_everything(everything: Group) -> None:
        tools = everything.tools()
        assert {"echo", "get-sum", "get-tiny-image", "trigger-elicitation-request"} <= tools.keys()
        assert everything.text("echo", message="hi") == "Echo: hi"
        assert "3" in everything.text("get-sum", a=1, b=2)
        image = everything.call("get-tiny-image")
        assert "image" in [item.type for item in image.content]
        structured = everything.call("get-structured-content", location="Chicago")
        assert structured.metadata["structured_content"]["temperature"]
        links = everything.call("get-resource-links", count=2)
        assert isinstance(links, ToolResult) and "[resource " in str(links.content)
        assert everything.call("no-such-tool").is_error

    def test_a_question_of_everything(everything: Group) -> None:
        asked = everything.asked("trigger-elicitation-request")
        assert asked.question is not None
        declined = everything.call("trigger-elicitation-request", asked.state, Answer(action="decline"))
        assert "declined" in json.dumps([item.text for item in declined.content])

    def test_a_tool_that_runs_only_as_a_task_is_named(everything: Group) -> None:
        everything.tools()
        assert re.search("simulate-research-query.*task", "\n".join(everything.port.problems()))

    def test_filesystem(open_group: Open, tmp_path: Path) -> None:
        (tmp_path / "a.txt").write_text("hello")
        group = open_group(command=command(FILESYSTEM, str(tmp_path)), trust_annotations=True)
        tools = group.tools()
        assert tools["read_text_file"].repeatable and not tools["move_file"].repeatable
        assert group.text("read_text_file", path=str(tmp_path / "a.txt")) == "hello"
        written = group.call("write_file", path=str(tmp_path / "b.txt"), content="there")
        assert not written.is_error and (tmp_path / "b.txt").read_text() == "there"
        outside: Any = group.call("read_text_file", path="/etc/hostname")
        assert outside.is_error and "denied" in str(outside.content).lower()


def listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True
