"""Each place is usable with assistive technology: axe finds nothing wrong, light and dark."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, expect

from tests.page.browser import DEMANDED
from tests.page.conftest import Sessions
from tests.server.process import Replaystack

pytestmark = pytest.mark.slow

AXE = Path(__file__).parents[2] / "stack/page/node_modules/axe-core/axe.min.js"
PLACES = {
    "sessions": "/ui/sessions",
    "session": "/ui/sessions/{session}?at=1.2.0",
    "traces": "/ui/traces",
    "events": "/ui/events?from=0&at=1",
    "sql": "/ui/sql?query=SELECT 1 AS one",
    "health": "/ui/health",
}


@pytest.fixture(scope="module")
def axe() -> str:
    if not AXE.is_file():
        assert not DEMANDED, "PAGE_TESTS is set, and axe is not installed: npm ci in stack/page"
        pytest.skip("axe is not installed: npm ci in stack/page")
    return AXE.read_text()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("place", PLACES)
def test_a_place(
    chromium: Browser, server: Replaystack, sessions: Sessions, axe: str, place: str, scheme: Any
) -> None:
    # axe itself is a script that the page's policy would refuse.
    context = chromium.new_context(base_url=server.url, color_scheme=scheme, bypass_csp=True)
    page = context.new_page()
    page.goto(PLACES[place].format(session=sessions.tool))
    expect(page.locator("h1")).to_be_visible()
    page.wait_for_load_state("load")
    expect(page.locator(".rows, .listing, .grid").first).to_be_visible()
    page.evaluate(axe)
    found = page.evaluate("async () => (await axe.run()).violations")
    context.close()
    assert [(one["id"], one["help"], [node["html"] for node in one["nodes"]][:3]) for one in found] == []
