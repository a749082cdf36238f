"""Tools of real MCP servers, over standard input and output and over HTTP."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys

import pytest

from schemas.events.payload import ContentItem
from stack.errors import Invalid
from stack.providers.tools.port import Answer, NotCalled, Suspended, ToolRequest, ToolResult
from tests.providers.tools.conftest import KEY, Group, Open, module
from tests.servers.mcp_tools import PNG
from tests.servers.processes import ROOT, RunningServer

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", params=["stdio", "http"])
def group(request: pytest.FixtureRequest, open_group: Open) -> Group:
    if request.param == "stdio":
        return open_group(**module("mcp_tools"), env={"GIVEN": "1"}, max_result_bytes=2048)
    server: RunningServer = request.getfixturevalue("http_server")
    return open_group(url=f"http://127.0.0.1:{server.port}/mcp", max_result_bytes=2048)


def test_tools_are_listed(group: Group) -> None:
    tools = group.tools()
    assert tools["add"].description == "Adds two numbers."
    assert tools["add"].input_schema["required"] == ["a", "b"]
    assert tools["add"].output_schema["properties"]["result"]["type"] == "integer"
    assert tools["variables"].metadata == {"annotations": {"readOnlyHint": True}}
    assert not any(tool.repeatable for tool in tools.values())
    assert group.port.problems() == []


def test_a_tool_is_called(group: Group) -> None:
    assert group.call("add", a=2, b=3) == ToolResult(
        content="5", metadata={"structured_content": {"result": 5}}
    )


def test_an_error_of_a_tool_is_a_result(group: Group) -> None:
    failed = group.call("fail", message="no luck")
    assert failed.is_error and "fail" in failed.content
    refused = group.call("add", a="x", b=1)
    assert refused.is_error
    gone = group.call("gone")
    assert gone.is_error and "gone" in gone.content


def test_content_of_every_kind_becomes_text_or_an_image(group: Group) -> None:
    result = group.call("parts")
    assert [item.type for item in result.content] == ["text", "image", "text", "text", "text", "text"]
    image = result.content[1]
    assert isinstance(image, ContentItem) and image.image is not None and image.image.data == PNG
    assert [item.text for item in result.content if item.text] == [
        "words",
        "[audio/wav, 3 bytes, not shown]",
        "memo://1:\nnote",
        "[binary data, 3 bytes at memo://2, not shown]",
        "[resource third: memo://3]",
    ]
    assert result.metadata == {"structured_content": {"n": 1}}


def test_the_key_of_the_effect_goes_along(group: Group) -> None:
    assert json.loads(group.text("key"))["idempotencyKey"] == KEY


def test_a_large_result_is_an_error_that_names_the_limit(group: Group) -> None:
    assert len(group.text("large", size=900)) == 900
    result = group.call("large", size=3_000)
    assert result.is_error and "max_result_bytes" in result.content and "2048" in result.content


def test_a_question_suspends_the_call_until_its_answer(group: Group) -> None:
    asked = group.asked("delete", path="/a")
    assert asked.question is not None and asked.question.message == "Delete /a?"
    assert asked.question.request["requestedSchema"]["properties"]["really"]["type"] == "boolean"
    accepted = Answer(action="accept", content={"really": True})
    assert group.call("delete", asked.state, accepted, path="/a").content == "deleted /a"
    declined = Answer(action="decline")
    assert group.call("delete", asked.state, declined, path="/a").content == "kept /a: decline"
    assert group.call("delete", asked.state, None, path="/a").content == "kept /a: cancel"


def test_an_answer_that_does_not_match_is_asked_for_again(group: Group) -> None:
    asked = group.asked("delete", path="/a")
    again = group.call("delete", asked.state, Answer(action="accept", content={"really": "maybe"}), path="/a")
    assert isinstance(again, Suspended) and again.question is not None
    assert again.state == asked.state
    assert "really" in again.question.message and again.question.message.endswith("Delete /a?")


def test_several_questions_are_asked_one_by_one(group: Group) -> None:
    asked = group.asked("explain", path="/a")
    questions, content = [], {"really": True, "why": "old"}
    while isinstance(asked, Suspended):
        assert asked.question is not None
        questions.append(asked.question.message)
        names = asked.question.request["requestedSchema"]["properties"]
        answer = Answer(action="accept", content={name: content[name] for name in names})
        asked = group.call("explain", asked.state, answer, path="/a")
    assert sorted(questions) == ["Delete /a?", "Why /a?"]
    assert asked.content == "/a: True, old"


def test_a_changed_state_fails_cleanly(group: Group) -> None:
    asked = group.asked("delete", path="/a")
    yes = Answer(action="accept", content={"really": True})
    state = json.loads(asked.state)
    sealed = state["server_state"]
    changed = [
        "",
        "{",
        "[]",
        asked.state[:-1],
        json.dumps(state | {"server_state": sealed[:-4] + "AAAA"}),
        json.dumps(state | {"server_state": "x"}),
    ]
    for one in changed:
        result = group.call("delete", one, yes, path="/a")
        assert (
            isinstance(result, ToolResult) and result.is_error and "state" in str(result.content).lower()
        ), one
    other = group.call("delete", asked.state, yes, path="/etc")
    assert other.is_error and "other arguments" in other.content


def test_an_answer_is_accepted_by_a_process_that_was_started_later(group: Group, open_group: Open) -> None:
    asked = group.asked("delete", path="/later")
    later = open_group(**module("mcp_tools"))
    yes = Answer(action="accept", content={"really": True})
    assert later.call("delete", asked.state, yes, path="/later").content == "deleted /later"


def test_calls_run_concurrently_and_a_cancelled_one_ends(group: Group) -> None:
    async def run() -> None:
        def call(seconds: float) -> asyncio.Task[ToolResult]:
            request = ToolRequest(tool="slow", arguments={"seconds": seconds}, key=KEY)
            return asyncio.create_task(group.port.call(request))

        endless = call(3600)
        await asyncio.gather(*(call(0.01) for _ in range(20)))
        assert not endless.done()
        endless.cancel()
        with pytest.raises(asyncio.CancelledError):
            await endless

    group.run(run())
    assert group.text("add", a=1, b=1) == "2"


def test_a_resource_is_read(group: Group) -> None:
    read = group.run(group.port.read_resource("memo://note", {}))
    assert [(one.text, one.uri, one.data) for one in read] == [("remember", "memo://note", None)]


def test_args_are_refused_unless_the_settings_allow_them(group: Group) -> None:
    for args in ({"url": "https://example.com"}, {"headers": {"a": "b"}}, {"path": "/"}):
        with pytest.raises(Invalid, match="args"):
            group.tools(**args)


def test_a_process_gets_its_own_environment_only(open_group: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    group = open_group(**module("mcp_tools"), env={"GIVEN": "1"}, repeatable=["add"], trust_annotations=True)
    got = json.loads(group.text("variables", names=["OPENAI_API_KEY", "GIVEN", "PATH"]))
    assert got["OPENAI_API_KEY"] is None and got["GIVEN"] == "1" and got["PATH"] and got["cwd"] == str(ROOT)
    repeatable = {name for name, tool in group.tools().items() if tool.repeatable}
    assert repeatable == {"add", "variables"}


def test_a_server_that_cannot_be_started_was_not_called(open_group: Open) -> None:
    group = open_group(command=["/no/such/command"])
    with pytest.raises(NotCalled, match="does not exist"):
        group.call("add")
    assert "does not exist" in group.port.problems()[0]
    unreachable = open_group(url="http://127.0.0.1:9/mcp")
    with pytest.raises(NotCalled, match="cannot be reached"):
        unreachable.call("add")


def test_urls_of_args_must_be_public(open_group: Open, http_server: RunningServer) -> None:
    group = open_group(args_may_set=["url"])
    with pytest.raises(Invalid, match="https"):
        group.tools(url=f"http://127.0.0.1:{http_server.port}/mcp")
    for url in ("https://127.0.0.1/mcp", "https://[::1]/mcp", "https://localhost/mcp"):
        with pytest.raises(Exception, match="not on the public internet"):
            group.tools(url=url)
    with pytest.raises(Invalid, match=r"args\.url"):
        group.tools()


def test_args_may_give_headers(open_group: Open, http_server: RunningServer) -> None:
    """Each kind of args has a connection of its own; the least recently used one is closed for another."""
    group = open_group(url=f"http://127.0.0.1:{http_server.port}/mcp", args_may_set=["headers"])
    for number in range(18):
        assert "add" in group.tools(headers={"x-user": str(number)})
    for headers in ({"a b": "c"}, {"a": "b\r\nc: d"}, {"a": 1}, "a"):
        with pytest.raises(Invalid, match=r"args\.headers"):
            group.tools(headers=headers)


def test_the_sdk_is_imported_when_a_server_is_used() -> None:
    program = "import sys, stack.wiring, stack.providers.tools.registry; print('mcp' in sys.modules)"
    printed = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert printed.stdout.strip() == "False"
