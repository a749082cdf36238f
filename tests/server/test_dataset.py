"""Datasets over HTTP: registered, listed, shown, versions, unregistered."""

from __future__ import annotations

import base64
import json
import threading
from collections import Counter
from typing import Any

import httpx
import pytest

from tests.server.api import TIME, UUID, check_error
from tests.server.conftest import FreshServer
from tests.server.datasets import PURPOSE, Datasets, numbered


@pytest.fixture
def datasets(client: httpx.Client) -> Datasets:
    return Datasets(client)


def test_a_dataset_is_registered_shown_and_unregistered(datasets: Datasets) -> None:
    rows = [{"question": "1+1?", "answer": 2}, {"question": "?", "answer": None, "more": {"a": [1.5]}}]
    answer = datasets.register(rows, dataset_id="shown/first", metadata={"licence": "none", "n": [1, None]})
    assert answer.status_code == 200
    assert answer.json() == {
        "identifier": "shown/first",
        "provider_resource_id": "shown/first",
        "provider_id": "localfs",
        "type": "dataset",
        "purpose": PURPOSE,
        "source": {"type": "rows", "rows": rows},
        "metadata": {"licence": "none", "n": [1, None]},
    }
    assert datasets.show("shown/first").json() == answer.json()
    assert datasets.show("shown%2Ffirst").json() == answer.json()
    assert datasets.listed()["shown/first"] == answer.json()
    gone = datasets.unregister("shown/first")
    assert (gone.status_code, gone.content) == (200, b"")
    check_error(datasets.show("shown/first"), 404, "shown/first")
    check_error(datasets.page("shown/first"), 404, "shown/first")
    check_error(datasets.append("shown/first", [{}]), 404, "shown/first")
    check_error(datasets.unregister("shown/first"), 404, "shown/first")
    assert "shown/first" not in datasets.listed()


def test_ids_and_metadata_are_made_where_none_are_given(datasets: Datasets) -> None:
    shown = datasets.register([], metadata=None, dataset_id=None).json()
    assert UUID.fullmatch(shown["identifier"])
    assert (shown["metadata"], shown["source"]) == ({}, {"type": "rows", "rows": []})
    assert datasets.rows(shown["identifier"]) == []


JSONL = base64.b64encode(b'{"a": 1}\n{"a": 2}\n').decode()


@pytest.mark.parametrize(
    ("source", "kind", "rows"),
    [
        ({"rows": [{"a": 1}]}, "rows", [{"a": 1}]),
        ({"rows": []}, "rows", []),
        ({"uri": "data:text/csv,a%0A1"}, "uri", [{"a": 1}]),
        ({"type": None, "rows": [{"a": 1}]}, "rows", [{"a": 1}]),
        ({"uri": None, "rows": [{"a": 1}]}, "rows", [{"a": 1}]),
        ({"type": "uri", "uri": "data:text/csv,a%0A1", "rows": None}, "uri", [{"a": 1}]),
        # llama-stack-client, of a file whose type it does not know.
        ({"uri": f"data:None;base64,{JSONL}"}, "uri", [{"a": 1}, {"a": 2}]),
    ],
)
def test_the_type_of_a_source_follows_from_its_key(
    datasets: Datasets, source: dict[str, Any], kind: str, rows: list[Any]
) -> None:
    for path in ("/v1beta/datasets", "/v1/datasets"):
        answer = datasets.http.post(path, json={"purpose": PURPOSE, "source": source})
        assert answer.status_code == 200, answer.text
        assert answer.json()["source"]["type"] == kind
        assert datasets.rows(answer.json()["identifier"]) == rows


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        ({"uri": "data:csv,a", "rows": []}, "source has both uri and rows"),
        ({}, "source has neither uri nor rows"),
        ({"row": []}, "source has neither uri nor rows"),
        ({"type": "rows", "uri": "data:csv,a"}, "source.uri is not a known field; leave it out"),
        ({"typ": "rows", "rows": []}, "source.typ is not a known field; did you mean `type`"),
        ({"type": "file", "rows": []}, "source.type"),
        ([], "source"),
        (None, "source"),
    ],
)
def test_a_source_without_a_clear_type_is_refused(datasets: Datasets, source: Any, problem: str) -> None:
    answer = datasets.http.post("/v1beta/datasets", json={"purpose": PURPOSE, "source": source})
    check_error(answer, 400, problem)


def test_the_v1_alias_answers_alike(datasets: Datasets) -> None:
    older = Datasets(datasets.http, "/v1")
    dataset_id = older.registered([{"a": 1}])
    assert older.append(dataset_id, [{"a": 2}]).status_code == 200
    assert older.show(dataset_id).content == datasets.show(dataset_id).content
    assert older.rows(dataset_id) == datasets.rows(dataset_id) == [{"a": 1}, {"a": 2}]
    assert older.page(dataset_id).json()["url"] == f"/v1/datasetio/iterrows/{dataset_id}"
    assert older.unregister(dataset_id).status_code == 200


def test_the_same_dataset_again_is_the_same(datasets: Datasets) -> None:
    rows = numbered(0, 3)
    same: dict[str, Any] = {"dataset_id": "twice", "metadata": {"a": 1, "b": 2}}
    first = datasets.register(rows, **same)
    assert datasets.append("twice", [{"number": 3}]).status_code == 200
    again = datasets.register(rows, dataset_id="twice", metadata={"b": 2, "a": 1})
    assert again.status_code == 200
    assert again.json()["identifier"] == first.json()["identifier"]
    assert datasets.rows("twice") == numbered(0, 4), "what was appended since is lost"
    assert [one["version"] for one in datasets.versions("twice")] == [1, 2]
    for other in (
        {"rows": numbered(0, 2)},
        {"rows": [*numbered(0, 2), {"number": 2.0}]},
        {"metadata": {"a": 1}},
        {"purpose": "post-training/messages"},
        {"rows": [], "uri": "data:text/csv,number%0A0%0A1%0A2"},
    ):
        body = {"rows": rows, **same} | other
        check_error(datasets.register(**body), 409, "twice")
    assert datasets.rows("twice") == numbered(0, 4), "a refused request touched the rows"


def test_an_id_is_used_again_once_it_is_free(datasets: Datasets) -> None:
    datasets.registered(numbered(0, 2), dataset_id="again")
    datasets.append("again", numbered(2, 1))
    datasets.unregister("again")
    datasets.registered(numbered(7, 1), dataset_id="again")
    assert datasets.rows("again") == numbered(7, 1)
    assert [one["version"] for one in datasets.versions("again")] == [4], "a version was used twice"
    check_error(datasets.page("again", version=2), 404, "version 2", "4 to 4")
    datasets.unregister("again")


def test_concurrent_registrations_make_one_dataset(datasets: Datasets, client: httpx.Client) -> None:
    answers: list[int] = []

    def register(number: int) -> None:
        answers.append(datasets.register(numbered(number, 1), dataset_id="contended").status_code)

    threads = [threading.Thread(target=register, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert Counter(answers) == {200: 1, 409: 7}
    assert len(datasets.rows("contended")) == 1
    datasets.unregister("contended")


@pytest.mark.parametrize(
    ("body", "mentions"),
    [
        ({"source": {"type": "rows", "rows": []}}, ["purpose"]),
        ({"purpose": "other", "source": {"type": "rows", "rows": []}}, ["purpose"]),
        ({"purpose": PURPOSE}, ["source"]),
        ({"purpose": PURPOSE, "source": {"type": "rows"}}, ["rows"]),
        ({"purpose": PURPOSE, "source": {"type": "file", "uri": "x"}}, ["file"]),
        ({"purpose": PURPOSE, "source": {"type": "rows", "rows": {}}}, ["rows"]),
        ({"purpose": PURPOSE, "source": {"type": "rows", "rows": [1]}}, ["rows[0]"]),
        ({"purpose": PURPOSE, "source": {"type": "rows", "rows": [{}, []]}}, ["rows[1]"]),
        ({"purpose": PURPOSE, "source": {"type": "rows", "rows": [{}, None]}}, ["rows[1]"]),
        ({"purpose": PURPOSE, "source": {"type": "uri", "uri": ""}}, ["uri"]),
        ({"purpose": PURPOSE, "source": {"type": "uri", "uri": "ftp://a/b.csv"}}, ["ftp"]),
        ({"purpose": PURPOSE, "source": {"type": "uri", "uri": "file:///etc/passwd"}}, ["dataset_roots"]),
        ({"purpose": PURPOSE, "source": {"type": "rows", "rows": []}, "dataset": "a"}, ["dataset_id"]),
        ({"purpose": PURPOSE, "source": {"type": "rows", "rows": []}, "dataset_id": ""}, ["dataset_id"]),
        ({"purpose": PURPOSE, "source": {"type": "rows", "rows": []}, "dataset_id": "a//b"}, ["dataset_id"]),
        (
            {"purpose": PURPOSE, "source": {"type": "rows", "rows": []}, "dataset_id": "a/versions"},
            ["versions"],
        ),
        ({"purpose": PURPOSE, "source": {"type": "rows", "rows": []}, "metadata": []}, ["metadata"]),
        (
            {"purpose": PURPOSE, "source": {"type": "rows", "rows": []}, "metadata": {"a": "x" * 70_000}},
            ["metadata", "65536"],
        ),
    ],
)
def test_what_is_wrong_is_refused_and_registers_nothing(
    datasets: Datasets, body: dict[str, Any], mentions: list[str]
) -> None:
    before = datasets.listed().keys()
    check_error(datasets.http.post("/v1beta/datasets", json=body), 400, *mentions)
    assert datasets.listed().keys() == before


@pytest.mark.parametrize("name", ["ü 1/ä", "a b", "ids::with::colons", "%25", "a?b#c", "...", "日本/語"])
def test_odd_ids_are_found_again(datasets: Datasets, name: str) -> None:
    from urllib.parse import quote

    assert datasets.registered([{"a": 1}], dataset_id=name) == name
    path = quote(name, safe="/")
    assert datasets.show(path).json()["identifier"] == name
    assert datasets.append(path, [{"a": 2}]).status_code == 200
    assert datasets.rows(path) == [{"a": 1}, {"a": 2}]
    assert len(datasets.versions(path)) == 2
    assert datasets.unregister(path).status_code == 200


def test_versions_say_what_came_when(datasets: Datasets) -> None:
    dataset_id = datasets.registered(numbered(0, 2))
    for first in (2, 5):
        datasets.append(dataset_id, numbered(first, 3))
    versions = datasets.versions(dataset_id)
    assert [
        (v["version"], v["change"], v["first_row"], v["rows_added"], v["row_count"]) for v in versions
    ] == [
        (1, "registered", 0, 2, 2),
        (2, "rows_appended", 2, 3, 5),
        (3, "rows_appended", 5, 3, 8),
    ]
    assert all(TIME.fullmatch(version["created_at"]) for version in versions)
    assert datasets.versions(dataset_id, start_index=1, limit=1) == versions[1:2]
    diff = datasets.diff(dataset_id, **{"from": 1}).json()
    assert diff == {
        "from_version": 1,
        "to_version": 3,
        "first_row": 2,
        "rows_added": 6,
        "data": numbered(2, 6),
        "has_more": False,
        "url": f"/v1beta/datasets/{dataset_id}/versions/diff",
    }
    some = datasets.diff(dataset_id, **{"from": 1, "to": 2, "start_index": 1, "limit": 1}).json()
    assert (some["data"], some["has_more"], some["rows_added"]) == (numbered(3, 1), True, 3)
    assert datasets.diff(dataset_id, **{"from": 2, "to": 2}).json()["rows_added"] == 0
    check_error(datasets.diff(dataset_id), 400, "from")
    check_error(datasets.diff(dataset_id, **{"from": 3, "to": 1}), 400, "from")
    check_error(datasets.diff(dataset_id, **{"from": 9}), 404, "version 9")
    check_error(datasets.diff("nothing", **{"from": 1}), 404, "nothing")
    check_error(datasets.http.get("/v1beta/datasets/nothing/versions"), 404, "nothing")


def test_a_shown_dataset_has_its_first_rows_only(datasets: Datasets) -> None:
    small = datasets.registered(numbered(0, 60))
    datasets.append(small, numbered(60, 60))
    assert datasets.show(small).json()["source"]["rows"] == numbered(0, 100)
    assert datasets.listed()[small]["source"]["rows"] == numbered(0, 100)
    large = datasets.registered(numbered(0, 100, size=5_000))
    shown = datasets.show(large).json()["source"]["rows"]
    listed = datasets.listed()[large]["source"]["rows"]
    assert shown == numbered(0, 100, size=5_000)
    assert listed == shown[: len(listed)] and 60_000 < len(json.dumps(listed)) < 66_000
    huge = datasets.registered(numbered(0, 9, size=90_000))
    datasets.append(huge, numbered(9, 9, size=90_000))
    assert datasets.show(huge).json()["source"]["rows"] == numbered(0, 11, size=90_000)
    assert datasets.listed()[huge]["source"]["rows"] == []


@pytest.mark.slow
def test_a_dataset_outlasts_a_restart_and_its_content_goes_with_it(fresh_server: FreshServer) -> None:
    server = fresh_server()
    secret = "a secret of the rows"
    with server.http() as http:
        datasets = Datasets(http)
        datasets.registered(numbered(0, 3000, size=100), dataset_id="large")
        datasets.registered([{"a": secret}], dataset_id="small", metadata={"b": "a secret of the metadata"})
        shown = datasets.listed()
    server.stop()
    server.start()
    with server.http() as http:
        datasets = Datasets(http)
        assert datasets.listed() == shown
        assert datasets.rows("large", start_index=2990) == numbered(2990, 10, size=100)
        assert datasets.append("large", numbered(3000, 1)).status_code == 200
        assert datasets.rows("large", start_index=3000) == numbered(3000, 1)
        for name in ("large", "small"):
            assert datasets.unregister(name).status_code == 200
        assert datasets.listed() == {}
    assert server.stop() == 0
    assert not [file for file in server.data.glob("blobs/??/*") if file.is_file()], "content stays behind"
    log = b"".join(file.read_bytes() for file in server.data.glob("events.sqlite*"))
    assert b"secret of the" not in log
    assert '"level":"error"' not in server.log, server.log
