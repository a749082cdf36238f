"""The rows of datasets over HTTP: read in pages, appended, exact."""

from __future__ import annotations

import json
import threading
import time
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.server.api import check_error
from tests.server.conftest import FreshServer
from tests.server.datasets import Datasets, numbered, raw_rows

PATH = "/v1beta/datasetio/append-rows"


@pytest.fixture
def datasets(client: httpx.Client) -> Datasets:
    return Datasets(client)


@pytest.fixture
def dataset_id(datasets: Datasets) -> str:
    """A dataset of 25 rows that came in five parts."""
    new = datasets.registered(numbered(0, 5))
    for first in range(5, 25, 5):
        assert datasets.append(new, numbered(first, 5)).content == b""
    return new


@pytest.mark.parametrize(
    ("query", "first", "count", "has_more"),
    [
        ({}, 0, 25, False),
        ({"limit": 7}, 0, 7, True),
        ({"start_index": 3, "limit": 4}, 3, 4, True),
        ({"start_index": 20, "limit": 5}, 20, 5, False),
        ({"start_index": 20, "limit": 500}, 20, 5, False),
        ({"start_index": 24}, 24, 1, False),
        ({"start_index": 25}, 0, 0, False),
        ({"start_index": 10**15, "limit": 10**15}, 0, 0, False),
        ({"limit": 0}, 0, 0, True),
        ({"limit": -1, "start_index": 1}, 1, 24, False),
        ({"version": 1}, 0, 5, False),
        ({"version": 3, "start_index": 4, "limit": 9}, 4, 9, True),
        ({"version": 3, "start_index": 14}, 14, 1, False),
    ],
)
def test_rows_are_read_in_pages(
    datasets: Datasets, dataset_id: str, query: dict[str, int], first: int, count: int, has_more: bool
) -> None:
    answer = datasets.page(dataset_id, **query)
    assert answer.status_code == 200
    assert answer.json() == {
        "data": numbered(first, count),
        "has_more": has_more,
        "url": f"/v1beta/datasetio/iterrows/{dataset_id}",
    }
    assert answer.headers["x-dataset-version"] == str(query.get("version", 5))


@pytest.mark.parametrize(
    ("query", "mention"),
    [
        ({"start_index": -1}, "start_index"),
        ({"limit": -2}, "limit"),
        ({"limit": "ten"}, "limit"),
        ({"start_index": "1.5"}, "start_index"),
        ({"version": "new"}, "version"),
    ],
)
def test_a_page_that_cannot_be_is_refused(
    datasets: Datasets, dataset_id: str, query: dict[str, Any], mention: str
) -> None:
    check_error(datasets.page(dataset_id, **query), 400, mention)


def test_a_version_that_never_was_is_not_found(datasets: Datasets, dataset_id: str) -> None:
    check_error(datasets.page(dataset_id, version=6), 404, "version 6", "1 to 5")
    check_error(datasets.page(dataset_id, version=0), 404, "version 0")
    check_error(datasets.page("no such set"), 404, "no such set")


EXACT = """[
 {"int": 9223372036854775807, "beyond": 123456789012345678901234567890, "negative": -9223372036854775808},
 {"float": 1.10, "large": 1e400, "small": 5e-324, "zero": -0.0, "e": 1E5},
 {"null": null, "empty": "", "nothing": {}, "none": []},
 {},
 {"nested": [[{"a": [true, false, null]}]], "": 1, "\\u00e9": "\\ud83d\\ude00", "é": "😀", "\\u0000": "\\u0000"},
 {"$blob": "0", "bytes": 1, "$$blob": {"$blob": "1"}},
 {"twice": 1, "twice": 2}
]"""


@pytest.mark.parametrize("padding", [0, 100_000])
def test_rows_keep_their_text(datasets: Datasets, padding: int) -> None:
    text = EXACT[:-1] + ', {"padding": "' + "x" * padding + '"}]'
    headers = {"content-type": "application/json"}
    answer = datasets.http.post("/v1beta/datasets", content=raw_rows(text).encode(), headers=headers)
    assert answer.status_code == 200, answer.text
    dataset_id = answer.json()["identifier"]
    body = b'{"rows":' + text.encode() + b"}"
    assert datasets.http.post(f"{PATH}/{dataset_id}", content=body, headers=headers).status_code == 200
    rows = [compact(line) for line in text[1:-1].split("},")[:6]]
    page = datasets.page(dataset_id).text
    for row in rows[:3]:
        assert page.count(row) == 2, f"{row} is not in {page[:2000]}"
    assert datasets.rows(dataset_id) == json.loads(text) * 2


def compact(line: str) -> str:
    """A row of `EXACT` without the white space between its tokens (there is none within its strings)."""
    return line.strip().replace(" ", "") + "}"


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"]), max_size=5), inner, max_size=3)
    ),
    max_leaves=8,
)
row_lists = st.lists(st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), values), max_size=8)


@pytest.mark.slow
@settings(max_examples=40, suppress_health_check=list(HealthCheck))
@given(first=row_lists, then=row_lists)
def test_whatever_rows_are_sent_come_back(datasets: Datasets, first: list[Any], then: list[Any]) -> None:
    dataset_id = datasets.registered(first)
    assert datasets.append(dataset_id, then).status_code == 200
    assert datasets.rows(dataset_id) == first + then
    assert datasets.rows(dataset_id, version=1) == first
    datasets.unregister(dataset_id)


@pytest.mark.parametrize(
    ("body", "status", "mentions"),
    [
        (b'{"rows": [{"a": 1}, 2]}', 400, ["rows[1]"]),
        (b'{"rows": [[]]}', 400, ["rows[0]"]),
        (b'{"rows": {"a": 1}}', 400, ["rows"]),
        (b'{"rows": null}', 400, ["rows"]),
        (b"{}", 400, ["rows"]),
        (b'{"row": [{}]}', 400, ["row"]),
        (b'{"rows": [{}], "extra": 1}', 400, ["extra"]),
        (b'[{"a": 1}]', 400, []),
        (b'{"rows": [{"a": NaN}]}', 400, ["JSON"]),
        (b'{"rows": [{"a": 1},]}', 400, ["JSON"]),
        (b'{"rows": [{"a": "\xff"}]}', 400, ["UTF-8"]),
        (b'{"rows": [{"a": "\\ud800"}]}', 400, []),
        (b'{"rows": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", 400, ["nested"]),
        (b'{"rows": [{"a": ' + b"[" * 5_000 + b"]" * 5_000 + b"}]}", 400, ["nested"]),
        (b"", 400, ["body"]),
        (b'{"rows": [' + b'{"a": "' + b"x" * 1_100_000 + b'"}]}', 413, ["1048576"]),
    ],
)
def test_what_is_no_row_stores_nothing(
    datasets: Datasets, dataset_id: str, body: bytes, status: int, mentions: list[str]
) -> None:
    answer = datasets.http.post(
        f"{PATH}/{dataset_id}", content=body, headers={"content-type": "application/json"}
    )
    check_error(answer, status, *mentions)
    assert datasets.rows(dataset_id) == numbered(0, 25)


def test_nothing_appended_makes_no_version(datasets: Datasets, dataset_id: str) -> None:
    assert datasets.append(dataset_id, []).status_code == 200
    assert len(datasets.versions(dataset_id)) == 5


def test_a_repeated_append_adds_its_rows_once(datasets: Datasets, dataset_id: str) -> None:
    key = {"idempotency-key": f"append to {dataset_id}"}
    for _ in range(3):
        assert datasets.append(dataset_id, numbered(25, 2), headers=key).status_code == 200
    check_error(datasets.append(dataset_id, numbered(0, 1), headers=key), 409, "Idempotency-Key")
    assert datasets.append(dataset_id, numbered(27, 1)).status_code == 200
    retried = {"x-stainless-retry-count": "1"}
    assert datasets.append(dataset_id, numbered(27, 1), headers=retried).status_code == 200
    assert datasets.rows(dataset_id) == numbered(0, 28)


def test_concurrent_appends_lose_nothing_and_keep_together(datasets: Datasets) -> None:
    dataset_id = datasets.registered([])
    clients, each, size = 8, 10, 30

    def append(client: int) -> None:
        for number in range(each):
            rows = [{"client": client, "number": number, "row": row} for row in range(size)]
            assert datasets.append(dataset_id, rows).status_code == 200

    threads = [threading.Thread(target=append, args=(client,)) for client in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    rows = datasets.rows(dataset_id)
    assert len(rows) == clients * each * size
    parts = [rows[start : start + size] for start in range(0, len(rows), size)]
    assert all([row["row"] for row in part] == list(range(size)) for part in parts), "appends are mixed"
    for client in range(clients):
        assert [part[0]["number"] for part in parts if part[0]["client"] == client] == list(range(each))
    versions = datasets.versions(dataset_id)
    assert [one["version"] for one in versions] == list(range(1, 1 + len(parts) + 1))


def test_an_answer_of_many_rows_is_streamed_whole(fresh_server: FreshServer) -> None:
    with fresh_server().http() as http:
        datasets = Datasets(http)
        rows = numbered(0, 20_000, size=100)
        dataset_id = datasets.registered(rows)
        datasets.append(dataset_id, numbered(20_000, 5))
        answer = datasets.page(dataset_id)
        assert answer.headers.get("transfer-encoding") == "chunked"
        assert answer.json()["data"] == rows + numbered(20_000, 5)
        last = datasets.page(dataset_id, start_index=19_990, limit=12)
        assert last.json()["data"] == rows[19_990:] + numbered(20_000, 2)
        assert last.json()["has_more"] is True
        assert int(last.headers["content-length"]) == len(last.content)


@pytest.mark.slow
def test_rows_that_are_too_many_for_a_request_are_refused_with_the_limit(fresh_server: FreshServer) -> None:
    server = fresh_server()
    with server.http() as http:
        datasets = Datasets(http)
        body = b'{"rows":[' + b",".join([b'{"text":"%b"}' % (b"x" * 60)] * 1_000_000) + b"]}"
        dataset_id = datasets.registered([])
        headers = {"content-type": "application/json"}
        answer = http.post(f"{PATH}/{dataset_id}", content=body, headers=headers)
        check_error(answer, 413, str(32 * 2**20), "max_body_bytes")
        row = b'{"rows":[{"text":"' + b"x" * 50_000_000 + b'"}]}'
        check_error(http.post(f"{PATH}/{dataset_id}", content=row, headers=headers), 413, "max_body_bytes")
        assert datasets.rows(dataset_id) == []
        wide = b'{"rows":[{"text":"' + b"x" * 30_000_000 + b'"}]}'
        assert http.post(f"{PATH}/{dataset_id}", content=wide, headers=headers).status_code == 200
        assert len(datasets.rows(dataset_id)[0]["text"]) == 30_000_000
        server.check_healthy()


def test_a_reader_that_is_cut_off_by_a_deletion_is_not_given_a_half_for_a_whole(
    fresh_server: FreshServer,
) -> None:
    with fresh_server().http() as http:
        datasets = Datasets(http)
        dataset_id = datasets.registered(numbered(0, 20_000, size=1_000))
        path = f"/v1beta/datasetio/iterrows/{dataset_id}"
        with http.stream("GET", path) as answer:
            pieces = answer.iter_raw()
            received = next(pieces)
            assert datasets.unregister(dataset_id).status_code == 200
            time.sleep(0.3)
            try:
                received += b"".join(pieces)
            except httpx.RemoteProtocolError:
                return
        assert json.loads(received)["has_more"] is False, "the answer ends as if it were whole"
        assert len(json.loads(received)["data"]) == 20_000
