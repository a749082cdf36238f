"""People look at traces: they are found, folded, zoomed and searched, large ones too."""

from __future__ import annotations

import random

import httpx
import pytest
from msgspec import Struct
from playwright.sync_api import expect

from tests.page.browser import Watched
from tests.server.telemetry import Telemetry
from tests.telemetry.otlp_requests import BASE_NS, PlainSpan

pytestmark = pytest.mark.slow

MANY = 10_000
SECOND = 1_000_000_000


class Traces(Struct, frozen=True):
    """Ids of a trace of five spans, one of them failed, and of one with `MANY`."""

    small: str
    large: str


@pytest.fixture(scope="module")
def traces(client: httpx.Client) -> Traces:
    telemetry = Telemetry(client)
    names = ["plan <b>it</b>", "chat", "look_up", "look_up", "chat"]
    parents = [None, 1, 1, 3, 1]
    small = [
        PlainSpan(
            trace=11,
            span=number + 1,
            parent=parents[number],
            name=name,
            status=2 if number == 3 else 0,
            start_ns=BASE_NS + number * SECOND,
            end_ns=BASE_NS + (10 if number == 0 else number + 1) * SECOND,
            attributes={"question": HOSTILE} if number == 3 else {},
            resource={"service.name": "planner"},
        )
        for number, name in enumerate(names)
    ]
    telemetry.send(small)
    chance = random.Random(1)
    large = [
        PlainSpan(
            trace=12,
            span=number + 1,
            parent=chance.randrange(max(0, number - 20), number) + 1 if number else None,
            name=f"span {number}",
            start_ns=BASE_NS + number * 1_000_000,
            end_ns=BASE_NS + (number + 1) * 1_000_000,
        )
        for number in range(MANY)
    ]
    for first in range(0, MANY, 2_000):
        telemetry.send(large[first : first + 2_000])
    return Traces(small[0].trace_id, large[0].trace_id)


HOSTILE = "<img src=x onerror=\"document.title='hit'\">"


def test_traces_are_filtered_and_opened(tab: Watched, traces: Traces) -> None:
    page = tab.page
    page.goto("/ui/traces")
    page.get_by_label("Filter").fill("resource.service.name=planner span.status=error")
    page.get_by_label("Filter").press("Enter")
    expect(page.get_by_role("listitem")).to_have_count(1)
    page.get_by_role("link", name="plan <b>it</b>").click()
    expect(page).to_have_url(f"/ui/traces/{traces.small}")
    expect(page.get_by_role("listitem")).to_have_count(5)
    page.go_back()
    expect(page.get_by_label("Filter")).to_have_value("resource.service.name=planner span.status=error")
    page.goto("/ui/traces?q=nonsense")
    expect(page.get_by_role("alert")).to_contain_text("A condition is expected")
    page.goto("/ui/traces/0000000000000000000000000000abcd")
    expect(page.get_by_role("alert")).to_contain_text("no trace")


def test_a_trace_is_read_by_keyboard(tab: Watched, traces: Traces) -> None:
    page = tab.page
    page.goto(f"/ui/traces/{traces.small}")
    rows = page.get_by_role("listitem")
    expect(rows).to_have_count(5)
    # The failed span, with its attributes as text.
    page.keyboard.press("e")
    detail = page.get_by_label("Span", exact=True)
    expect(detail).to_contain_text("onerror")
    expect(page.locator("main img, main b")).to_have_count(0)
    assert page.title() != "hit"
    # To its parent, and folded.
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    expect(rows).to_have_count(4)
    expect(page.get_by_role("status").last).to_contain_text("4 of 5 rows shown")
    # It is not lost behind what is folded.
    page.keyboard.press("e")
    expect(rows).to_have_count(5)
    expect(page).to_have_url(f"/ui/traces/{traces.small}?span=0000000000000004")
    page.keyboard.press("z")
    expect(page.get_by_role("button", name="zoomed")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("button", name="zoomed")).to_have_count(0)
    page.keyboard.press("/")
    page.keyboard.type("look_up")
    expect(page.get_by_role("status").last).to_contain_text("2 matches; 3 of 5 rows shown")


def test_a_large_trace_has_few_elements(tab: Watched, traces: Traces) -> None:
    page = tab.page
    page.goto(f"/ui/traces/{traces.large}?find=span+9999")
    expect(page.get_by_role("status").last).to_contain_text("1 match")
    page.get_by_label("Find spans").fill("")
    expect(page.locator(".head")).to_contain_text("10,000 spans")
    assert page.locator("main *").count() < 2_000
    # The last row is reached, and is the only one of its name.
    page.locator(".rows").evaluate("box => box.scrollTop = box.scrollHeight")
    expect(page.get_by_role("listitem").last).to_be_visible()
    assert page.locator("main *").count() < 2_000
