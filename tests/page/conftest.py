"""A server with sessions worth looking at, and a browser."""

from __future__ import annotations

import json
from collections.abc import Iterator

import httpx
import pytest
from msgspec import Struct
from playwright.sync_api import Browser

from tests.page.browser import CHROMIUM, DEMANDED, Watched, browser
from tests.server.api import Api
from tests.server.process import Replaystack
from tests.servers.fixtures import scripted_server
from tests.servers.processes import RunningServer

__all__ = ["scripted_server"]

TOOL = {"name": "search", "description": "Searches.", "input_schema": {"type": "object", "properties": {}}}
HOSTILE = "<img src=x onerror=\"document.title='hit'\"> [x](javascript:document.title='hit') \u202egnp.exe <b>bold</b>"


class Sessions(Struct, frozen=True):
    """Ids of sessions: of three turns, of a turn that waits for a tool and then continues, of one that failed, and hostile."""

    plain: str
    tool: str
    failed: str
    hostile: str


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory, scripted_server: RunningServer) -> Iterator[Replaystack]:
    data = tmp_path_factory.mktemp("page") / "data"
    with Replaystack(data, model_url=scripted_server.base_url) as server:
        yield server
        server.check_healthy()


@pytest.fixture(scope="session")
def client(server: Replaystack) -> Iterator[httpx.Client]:
    with server.http() as client:
        yield client


@pytest.fixture(scope="session")
def sessions(client: httpx.Client) -> Sessions:
    api = Api(client)
    plain = api.conversation()
    for text in ("Where is the storm?", "And **now**?", "Thanks."):
        plain.turn(text)
    tool = api.conversation("scripted/tools;pieces=4", client_tools=[TOOL])
    turn = tool.turn()
    call = turn["output_message"]["tool_calls"][0]
    responses = [
        {
            "call_id": call["call_id"],
            "tool_name": "search",
            "content": json.dumps({"ships": ["Anna", "Berta"]}),
        }
    ]
    client.post(
        f"{tool.path}/turn/{turn['turn_id']}/resume", json={"tool_responses": responses, "stream": False}
    ).raise_for_status()
    failed = api.conversation("scripted/status;code=500;message=overloaded")
    client.post(f"{failed.path}/turn", json={"messages": [{"role": "user", "content": "x"}], "stream": False})
    agent_id = api.create_agent("scripted/echo")
    named = client.post(f"/v1alpha/agents/{agent_id}/session", json={"session_name": HOSTILE}).json()
    client.post(
        f"/v1alpha/agents/{agent_id}/session/{named['session_id']}/turn",
        json={"messages": [{"role": "user", "content": HOSTILE}], "stream": False},
    ).raise_for_status()
    return Sessions(plain.session_id, tool.session_id, failed.session_id, named["session_id"])


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """Ends with the tests of a file: Playwright keeps an event loop, with which asyncio tests cannot run."""
    if not CHROMIUM:
        assert not DEMANDED, "PAGE_TESTS is set, and there is no chromium"
        pytest.skip("there is no chromium on this machine: install it, or set CHROMIUM")
    with browser() as launched:
        yield launched


@pytest.fixture
def tab(chromium: Browser, server: Replaystack, sessions: Sessions) -> Iterator[Watched]:
    """A new tab. A test with errors in the page, or reports of its policy, fails."""
    context = chromium.new_context(base_url=server.url, viewport={"width": 1280, "height": 800})
    watched = Watched(context.new_page())
    yield watched
    context.close()
    assert watched.problems == []
