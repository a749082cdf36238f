"""Web search, against a stand-in that speaks the documented shapes of both services."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, Literal

import pytest
from msgspec.structs import replace

from stack.config import secrets_of, shown
from stack.errors import Invalid
from stack.providers.retrieval.collections import Collections
from stack.providers.tools.port import STRUCTURED_CONTENT, ToolRequest, ToolResult
from stack.providers.tools.registry import ToolGroups
from stack.providers.tools.settings import ToolGroupSettings
from stack.providers.tools.settings_check import check
from stack.providers.tools.web_search import MAX_ANSWER_BYTES, WebSearch
from stack.settings import Settings
from tests.providers.retrieval.embedders import NoEmbeddings
from tests.servers.search_services import KEY, SearchServices, search_services

pytestmark = pytest.mark.anyio

PAGES = [
    {"title": "A <b>harbour</b>", "url": "https://a.example/x?y=1", "description": "It opens\n&amp; closes.", "content": "It opens\n&amp; closes."},
    {"title": "", "url": "http://b.example", "description": None, "content": None},
]  # fmt: skip
LISTED = (
    "1. A harbour\nhttps://a.example/x?y=1\nIt opens & closes.\n\n2. http://b.example\nhttp://b.example\n"
)


@pytest.fixture
def services() -> Iterator[SearchServices]:
    with search_services() as server:
        yield server


def settings(services: SearchServices, provider: Literal["brave", "tavily"] = "brave") -> ToolGroupSettings:
    return ToolGroupSettings(
        id="builtin::websearch", provider=provider, api_key=KEY, base_url=services.base_url
    )


@pytest.fixture(params=["brave", "tavily"])
async def group(services: SearchServices, request: pytest.FixtureRequest) -> AsyncIterator[WebSearch]:
    made = WebSearch(settings(services, request.param))
    yield made
    await made.aclose()


async def search(group: WebSearch, query: str = "when does it open?") -> ToolResult:
    return await group.call(ToolRequest(tool="web_search", arguments={"query": query}, key="0" * 64))


async def test_results_are_a_numbered_list(group: WebSearch, services: SearchServices) -> None:
    services.answer = PAGES
    result = await search(group)
    assert result.content == LISTED
    assert not result.is_error
    assert (result.metadata or {})[STRUCTURED_CONTENT][0] == {
        "title": "A harbour",
        "url": "https://a.example/x?y=1",
        "text": "It opens & closes.",
    }
    asked = services.asked[0]
    assert asked.get("q", asked.get("query")) == "when does it open?"
    assert str(asked.get("count", asked.get("max_results"))) == "10"


async def test_the_tool_is_repeatable_and_takes_a_query(group: WebSearch) -> None:
    [tool] = await group.tools({})
    assert (tool.name, tool.repeatable, tool.input_schema["required"]) == ("web_search", True, ["query"])
    with pytest.raises(Invalid, match="takes no args; remove 'api_key'"):
        await group.tools({"api_key": "x"})


async def test_bad_results_are_left_out(group: WebSearch, services: SearchServices) -> None:
    services.answer = [
        None,
        1,
        {},
        {"url": "javascript:alert(1)"},
        {"url": "https://x.example/a b"},
        {"url": 5},
    ]
    assert (await search(group)).content == "Nothing was found."
    services.answer = [
        {"url": f"https://x.example/{n}", "title": "t" * 9999, "content": "c" * 99999} for n in range(50)
    ]
    assert len(str((await search(group)).content)) < 15_000


@pytest.mark.parametrize(
    ("answer", "status", "problem"),
    [
        (b"<html>busy</html>", 200, "did not answer with JSON"),
        (b"[]", 200, "no list of results"),
        (b"", 200, "did not answer with JSON"),
        (b" " * (MAX_ANSWER_BYTES + 2), 200, "longer than 4 MiB"),
        (b"{}", 429, "refused the request with status 429"),
        (b"{}", 500, "status 500"),
        (b"{}", 302, "status 302"),
    ],
)
async def test_failures_are_for_the_model(
    group: WebSearch, services: SearchServices, answer: bytes, status: int, problem: str
) -> None:
    services.answer, services.status = answer, status
    result = await search(group)
    assert result.is_error
    assert problem in str(result.content)
    assert KEY not in str(result.content)


async def test_a_service_that_cannot_be_reached_or_does_not_answer(services: SearchServices) -> None:
    services.delay_s = 5.0
    for changed, problem in (
        ({"base_url": "http://127.0.0.1:1"}, "cannot be reached"),
        ({"timeout_s": 0.1}, "did not answer"),
    ):
        group = WebSearch(replace(settings(services), **changed))
        result = await search(group)
        await group.aclose()
        assert result.is_error
        assert problem in str(result.content)


async def test_the_group_is_absent_without_a_key(services: SearchServices) -> None:
    for given, there in ((settings(services), True), (replace(settings(services), api_key=""), False)):
        check(given)
        groups = ToolGroups([given], Collections([], NoEmbeddings(), Path()), 4096)
        assert ("builtin::websearch" in groups.groups) is there
        await groups.aclose()


def test_the_key_is_masked(services: SearchServices) -> None:
    given: Any = [settings(services)]
    assert KEY in secrets_of(Settings(toolgroups=given))
    assert KEY not in str(shown(given))


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"id": "builtin::websearch", "api_key": KEY}, "provider is missing"),
        ({"id": "mcp::x", "url": "https://x.example", "api_key": KEY}, "are for builtin::websearch"),
        ({"id": "builtin::websearch", "engine": "monty"}, "are for builtin::code_interpreter"),
        ({"id": "builtin::code_interpreter", "engine": "sandbox"}, "needs `python`"),
        (
            {"id": "builtin::code_interpreter", "engine": "sandbox", "python": "venv/bin/python"},
            "absolute path",
        ),
        ({"id": "builtin::code_interpreter", "python": "/usr/bin/python3"}, 'is for `engine = "sandbox"`'),
    ],
)
def test_settings_that_do_not_fit(given: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        check(ToolGroupSettings(**given))
