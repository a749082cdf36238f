"""Remote rerankers against a scripted server: what is sent, what is accepted, what is refused."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from stack.errors import (
    Invalid,
    ReplaystackError,
    TooManyRequests,
    Unavailable,
    UpstreamFailed,
    UpstreamTimeout,
)
from stack.providers.rerank.registry import Rerankers
from stack.providers.rerank.remote import RemoteReranker
from stack.providers.rerank.settings import RerankSettings, Shape
from tests.servers.processes import RunningServer

TEXTS = ["one", "two", "three"]
KEY = "sk-the-key-of-the-operator"


def results(*pairs: tuple[Any, Any], key: str = "relevance_score") -> list[dict[str, Any]]:
    return [{"index": index, key: score} for index, score in pairs]


GOOD = results((2, 0.9), (0, 0.5), (1, -3))


@pytest.fixture
async def reranker(scripted: RunningServer) -> AsyncIterator[RemoteReranker]:
    made = RemoteReranker(
        RerankSettings(id="up", base_url=scripted.base_url, api_key=KEY, answer_timeout_s=30.0)
    )
    yield made
    await made.aclose()


async def scores(reranker: RemoteReranker) -> Any:
    return await reranker.score("some-model", "a query", TEXTS, headers={"traceparent": "00-x"})


@pytest.mark.anyio
@pytest.mark.parametrize(
    "answer",
    [
        {"results": GOOD, "id": "x", "meta": {}},
        {"results": [{**one, "document": {"text": "..."}} for one in GOOD], "usage": {"total_tokens": 7}},
        {"object": "list", "data": GOOD},
        results((2, 0.9), (0, 0.5), (1, -3), key="score"),
    ],
)
async def test_answers_of_all_shapes(reranker: RemoteReranker, scripted: RunningServer, answer: Any) -> None:
    scripted.queue_body(json.dumps(answer).encode())
    assert (await scores(reranker)).values == [0.5, -3.0, 0.9]


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("shape", "sent"),
    [
        ("cohere", {"model": "some-model", "query": "a query", "documents": TEXTS}),
        ("llama.cpp", {"model": "some-model", "query": "a query", "documents": TEXTS}),
        ("tei", {"model": "some-model", "query": "a query", "texts": TEXTS, "truncate": True}),
    ],
)
async def test_the_request_has_the_shape_of_the_server(
    scripted: RunningServer, shape: Shape, sent: dict[str, Any]
) -> None:
    reranker = RemoteReranker(
        RerankSettings(id="up", base_url=scripted.base_url, api_key=KEY, shape=shape, headers={"X-Team": "a"})
    )
    scripted.queue_body(json.dumps({"results": GOOD, "usage": {"prompt_tokens": 12}}).encode())
    assert (await scores(reranker)).input_tokens == 12
    await reranker.aclose()
    [request] = scripted.requests()
    assert request["body"] == sent
    assert request["headers"]["authorization"] == f"Bearer {KEY}"
    assert request["headers"]["traceparent"] == "00-x" and request["headers"]["x-team"] == "a"


HOSTILE = {
    "an index that is too large": {"results": results((0, 1), (1, 1), (3, 1))},
    "a negative index": {"results": results((0, 1), (1, 1), (-1, 1))},
    "an index twice": {"results": results((0, 1), (1, 1), (1, 2), (2, 1))},
    "an index that is a text": {"results": results((0, 1), (1, 1), ("2", 1))},
    "an index that is a boolean": {"results": results((0, 1), (True, 1), (2, 1))},
    "no index": {"results": [{"relevance_score": 1}] * 3},
    "a score that is a text": {"results": results((0, 1), (1, "1"), (2, 1))},
    "no score": {"results": results((0, 1), (1, None), (2, 1))},
    "a score that is not a number": {"results": results((0, 1), (1, float("nan")), (2, 1))},
    "an infinite score": {"results": results((0, 1), (1, float("-inf")), (2, 1))},
    "a huge score": {"results": results((0, 1), (1, 10**400), (2, 1))},
    "a missing item": {"results": results((0, 1), (2, 1))},
    "nothing": {"results": []},
    "null": None,
    "another object": {"object": "list"},
    "no objects": {"results": [1, 2, 3]},
    "an error with status 200": {"error": {"message": "no rerank model is loaded"}},
}


@pytest.mark.anyio
@pytest.mark.parametrize("answer", HOSTILE.values(), ids=HOSTILE)
async def test_an_unusable_answer_is_the_servers_fault(
    reranker: RemoteReranker, scripted: RunningServer, answer: Any
) -> None:
    scripted.queue_body(json.dumps(answer).encode())
    with pytest.raises(UpstreamFailed, match="'up'"):
        await scores(reranker)


@pytest.mark.anyio
@pytest.mark.parametrize("body", [b"", b"<html>Welcome</html>", b'{"results": [', b"\xff\xfe"])
async def test_an_answer_that_is_not_json(
    reranker: RemoteReranker, scripted: RunningServer, body: bytes
) -> None:
    scripted.queue_body(body)
    with pytest.raises(UpstreamFailed, match="not JSON"):
        await scores(reranker)


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("script", "kind"),
    [
        ("status;code=400;message=too long", Invalid),
        ("status;code=401", UpstreamFailed),
        ("status;code=404", UpstreamFailed),
        ("status;code=404;message=model some-model not found", Invalid),
        ("status;code=429;retry_after=7", TooManyRequests),
        ("status;code=500", UpstreamFailed),
        ("status;code=503", Unavailable),
        ("status;code=504", UpstreamTimeout),
        (f"status;code=500;message=bad key {KEY}", UpstreamFailed),
        ("redirect", UpstreamFailed),
        ("drop", UpstreamFailed),
    ],
)
async def test_failures_of_the_server(
    reranker: RemoteReranker, scripted: RunningServer, script: str, kind: type[ReplaystackError]
) -> None:
    scripted.queue(script)
    with pytest.raises(kind) as raised:
        await scores(reranker)
    assert type(raised.value) is kind and KEY not in raised.value.detail
    assert reranker.problem == raised.value.detail


@pytest.mark.anyio
async def test_a_server_that_does_not_answer(scripted: RunningServer) -> None:
    reranker = RemoteReranker(RerankSettings(id="up", base_url=scripted.base_url, answer_timeout_s=0.2))
    scripted.queue("mute")
    with pytest.raises(UpstreamTimeout, match=r"0\.2 s"):
        await scores(reranker)
    await reranker.aclose()


@pytest.mark.anyio
async def test_a_server_that_is_not_there() -> None:
    reranker = RemoteReranker(RerankSettings(id="up", base_url="http://127.0.0.1:9"))
    with pytest.raises(UpstreamFailed, match="cannot be reached"):
        await scores(reranker)
    await reranker.aclose()


@pytest.mark.anyio
async def test_names_of_models() -> None:
    one = RerankSettings(id="jina", base_url="http://localhost:1", model="base-v2")
    other = RerankSettings(id="own", base_url="http://localhost:2", shape="tei")
    rerankers = Rerankers([one, other])
    assert [model.identifier for model in rerankers.models()] == ["jina/base-v2", "own", "bm25"]
    assert {model.model_type for model in rerankers.models()} == {"rerank"}

    def resolved(name: str) -> tuple[str, str]:
        reranker, model = rerankers.resolve(name)
        return reranker.id, model

    assert resolved("jina") == resolved("jina/base-v2") == ("jina", "base-v2")
    assert resolved("jina/org/other") == ("jina", "org/other")
    assert resolved("own") == ("own", "") and resolved("bm25") == ("bm25", "")
    for name in ("", "bm52", "bm25/x", "jina/", "/jina", "demo/extractive"):
        with pytest.raises(Invalid, match=r"Rerankers: jina/base-v2, own, bm25\."):
            rerankers.resolve(name)
    with pytest.raises(Invalid, match="Nearest: 'bm25'"):
        rerankers.resolve("bm52")
    await rerankers.aclose()
