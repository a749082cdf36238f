"""People look at datasets with their versions, and at evaluations row by row."""

from __future__ import annotations

import httpx
import pytest
from playwright.sync_api import expect

from tests.page.browser import Watched
from tests.server.evals import Benchmark, Evals, model

pytestmark = pytest.mark.slow

ROWS = 30_000


@pytest.fixture(scope="module")
def benchmark(client: httpx.Client) -> str:
    """A benchmark with two jobs whose answers differ; its dataset has two versions."""
    evals = Evals(client)
    rows = [{"question": f"Say word {number}.", "answer": f"word {number % 2}"} for number in range(20)]
    evals.datasets.registered(rows, dataset_id="play/harbour")
    evals.datasets.append("play/harbour", [{"question": "A later <b>row</b>?", "answer": "x"}])
    answer = evals.register("gates", "play/harbour", ["basic::subset_of"])
    assert answer.status_code == 200, answer.text
    found = Benchmark(evals, "gates")
    for text in ("it is word 0", "it is word 1"):
        found.job(model(f"scripted/say;text={text}"))
    return found.name


def test_datasets_have_rows_versions_and_differences(tab: Watched, benchmark: str) -> None:
    page = tab.page
    page.goto("/ui/datasets")
    page.get_by_role("link", name="play/harbour").click()
    expect(page).to_have_url("/ui/datasets/play/harbour")
    expect(page.locator(".head")).to_contain_text("21 rows")
    page.get_by_role("listitem").nth(20).get_by_role("button").click()
    expect(page.get_by_label("Row", exact=True)).to_contain_text("A later <b>row</b>?")
    page.get_by_label("Compared with").select_option("1")
    expect(page.get_by_text("1 row added after row 20.")).to_be_visible()
    expect(page.get_by_role("listitem")).to_have_count(1)
    page.reload()
    expect(page.get_by_text("1 row added after row 20.")).to_be_visible()


def test_a_large_dataset_is_read_where_it_is_looked_at(tab: Watched, client: httpx.Client) -> None:
    page = tab.page
    Evals(client).datasets.registered(
        [{"question": f"number {number}", "answer": "x"} for number in range(ROWS)], dataset_id="large"
    )
    asked: list[str] = []
    page.on("request", lambda one: asked.append(one.url) if "iterrows" in one.url else None)
    page.goto("/ui/datasets/large")
    expect(page.get_by_role("listitem").first).to_contain_text("number 0")
    page.locator(".rows").evaluate("box => box.scrollTop = box.scrollHeight")
    expect(page.get_by_role("listitem").last).to_contain_text(f"number {ROWS - 1}")
    assert page.locator("main *").count() < 1_000
    assert len(asked) < 8, "only what was in sight"


def test_jobs_are_compared_row_by_row(tab: Watched, benchmark: str) -> None:
    page = tab.page
    page.goto("/ui/evals")
    page.get_by_role("link", name=benchmark).click()
    expect(page.get_by_role("listitem")).to_have_count(2)
    page.get_by_label("Job A").select_option("0")
    page.get_by_label("Job B").select_option("1")
    expect(page).to_have_url(f"/ui/evals/{benchmark}?a=0&b=1")
    expect(page.locator(".verdict")).to_contain_text("better 10 worse 10 changed 1 same 0")
    expect(page.locator(".verdict")).to_contain_text("mean 0.476 → 0.476")
    page.get_by_role("listitem").first.get_by_role("button").click()
    answers = page.get_by_label("Answers")
    expect(answers.locator("del")).to_have_text("0")
    expect(answers.locator("ins")).to_have_text("1")
