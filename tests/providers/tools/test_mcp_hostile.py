"""MCP servers that hang, die, flood, lie and change: no call waits for ever, and the next one works."""

from __future__ import annotations

import asyncio
import json
import time
from contextlib import suppress

import pytest

from stack.errors import UpstreamFailed, UpstreamTimeout
from stack.providers.tools.port import Answer, NotCalled, Suspended, ToolRequest, ToolResult
from tests.providers.tools.conftest import KEY, Group, Open, module

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def group(open_group: Open) -> Group:
    return open_group(**module("mcp_hostile"), repeatable=["ask", "ask_twice"])


@pytest.fixture(scope="module")
def modern(open_group: Open) -> Group:
    return open_group(**module("mcp_hostile", "--modern"))


def works(group: Group) -> None:
    assert group.text("answer", a=1) == '{"a": 1}'


def test_a_call_that_hangs_ends_at_its_timeout_and_the_server_is_told(open_group: Open) -> None:
    group = open_group(**module("mcp_hostile"), timeout_s=2.0)
    works(group)
    with pytest.raises(UpstreamTimeout, match="2 s"):
        group.call("hang")
    works(group)
    assert len(json.loads(group.text("cancelled"))) == 1


def test_a_cancelled_call_is_cancelled_at_the_server(group: Group) -> None:
    async def run() -> None:
        call = asyncio.create_task(group.port.call(ToolRequest(tool="hang", arguments={}, key=KEY)))
        calls = ToolRequest(tool="calls", arguments={}, key=KEY)
        while "hang" not in (await group.port.call(calls)).content:
            await asyncio.sleep(0.01)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call

    before = len(json.loads(group.text("cancelled")))
    group.run(run())
    assert len(json.loads(group.text("cancelled"))) == before + 1


def test_a_server_that_never_answers_is_started_again(open_group: Open) -> None:
    group = open_group(**module("mcp_hostile"), timeout_s=1.0)
    works(group)
    for _ in range(3):
        with pytest.raises(UpstreamTimeout):
            group.call("deaf")
    # Calls are refused until the process has ended.
    for _ in range(100):
        with suppress(NotCalled, UpstreamTimeout):
            return works(group)
    raise AssertionError("the server was not started again")


def test_the_outcome_of_a_call_in_which_the_server_dies_is_unknown(group: Group) -> None:
    with pytest.raises(UpstreamFailed, match=r"exited with code 3: out of cheese"):
        group.call("die")
    works(group)
    with pytest.raises(UpstreamFailed, match="out of cheese"):
        group.call("die")
    works(group)


def test_secrets_in_the_last_words_of_a_server_are_masked(open_group: Open) -> None:
    group = open_group(command=["sh", "-c", "echo bad $TOKEN >&2; exit 1"], env={"TOKEN": "hidden-value"})
    with pytest.raises(NotCalled, match=r"bad \[TOKEN\]"):
        group.call("answer")


def test_a_server_that_keeps_dying_is_left_alone_for_a_while(open_group: Open) -> None:
    group = open_group(command=["sh", "-c", "echo no >&2; exit 7"])
    said = []
    for _ in range(5):
        with pytest.raises(NotCalled) as refused:
            group.call("answer")
        said.append(str(refused.value))
    assert "exited with code 7: no" in said[0]
    assert "next attempt" in said[-1]


@pytest.mark.parametrize("tool", ["flood", "pings", "rubbish"])
def test_noise_delays_an_answer_and_does_not_prevent_it(group: Group, tool: str) -> None:
    assert group.text(tool, a=1) == '{"a": 1}'
    works(group)


@pytest.mark.parametrize(
    ("tool", "said"),
    [
        ("broken", "damaged"),
        ("longline", "larger than"),
        ("wrong", "not a result"),
        ("huge", "max_result_bytes"),
    ],
)
def test_an_unusable_answer_is_an_error_result(group: Group, tool: str, said: str) -> None:
    result = group.call(tool)
    assert isinstance(result, ToolResult) and result.is_error and said in str(result.content)
    works(group)


def test_a_server_that_writes_rubbish_for_ever_is_ended(group: Group) -> None:
    with pytest.raises(UpstreamFailed, match="not MCP messages"):
        group.call("endless")
    works(group)


def test_the_main_loop_is_not_delayed_by_a_flood(group: Group) -> None:
    async def run() -> float:
        call = asyncio.create_task(group.port.call(ToolRequest(tool="flood", arguments={}, key=KEY)))
        delays = []
        while not call.done():
            before = time.monotonic()
            await asyncio.sleep(0.001)
            delays.append(time.monotonic() - before)
        await call
        return sorted(delays)[len(delays) // 2]

    assert group.run(run()) < 1.0


def test_a_changed_list_is_read_again(open_group: Open) -> None:
    group = open_group(**module("mcp_hostile"))
    assert "new" not in group.tools()
    group.call("change")
    assert "new" in group.tools()


def test_only_usable_tools_are_offered_and_the_others_are_named(open_group: Open) -> None:
    group = open_group(**module("mcp_hostile", "--list", "bad"))
    tools = group.tools()
    assert list(tools) == ["good", "output", "long", "deep", "odd", "hinted"]
    assert tools["good"].description == "" and tools["output"].output_schema is None
    assert len(tools["long"].description) == 16_384
    assert not tools["hinted"].repeatable
    problems = "\n".join(group.port.problems())
    for name in (
        "'a b",
        "'nnn",
        "'remote'",
        "'no_schema'",
        "'array'",
        "'pattern'",
        "'large'",
        "'task'",
    ):
        assert name in problems, name
    assert "'good' is listed twice" in problems


def test_ten_thousand_tools_are_cut(open_group: Open) -> None:
    group = open_group(**module("mcp_hostile", "--list", "many"))
    assert len(group.tools()) == 1_024
    assert "1024" in "\n".join(group.port.problems())


def test_a_list_without_end_is_cut(open_group: Open) -> None:
    group = open_group(**module("mcp_hostile", "--list", "pages"))
    assert len(group.tools()) == 256
    assert "256 pages" in "\n".join(group.port.problems())


def test_a_question_during_a_call_of_a_repeatable_tool_suspends_it(group: Group) -> None:
    asked = group.asked("ask")
    assert asked.question is not None and asked.question.message == "ask 0"
    works(group)
    yes = Answer(action="accept", content={"v": "yes"})
    answer, _ = json.loads(group.call("ask", asked.state, yes).content)
    assert answer == {"action": "accept", "content": {"v": "yes"}}


def test_each_question_of_an_older_server_is_asked_once(group: Group) -> None:
    first = group.asked("ask_twice")
    second = group.call("ask_twice", first.state, Answer(action="accept", content={"v": "1"}))
    assert isinstance(second, Suspended) and second.question is not None
    assert second.question.message == "ask_twice 1"
    *answers, _ = json.loads(group.call("ask_twice", second.state, Answer(action="decline")).content)
    assert answers == [{"action": "accept", "content": {"v": "1"}}, {"action": "decline"}]


def test_a_question_of_any_other_tool_is_answered_at_once(open_group: Open) -> None:
    group = open_group(**module("mcp_hostile"))
    answer, calls = json.loads(group.text("ask"))
    assert answer == {"action": "cancel"} and calls == 1


def test_rounds_without_end_are_an_error(modern: Group) -> None:
    result = modern.call("again")
    assert result.is_error and "10 rounds" in result.content
    works(modern)


def test_what_this_client_does_not_offer_is_an_error(modern: Group) -> None:
    result = modern.call("sample")
    assert result.is_error and "sampling/createMessage" in result.content


def test_a_state_that_is_too_large_to_store_is_an_error(modern: Group) -> None:
    result = modern.call("tampered")
    assert result.is_error and "at most" in result.content
