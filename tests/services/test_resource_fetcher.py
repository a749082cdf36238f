"""Contents of MCP resources as documents."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from stack.errors import Invalid, UpstreamFailed
from stack.providers.fetch.guarded import GuardedFetcher
from stack.providers.fetch.port import Fetched
from stack.providers.tools.mcp_result import Part
from stack.providers.tools.registry import ToolGroups
from stack.services.tools.resource_fetcher import ResourceFetcher

pytestmark = pytest.mark.anyio
URL = "mcp://files/file:///a"


async def fetched(*parts: Part, max_bytes: int = 100) -> Fetched:
    class Group:
        async def read_resource(self, uri: str, args: dict[str, object]) -> list[Part]:
            assert (uri, args) == ("file:///a", {})
            return list(parts)

    groups: Any = SimpleNamespace(groups={"mcp::files": SimpleNamespace(group=Group())})
    fetcher = ResourceFetcher(GuardedFetcher(), cast(ToolGroups, groups))
    return await fetcher.fetch(URL, max_bytes=max_bytes, timeout_s=60)


@pytest.mark.parametrize(
    ("parts", "body", "media_type"),
    [
        ([Part(text="Größe", uri="a", mime_type="text/x")], "a:\nGröße", "text/plain"),
        ([Part(text="<p>ö", mime_type="Text/HTML;charset=latin-1")], "<p>ö", "text/html; charset=utf-8"),
        ([Part(data="JVBERg==", mime_type="application/pdf")], "%PDF", "application/pdf"),
        ([Part(data="YSxi", mime_type="text/csv")], "a,b", "text/csv"),
        ([Part(data="YSxi")], "a,b", ""),
        (
            [Part(text="a"), Part(data="YSxi", mime_type="image/png")],
            "a\n[image/png, 3 bytes, not shown]",
            "text/plain",
        ),
        ([], "", "text/plain"),
    ],
)
async def test_the_content_of_a_resource(parts: list[Part], body: str, media_type: str) -> None:
    assert await fetched(*parts) == Fetched(body.encode(), media_type, URL)


async def test_contents_that_are_not_taken() -> None:
    with pytest.raises(UpstreamFailed, match="is not base64"):
        await fetched(Part(data="x", mime_type="application/pdf"))
    with pytest.raises(Invalid, match="more than 3 bytes"):
        await fetched(Part(text="long"), max_bytes=3)
