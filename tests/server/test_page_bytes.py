"""Pages are bounded by bytes as well as by count: `has_more` stays exact and each page makes progress."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.server.process import Replaystack

pytestmark = pytest.mark.slow

PAGE_BYTES = 4096
AGENT_BYTES = 8192
AGENTS = "/v1alpha/agents"
DATASET = {"purpose": "eval/question-answer", "dataset_id": "texts"}


@pytest.fixture(scope="module")
def http(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    settings = {"max_page_bytes": PAGE_BYTES, "max_agent_bytes": AGENT_BYTES}
    folder = tmp_path_factory.mktemp("pages")
    with Replaystack(folder / "data", settings=settings) as server, server.http() as client:
        yield client


def create(http: httpx.Client, length: int) -> str:
    config = {"model": "demo/extractive", "instructions": "a" * length}
    answer = http.post(AGENTS, json={"agent_config": config}).raise_for_status()
    return str(answer.json()["agent_id"])


def pages(http: httpx.Client, path: str, limit: int | None = None, **query: Any) -> list[list[Any]]:
    """All pages, each asked for where the one before it ended."""
    found: list[list[Any]] = []
    while True:
        asked = query | {"start_index": sum(map(len, found))} | ({} if limit is None else {"limit": limit})
        answer = http.get(path, params=asked).raise_for_status()
        page = answer.json()
        assert page["data"] or not page["has_more"]
        assert len(page["data"]) == 1 or len(answer.content) < PAGE_BYTES + 1000
        found.append(page["data"])
        if not page["has_more"]:
            return found


@pytest.mark.parametrize("limit", [None, 2, 100])
def test_agents(http: httpx.Client, limit: int | None) -> None:
    before = [one["agent_id"] for page in pages(http, AGENTS) for one in page]
    made = [create(http, length) for length in (1000, 1000, 1000, 7000, 7000, 10, 10, 3900, 10)]
    found = pages(http, AGENTS, limit)
    assert [one["agent_id"] for page in found for one in page] == before + made
    assert len(found) >= 5
    exact = http.get(AGENTS, params={"start_index": len(before) + len(made) - 1, "limit": 1}).json()
    assert (len(exact["data"]), exact["has_more"]) == (1, False)
    none = http.get(AGENTS, params={"start_index": len(before), "limit": 0}).json()
    assert (none["data"], none["has_more"]) == ([], True)
    past = http.get(AGENTS, params={"start_index": len(before) + len(made), "limit": 0}).json()
    assert (past["data"], past["has_more"]) == ([], False)


def test_many_small_items_come_in_order(http: httpx.Client) -> None:
    """More than are read at once."""
    agent = create(http, 1)
    path = f"{AGENTS}/{agent}/session"
    made = [http.post(path, json={"session_name": str(number)}).json()["session_id"] for number in range(300)]
    found = pages(http, f"{AGENTS}/{agent}/sessions")
    assert [one["session_id"] for page in found for one in page] == made
    assert len(found) > 3


def test_sessions_with_long_names(http: httpx.Client) -> None:
    agent = create(http, 1)
    for length in (5000, 5000, 1, 5000):
        body = {"session_name": "a" * length}
        http.post(f"{AGENTS}/{agent}/session", json=body).raise_for_status()
    found = pages(http, f"{AGENTS}/{agent}/sessions")
    assert [len(one["session_name"]) for page in found for one in page] == [5000, 5000, 1, 5000]


def test_a_name_that_is_no_name_is_refused(http: httpx.Client) -> None:
    path = f"{AGENTS}/{create(http, 1)}/session"
    longest = http.post(path, json={"session_name": "a" * 2**16}).raise_for_status().json()
    kept = http.get(f"{path}/{longest['session_id']}").json()
    assert kept["session_name"] == "a" * 2**16
    answer = http.post(path, json={"session_name": "a" * (2**16 + 1)})
    assert answer.status_code == 400
    assert "session_name has 65537 bytes" in answer.json()["detail"]


@pytest.mark.parametrize("limit", [None, 1, 7])
def test_rows_versions_and_differences(http: httpx.Client, limit: int | None) -> None:
    rows = [{"text": "a" * length} for length in (10, 5000, 1000, 1000, 1000, 1000, 1000, 9000)]
    identifier = f"texts-{limit}"
    body = DATASET | {"dataset_id": identifier, "source": {"type": "rows", "rows": rows[:1]}}
    http.post("/v1beta/datasets", json=body).raise_for_status()
    for row in rows[1:]:
        append = f"/v1beta/datasetio/append-rows/{identifier}"
        http.post(append, json={"rows": [row]}).raise_for_status()
    found = pages(http, f"/v1beta/datasetio/iterrows/{identifier}", limit)
    assert [row for page in found for row in page] == rows
    changed = pages(http, f"/v1beta/datasets/{identifier}/versions/diff", limit, **{"from": 1})
    assert [row for page in changed for row in page] == rows[1:]
    versions = pages(http, f"/v1beta/datasets/{identifier}/versions", limit)
    assert [one["version"] for page in versions for one in page] == list(range(1, len(rows) + 1))


@pytest.mark.parametrize(
    "more",
    [
        {"instructions": "a" * AGENT_BYTES},
        {"name": "a" * AGENT_BYTES},
        {"client_tools": [{"name": "tool", "description": "a" * AGENT_BYTES}]},
        {"instructions": "\u0000" * (AGENT_BYTES // 6)},
    ],
)
def test_a_large_agent_is_refused(http: httpx.Client, more: dict[str, Any]) -> None:
    config = {"model": "demo/extractive", "instructions": ""} | more
    answer = http.post(AGENTS, json={"agent_config": config})
    assert answer.status_code == 413
    assert "agent_config" in answer.json()["detail"]
    assert "max_agent_bytes" in answer.json()["detail"]
    assert answer.headers["x-should-retry"] == "false"


def test_a_session_with_large_turns_comes_in_parts(http: httpx.Client) -> None:
    agent_id = create(http, 10)
    made = http.post(f"{AGENTS}/{agent_id}/session", json={"session_name": "s"}).json()["session_id"]
    path = f"{AGENTS}/{agent_id}/session/{made}"
    turn_ids = []
    for length in (10, 10, 1500, 1500, 6000, 10):
        document = {"content": "d" * 5000, "mime_type": "text/plain"}  # recorded, and not shown
        body = {"messages": [{"role": "user", "content": "m" * length}], "documents": [document]}
        turn_ids.append(http.post(f"{path}/turn", json=body).raise_for_status().json()["turn_id"])
    found: list[str] = []
    sizes = []
    while True:
        answer = http.get(path, params={"start_index": len(found)}).raise_for_status()
        turns = answer.json()["turns"]
        sizes.append(len(turns))
        assert len(turns) == 1 or len(answer.content) < PAGE_BYTES + 500
        found += [turn["turn_id"] for turn in turns]
        if answer.headers.get("x-truncated") != "true":
            break
    assert found == turn_ids
    assert sizes[0] > 1 and len(sizes) > 2
    for query, expected, more in (
        ({"limit": 1}, turn_ids[:1], True),
        ({"limit": 0}, [], True),
        ({"start_index": 5, "limit": 1}, turn_ids[5:], False),
        ({"start_index": 6}, [], False),
        ({"turn_ids": turn_ids[5]}, turn_ids[5:], False),
        ({"turn_ids": [turn_ids[0], turn_ids[5]], "start_index": 1}, turn_ids[5:], False),
    ):
        answer = http.get(path, params=query)
        assert [turn["turn_id"] for turn in answer.json()["turns"]] == expected, query
        assert ("x-truncated" in answer.headers) == more, query
