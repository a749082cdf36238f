"""Collections with embeddings: fused with words, kept in a file, from real and hostile servers."""

from __future__ import annotations

import asyncio
import json
from array import array
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from stack.errors import Invalid, ReplaystackError, TooManyRequests, UpstreamFailed
from stack.providers.inference.registry import Models
from stack.providers.inference.settings import InferenceSettings
from stack.providers.retrieval.collections import Collections
from stack.providers.retrieval.fusion import fused
from stack.providers.retrieval.port import Embedder
from stack.providers.retrieval.settings import CollectionSettings
from stack.providers.retrieval.vectors import VectorIndex
from stack.services.inference.embedding import Embeddings
from telemetry.own.metrics import Metrics
from telemetry.own.model_call import ModelCalls
from telemetry.own.tracing import Tracing
from tests.providers.retrieval.embedders import Concepts
from tests.servers.processes import RunningServer


def test_fusion_adds_weighted_reciprocal_ranks() -> None:
    assert fused([7, 3], [3, 9], 0.5) == [
        (3, pytest.approx(0.5 / 62 + 0.5 / 61)),
        (7, pytest.approx(0.5 / 61)),
        (9, pytest.approx(0.5 / 62)),
    ]
    assert [item for item, _ in fused([1, 2], [3, 4], 0.9)] == [1, 2, 3, 4]
    assert [item for item, _ in fused([1, 2], [3, 4], 0.1)] == [3, 4, 1, 2]
    assert fused([], []) == []


def floats(*numbers: float) -> bytes:
    return array("f", numbers).tobytes()


def test_vectors_are_kept_in_a_file(tmp_path: Path) -> None:
    file = tmp_path / "new" / "docs.vectors"
    index = VectorIndex("m", file, ["a", "b", "a"])
    assert index.missing(10) == [0, 1] and index.best(floats(1, 0), 2) is None
    assert index.add([0, 1], floats(1, 0, 0, 1))
    assert not index.add([1], floats(1, 2, 3))
    index.finish()
    assert index.best(floats(3, 1), 2) == [0, 2] and index.best(floats(1), 2) is None
    index.save()
    again = VectorIndex("m", file, ["b", "c"])
    assert again.missing(10) == [1]
    assert VectorIndex("other", file, ["b"]).missing(10) == [0]
    for damage in (b"", b"{}", b"\n", file.read_bytes()[:-1], b'{"model":"m","dimension":0}\n'):
        file.write_bytes(damage)
        assert VectorIndex("m", file, ["b"]).missing(10) == [0]


class Running:
    """Collections of one folder, indexed; `asked` counts the texts that were embedded."""

    def __init__(self, path: Path, embedder: Embedder, model: str = "some/model") -> None:
        settings = CollectionSettings(id="docs", path=str(path / "documents"), embedding_model=model)
        self.collections = Collections([settings], embedder, path / "vectors")

    async def __aenter__(self) -> Collections:
        for collection in self.collections.collections.values():
            await collection.refresh()
        return self.collections

    async def __aexit__(self, *ended: object) -> None:
        await self.collections.aclose()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "documents").mkdir()
    for name, text in {
        "a": "the port opens at ten",
        "b": "a loaf of rye",
        "c": "the boat leaves at noon",
    }.items():
        (tmp_path / "documents" / f"{name}.txt").write_text(text)
    return tmp_path


@pytest.mark.anyio
async def test_synonyms_are_found_by_embeddings(path: Path) -> None:
    embedder = Concepts()
    async with Running(path, embedder) as collections:
        found = await collections.search("when does the harbour open", ["docs"])
        assert next(one.document_id for one in found) == "a.txt"
        assert next(one.document_id for one in await collections.search("bakery", ["docs"])) == "b.txt"
        assert embedder.asked == 3 + 2
    # The file of the embeddings is used after a restart; only new texts are embedded.
    (path / "documents" / "d.txt").write_text("another haven")
    async with Running(path, embedder) as collections:
        assert embedder.asked == 3 + 2 + 1
        assert {one.document_id for one in (await collections.search("harbour", ["docs"]))[:2]} == {
            "a.txt",
            "d.txt",
        }


class Failing:
    async def embed(self, model: str, texts: list[str]) -> bytes:
        raise UpstreamFailed("The model server is away.")


@pytest.mark.anyio
async def test_without_embeddings_a_collection_is_searched_by_words(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with Running(path, Failing()) as collections:  # type: ignore[arg-type]
        [found] = await collections.search("loaves", ["docs"]) or [None]
        assert found is None
        assert [one.document_id for one in await collections.search("rye", ["docs"])] == ["b.txt"]
    assert "searched by words only: The model server is away." in caplog.text


@pytest.fixture
async def embeddings(
    scripted: RunningServer, llama_cpp_embeddings: RunningServer
) -> AsyncIterator[Embeddings]:
    servers = [
        InferenceSettings(id="up", base_url=scripted.base_url),
        InferenceSettings(id="llama", base_url=llama_cpp_embeddings.base_url, flavour="llama.cpp"),
    ]
    models = Models(servers, discovery=False)
    yield Embeddings(models, ModelCalls(Tracing(None), Metrics()))
    await models.aclose()


@pytest.mark.anyio
async def test_a_real_server(embeddings: Embeddings, path: Path) -> None:
    async with Running(path, embeddings, "llama/tiny-mean") as collections:
        collection = collections.collections["docs"]
        assert collection._embedded
        # Random weights know nothing, but equal texts are equal.
        assert (await collections.search("a loaf of rye", ["docs"]))[0].document_id == "b.txt"
    assert (path / "vectors" / "docs.vectors").stat().st_size > 3 * 64 * 4


def answer(*vectors: Any, **more: Any) -> bytes:
    data = [{"object": "embedding", "index": at, "embedding": one} for at, one in enumerate(vectors)]
    return json.dumps({"object": "list", "model": "m", "data": data} | more).encode()


@pytest.mark.anyio
async def test_vectors_come_in_the_order_of_the_texts(
    embeddings: Embeddings, scripted: RunningServer
) -> None:
    data = [{"index": 1, "embedding": [3, 4]}, {"index": 0, "embedding": [1, 2.5]}]
    scripted.queue_body(json.dumps({"data": data}).encode())
    assert await embeddings.embed("up/m", ["a", "b"]) == floats(1, 2.5, 3, 4)
    [request] = scripted.requests()
    assert request["body"] == {"model": "m", "input": ["a", "b"], "encoding_format": "float"}


@pytest.mark.anyio
@pytest.mark.parametrize(
    "said",
    [
        answer([1, 2]),
        answer([1, 2], [3, 4], [5, 6]),
        answer([1, 2], [3]),
        answer([], []),
        answer([1, 2], [3, None]),
        answer([1, 2], [3, float("nan")]),
        answer([1, 2], [3, 1e300]),
        answer([1, 2], "AAAA"),
        json.dumps({"data": [{"index": 0, "embedding": [1]}] * 2}).encode(),
        b"{}",
        b"[]",
        b"not json",
        b'{"error": {"message": "no embedding model is loaded"}}',
    ],
)
async def test_unusable_answers(embeddings: Embeddings, scripted: RunningServer, said: bytes) -> None:
    scripted.queue_body(said)
    with pytest.raises(UpstreamFailed, match="'up'"):
        await embeddings.embed("up/m", ["a", "b"])


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("script", "kind"),
    [("status;code=429", TooManyRequests), ("status;code=400", Invalid), ("drop", UpstreamFailed)],
)
async def test_failures_of_the_server(
    embeddings: Embeddings, scripted: RunningServer, script: str, kind: type[ReplaystackError]
) -> None:
    scripted.queue(script)
    with pytest.raises(kind):
        await embeddings.embed("up/m", ["a"])


@pytest.mark.anyio
async def test_a_search_that_is_cancelled_leaves_the_index(path: Path) -> None:
    async with Running(path, Concepts()) as collections:
        searching = asyncio.ensure_future(collections.search("rye", ["docs"]))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        searching.cancel()
        assert (await collections.search("rye", ["docs"]))[0].document_id == "b.txt"
