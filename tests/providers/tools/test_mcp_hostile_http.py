"""MCP servers that misbehave over HTTP: each failure is that of one call, and the next call works."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from stack.errors import UpstreamFailed, UpstreamTimeout
from stack.providers.tools.port import NotCalled, ToolRequest
from tests.providers.tools.conftest import KEY, Group, Open
from tests.servers.processes import RunningServer, running

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def server() -> Iterator[RunningServer]:
    with running("tests.servers.mcp_hostile_http") as server:
        yield server


@pytest.fixture(scope="module")
def group(open_group: Open, server: RunningServer) -> Group:
    return open_group(url=f"http://127.0.0.1:{server.port}/mcp", headers={"x-key": "hidden"})


@pytest.fixture(autouse=True)
def works_afterwards(group: Group) -> Iterator[None]:
    yield
    assert group.text("answer", a=1) == '{"a": 1}'


@pytest.mark.parametrize("code", [401, 403, 429])
def test_a_refusal_was_not_a_call(group: Group, code: int) -> None:
    with pytest.raises(NotCalled, match=f"answered {code}"):
        group.call("status", code=code)


@pytest.mark.parametrize("code", [500, 502, 503])
def test_after_a_failure_of_the_server_the_outcome_is_unknown(group: Group, code: int) -> None:
    with pytest.raises(UpstreamFailed, match=f"answered {code}"):
        group.call("status", code=code)


@pytest.mark.parametrize(
    ("tool", "said"),
    [
        ("huge", "larger than"),
        ("bomb", "encoding"),
        ("cut", "broke|incomplete|closed"),
        ("event_cut", "ended"),
    ],
)
def test_an_answer_that_is_lost_leaves_the_outcome_unknown(group: Group, tool: str, said: str) -> None:
    with pytest.raises(UpstreamFailed, match=said):
        group.call(tool)


def test_events_without_end_are_cut(group: Group) -> None:
    with pytest.raises(UpstreamFailed):
        group.call("event_endless")


@pytest.mark.parametrize("tool", ["rubbish", "page"])
def test_rubbish_is_an_error_result(group: Group, tool: str) -> None:
    assert group.call(tool).is_error


def test_a_redirect_to_another_server_is_not_followed(group: Group) -> None:
    result = group.call("redirect")
    assert result.is_error and "not followed" in result.content


@pytest.mark.parametrize("tool", ["event_flood", "event_ask"])
def test_noise_does_not_prevent_an_answer(group: Group, tool: str) -> None:
    assert group.text(tool, a=1) == '{"a": 1}'


def test_a_session_that_the_server_has_forgotten_is_opened_again(group: Group) -> None:
    group.call("forget")
    assert group.text("answer", b=2) == '{"b": 2}'


def test_a_call_that_hangs_ends_and_does_not_hold_up_others(open_group: Open, server: RunningServer) -> None:
    group = open_group(url=f"http://127.0.0.1:{server.port}/mcp", timeout_s=3.0)
    group.call("answer")

    async def run() -> None:
        hangs = asyncio.create_task(group.port.call(ToolRequest(tool="hang", arguments={}, key=KEY)))
        await group.port.call(ToolRequest(tool="answer", arguments={}, key=KEY))
        assert not hangs.done()
        with pytest.raises(UpstreamTimeout):
            await hangs

    before = int(group.text("cancelled"))
    group.run(run())
    assert int(group.text("cancelled")) == before + 1
