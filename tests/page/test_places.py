"""People look at sessions, play them, search, query and follow, in a real browser on a real server."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest
from playwright.sync_api import expect

from tests.page.browser import Watched
from tests.page.conftest import Sessions
from tests.server.api import Api
from tests.server.process import Replaystack

pytestmark = pytest.mark.slow


def test_sessions_are_listed_searched_and_opened(tab: Watched, sessions: Sessions) -> None:
    page = tab.page
    page.goto("/")
    expect(page).to_have_url("/ui/sessions")
    expect(page.get_by_role("listitem")).to_have_count(4)
    page.get_by_label("Search sessions").fill("where is the STORM")
    expect(page.get_by_role("listitem")).to_have_count(1)
    expect(page).to_have_url("/ui/sessions?q=where+is+the+STORM")
    page.reload()
    expect(page.get_by_role("listitem")).to_have_count(1)
    page.get_by_role("link", name="Where is the storm?").click()
    expect(page).to_have_url(f"/ui/sessions/{sessions.plain}")
    expect(page.get_by_role("article")).to_have_count(3)
    # Back keeps the search.
    page.go_back()
    expect(page.get_by_label("Search sessions")).to_have_value("where is the STORM")
    expect(page.get_by_role("listitem")).to_have_count(1)


def test_a_new_session_appears_by_itself(tab: Watched, server: Replaystack) -> None:
    page = tab.page
    page.goto("/ui/sessions?q=appears+now")
    expect(page.get_by_text("No session matches.")).to_be_visible()
    expect(page.get_by_role("status").first).to_have_text("live")
    with server.http() as http:
        conversation = Api(http).conversation()
        conversation.turn("it appears now")
        expect(page.get_by_role("link", name="it appears now")).to_be_visible()
        http.delete(conversation.path).raise_for_status()
    expect(page.get_by_text("No session matches.")).to_be_visible()


def test_a_session_is_played_by_keyboard(tab: Watched, sessions: Sessions) -> None:
    page = tab.page
    page.goto(f"/ui/sessions/{sessions.plain}?at=2.1.0")
    expect(page.get_by_role("article")).to_have_count(2)
    where = page.locator(".where")
    expect(where).to_contain_text("turn 2 · frame 1.0")
    page.keyboard.press("ArrowRight")
    expect(where).to_contain_text("turn 2 · frame 2.0")
    expect(page).to_have_url(f"/ui/sessions/{sessions.plain}?at=2.2.0")
    page.keyboard.press("]")
    expect(where).to_contain_text("turn 3 · frame 1.0")
    expect(page.get_by_role("article")).to_have_count(3)
    page.keyboard.press("[")
    page.keyboard.press("[")
    expect(where).to_contain_text("turn 1 · frame 1.0")
    expect(page.get_by_role("article")).to_have_count(1)
    page.get_by_label("Speed").select_option("10")
    page.locator(".conversation").focus()
    page.keyboard.press(" ")
    # To the last frame, and stops.
    expect(page.get_by_role("article")).to_have_count(3)
    expect(page.get_by_role("button", name="Play")).to_be_visible()


def test_a_call_and_its_result_are_shown(tab: Watched, sessions: Sessions) -> None:
    page = tab.page
    page.goto(f"/ui/sessions/{sessions.tool}")
    expect(page.get_by_text("search returned")).to_be_visible()
    expect(page.locator("pre", has_text='"Berta"')).to_be_visible()
    # Half of the call has streamed.
    page.goto(f"/ui/sessions/{sessions.tool}?at=1.2.2")
    expect(page.locator(".note.call")).to_have_count(1)
    expect(page.get_by_text("search returned")).to_have_count(0)


def test_a_failure_says_why(tab: Watched, sessions: Sessions) -> None:
    tab.page.goto(f"/ui/sessions/{sessions.failed}")
    expect(tab.page.get_by_role("article").get_by_text("overloaded")).to_be_visible()
    tab.page.goto("/ui/sessions/01a22e16-0000-7000-8000-000000000000")
    expect(tab.page.get_by_role("alert")).to_contain_text("no session with this id")


@pytest.mark.parametrize("place", ["sessions", "session", "events", "sql"])
def test_hostile_content_is_text(tab: Watched, sessions: Sessions, place: str) -> None:
    page = tab.page
    page.goto(
        {
            "sessions": "/ui/sessions",
            "session": f"/ui/sessions/{sessions.hostile}",
            "events": f"/ui/events?stream=session/{sessions.hostile}",
            "sql": f"/ui/sql?query=SELECT name FROM sessions WHERE session_id = '{sessions.hostile}'",
        }[place]
    )
    expect(page.locator("main")).to_contain_text("onerror")
    expect(page.locator("main img, main b, main script")).to_have_count(0)
    links = page.locator("main a").evaluate_all("all => all.map(one => one.href)")
    assert not [link for link in links if link.startswith("javascript")]
    assert page.title() != "hit"
    if place != "events":
        # What would reverse the text is shown as its code.
        expect(page.locator("main")).to_contain_text("⟨202e⟩")


def test_events_are_filtered_and_followed(tab: Watched, server: Replaystack) -> None:
    page = tab.page
    page.goto("/ui/events?name=agent.created&from=0")
    items = page.get_by_role("listitem")
    expect(items.first).to_contain_text("agent.created")
    before = items.count()
    expect(page.get_by_role("status").first).to_have_text("live")
    with server.http() as http:
        Api(http).create_agent()
    expect(items).to_have_count(before + 1)
    items.first.click()
    expect(page.get_by_label("Event", exact=True)).to_contain_text("agent.created at 1")
    page.goto("/ui/events?name=agent.make")
    expect(page.get_by_role("alert")).to_contain_text("agent.created")


def test_sql_is_asked_and_saved(tab: Watched) -> None:
    page = tab.page
    page.goto("/ui/sql")
    query = page.get_by_label("Query")
    query.fill("SELECT status, count(*) AS n FROM turns GROUP BY ALL ORDER BY ALL")
    query.press("Control+Enter")
    expect(page.get_by_role("status").last).to_contain_text("rows in")
    expect(page.get_by_role("region")).to_contain_text("completed")
    expect(page).to_have_url(
        "/ui/sql?query=SELECT+status%2C+count%28*%29+AS+n+FROM+turns+GROUP+BY+ALL+ORDER+BY+ALL"
    )
    with page.expect_download() as saved:
        page.get_by_role("button", name="CSV").click()
    assert saved.value.path().read_text().startswith("status,n\n")
    query.fill("DROP TABLE turns")
    page.get_by_role("button", name="Run").click()
    expect(page.get_by_role("alert")).to_contain_text("SELECT")


def test_a_server_with_keys_asks_for_one(tab: Watched, tmp_path: Path) -> None:
    page = tab.page
    keys = {"REPLAYSTACK_API_KEYS": f"ann:{'k' * 32}"}
    with Replaystack(tmp_path / "data", environment=keys) as guarded:
        page.goto(f"{guarded.url}/ui/sessions")
        page.get_by_label("API key").fill("wrong")
        page.get_by_role("button", name="Use it").click()
        expect(page.get_by_role("alert")).to_contain_text("unknown")
        page.get_by_label("API key").fill("k" * 32)
        page.get_by_role("button", name="Use it").click()
        expect(page.get_by_text("No sessions yet.")).to_be_visible()


def test_the_server_may_go_away_and_come_back(tab: Watched, server: Replaystack, sessions: Sessions) -> None:
    page = tab.page
    page.goto("/ui/health")
    expect(page.get_by_text("The server is well.")).to_be_visible()
    page.goto(f"/ui/sessions/{sessions.plain}")
    expect(page.get_by_role("status").first).to_have_text("live")
    server.kill9()
    expect(page.get_by_role("status").first).to_contain_text("connection lost")
    server.start(port=httpx.URL(server.url).port)
    expect(page.get_by_role("status").first).to_have_text("live")
    expect(page.get_by_role("article")).to_have_count(3)
