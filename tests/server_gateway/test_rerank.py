"""Reranking over HTTP: with the embedded model, and with a scripted server."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from stack.services.inference.rerank import MAX_CHARACTERS, MAX_ITEMS
from tests.server_gateway.asking import KEY
from tests.servers.processes import RunningServer

PATHS = ["/v1alpha/inference/rerank", "/v1/inference/rerank"]
ITEMS: list[Any] = ["The bakery bakes.", "The harbour opens at ten.", {"type": "text", "text": "A harbour."}]
IMAGE = {"type": "image_url", "image_url": {"url": "https://example.invalid/a.png", "detail": "low"}}


def rerank(http: httpx.Client, path: str = PATHS[0], **more: Any) -> httpx.Response:
    body = {"model": "bm25", "query": "When does the harbour open?", "items": ITEMS, **more}
    return http.post(path, json={name: value for name, value in body.items() if value is not ...})


def order(answer: httpx.Response) -> list[int]:
    assert answer.status_code == 200, answer.text
    data = answer.json()["data"]
    assert [one["relevance_score"] for one in data] == sorted(
        [one["relevance_score"] for one in data], reverse=True
    )
    return [one["index"] for one in data]


@pytest.mark.parametrize("path", PATHS)
def test_items_come_sorted_by_their_scores(http: httpx.Client, path: str) -> None:
    answer = rerank(http, path)
    assert order(answer) == [1, 2, 0]
    assert set(answer.json()) == {"data"} and set(answer.json()["data"][0]) == {"index", "relevance_score"}


def test_equal_items_keep_their_order(http: httpx.Client) -> None:
    assert order(rerank(http, items=["b", "harbour", "a", "harbour", ""])) == [1, 3, 0, 2, 4]


def test_only_the_best_are_returned_where_asked(http: httpx.Client) -> None:
    assert order(rerank(http, max_num_results=1)) == [1]
    assert order(rerank(http, max_num_results=99)) == [1, 2, 0]
    assert order(rerank(http, max_num_results=None)) == [1, 2, 0]
    assert order(rerank(http, query={"type": "text", "text": "bakery"})) == [0, 1, 2]
    assert order(rerank(http, items=[])) == []


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"model": "nothing"}, "no reranker 'nothing'"),
        ({"model": "demo/extractive"}, "no reranker"),
        ({"model": "nothing", "items": []}, "no reranker"),
        ({"model": ...}, "model"),
        ({"query": ""}, "query is empty"),
        ({"query": " \n"}, "query is empty"),
        ({"query": {"type": "text", "text": ""}}, "query is empty"),
        ({"query": IMAGE}, "query is an image"),
        ({"items": ["a", IMAGE]}, "items[1] is an image"),
        ({"items": [{"type": "video", "text": "a"}]}, "items[0].type: Invalid value 'video'"),
        ({"items": [{"type": "text", "text": "a", "more": 1}]}, "more"),
        ({"items": "a"}, "items"),
        ({"items": None}, "items"),
        ({"max_num_results": 0}, "max_num_results is 0"),
        ({"max_num_results": -1}, "max_num_results is -1"),
        ({"max_num_results": "3"}, "max_num_results"),
        ({"documents": []}, "documents"),
    ],
)
def test_what_is_wrong_is_named(http: httpx.Client, more: dict[str, Any], says: str) -> None:
    answer = rerank(http, **more)
    assert answer.status_code == 400, answer.text
    assert says in answer.json()["detail"]


def test_limits(http: httpx.Client) -> None:
    assert rerank(http, items=["a"] * (MAX_ITEMS + 1)).status_code == 413
    assert rerank(http, items=["a" * MAX_CHARACTERS]).status_code == 413
    assert order(rerank(http, items=["a "] * MAX_ITEMS, max_num_results=2)) == [0, 1]


def test_a_remote_reranker(http: httpx.Client, scripted: RunningServer) -> None:
    results = [{"index": 2, "relevance_score": 0.5}, {"index": 0, "relevance_score": 0.5}]
    results.append({"index": 1, "relevance_score": -1})
    scripted.queue_body(json.dumps({"results": results}).encode())
    assert order(rerank(http, model="reranker/any-model")) == [0, 2, 1]
    [request] = scripted.requests()
    assert request["body"]["model"] == "any-model"
    assert request["body"]["documents"] == [ITEMS[0], ITEMS[1], "A harbour."]
    scripted.queue_body(json.dumps({"results": results[:2]}).encode())
    answer = rerank(http, model="reranker/any-model")
    assert answer.status_code == 502 and "2 results for 3 texts" in answer.json()["detail"]
    scripted.queue(f"status;code=500;message=the key {KEY} is bad")
    answer = rerank(http, model="reranker/any-model")
    assert answer.status_code == 502 and KEY not in answer.text


def test_a_real_llama_cpp_server(http: httpx.Client) -> None:
    answer = rerank(http, model="llama-rerank")
    assert sorted(order(answer)) == [0, 1, 2]
    assert rerank(http, model="llama-rerank").json() == answer.json()
    assert len(order(rerank(http, model="llama-rerank/tiny-rank", max_num_results=2))) == 2


def test_rerankers_are_listed(http: httpx.Client) -> None:
    listed = {one["identifier"]: one for one in http.get("/v1/models").json()["data"]}
    assert listed["bm25"]["model_type"] == listed["reranker"]["model_type"] == "rerank"
    assert http.get("/v1/models/bm25").json()["provider_resource_id"] == "bm25"
    kinds = {one["provider_id"]: one["provider_type"] for one in http.get("/v1/providers").json()["data"]}
    assert kinds["bm25"] == "inline::bm25" and kinds["reranker"] == "remote::rerank"


def test_a_call_is_traced(http: httpx.Client) -> None:
    trace = rerank(http).headers["x-trace-id"]
    spans = http.get(f"/v1alpha/telemetry/traces/{trace}/spans").json()["data"]
    [call] = [span for span in spans if span["name"] == "rerank bm25"]
    assert call["attributes"]["gen_ai.operation.name"] == "rerank"
