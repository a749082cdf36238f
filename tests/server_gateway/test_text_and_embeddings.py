"""Text completions and embeddings passed through: OpenAI's own client, scripted and real model servers."""

from __future__ import annotations

import json
from typing import Any

import httpx
import openai
import pytest

from tests.server_gateway.asking import KEY, check_openai_error
from tests.servers.processes import RunningServer

EMBEDDED = {
    "object": "list",
    "data": [{"object": "embedding", "index": 0, "embedding": [0.25, -1.5e-7]}],
    "model": "m",
    "usage": {"prompt_tokens": 5, "total_tokens": 5},
}
PREFIXES = ["/v1", "/v1/openai/v1"]


def span_of(http: httpx.Client, trace_id: str, name: str) -> dict[str, Any]:
    """The attributes of a span."""
    spans = http.get(f"/v1alpha/telemetry/traces/{trace_id}/spans").json()["data"]
    [span] = [span for span in spans if span["name"].startswith(name)]
    attributes: dict[str, Any] = span["attributes"]
    return attributes


def test_a_real_server_completes_a_text(client: openai.OpenAI) -> None:
    answer = client.completions.create(model="llama/tiny-random", prompt="The city", max_tokens=4, seed=1)
    # Its weights are random: it may end before `max_tokens`.
    assert answer.choices[0].text and answer.usage is not None and 1 <= answer.usage.completion_tokens <= 4


def test_a_real_server_streams_a_text(client: openai.OpenAI) -> None:
    asked: dict[str, Any] = {"model": "llama/tiny-random", "prompt": "The city", "max_tokens": 4, "seed": 1}
    chunks = list(client.completions.create(**asked, stream=True))
    assert "".join(chunk.choices[0].text for chunk in chunks)
    assert chunks[-1].choices[0].finish_reason in ("length", "stop")
    options = {"include_usage": True}
    with_usage = list(client.completions.create(**asked, stream=True, stream_options=options))
    assert with_usage[-1].usage is not None and 1 <= with_usage[-1].usage.completion_tokens <= 4


def test_a_real_server_embeds_texts(client: openai.OpenAI) -> None:
    answer = client.embeddings.create(model="embedder/tiny-mean", input=["the city", "a name"])
    assert [one.index for one in answer.data] == [0, 1]
    assert len(answer.data[0].embedding) == 64 and answer.usage.prompt_tokens > 0


@pytest.mark.parametrize("prefix", PREFIXES)
def test_embeddings_pass_as_they_are(http: httpx.Client, scripted: RunningServer, prefix: str) -> None:
    said = json.dumps(EMBEDDED, indent=1).encode()
    scripted.queue_body(said)
    asked = {"model": "scripted/m", "input": [[1, 2]], "dimensions": 2, "stream": True, "novel": {"a": 1.0}}
    answer = http.post(f"{prefix}/embeddings", json=asked)
    assert answer.status_code == 200 and answer.content == said
    [request] = scripted.requests()
    assert request["body"] == asked | {"model": "m"}
    attributes = span_of(http, answer.headers["x-trace-id"], "embeddings m")
    assert attributes["gen_ai.operation.name"] == "embeddings"
    assert attributes["gen_ai.usage.input_tokens"] == 5
    assert attributes["gen_ai.embeddings.dimension.count"] == 2


def test_large_embeddings(http: httpx.Client, scripted: RunningServer) -> None:
    data = [{"object": "embedding", "index": number, "embedding": [0.5] * 1000} for number in range(400)]
    said = json.dumps(EMBEDDED | {"data": data}).encode()
    scripted.queue_body(said)
    answer = http.post("/v1/embeddings", json={"model": "scripted/m", "input": "a"})
    assert answer.content == said
    assert span_of(http, answer.headers["x-trace-id"], "embeddings m")["gen_ai.usage.input_tokens"] == 5


def test_a_text_completion_is_traced(http: httpx.Client) -> None:
    asked = {"model": "llama/tiny-random", "prompt": "The city", "max_tokens": 3, "seed": 1}
    answer = http.post("/v1/completions", json=asked)
    attributes = span_of(http, answer.headers["x-trace-id"], "text_completion tiny-random")
    assert attributes["gen_ai.usage.output_tokens"] == answer.json()["usage"]["completion_tokens"]
    assert attributes["gen_ai.response.finish_reasons"] in (["length"], ["stop"])


@pytest.mark.parametrize("path", ["/v1/completions", "/v1/embeddings"])
def test_failures_have_openais_form(http: httpx.Client, scripted: RunningServer, path: str) -> None:
    def post(**more: Any) -> httpx.Response:
        return http.post(path, json={"prompt": "a", "input": "a"} | more)

    check_openai_error(post(model="demo/extractive"), 400, "only completes chats")
    check_openai_error(post(model="nothing/at-all"), 404, "nothing/at-all")
    check_openai_error(post(), 400, "model is missing")
    check_openai_error(post(model="nowhere/m"), 502, "cannot be reached")
    scripted.queue(f"status;code=429;message=slow down {KEY}")
    check_openai_error(post(model="scripted/m"), 429, "slow down")
    scripted.queue_body(b"<html>Welcome</html>", "text/html")
    check_openai_error(post(model="scripted/m"), 502, "web page")
    scripted.queue_body(b'{"error": {"message": "no such model"}}')
    refused = post(model="scripted/m")
    assert (refused.status_code, refused.json()) == (502, {"error": {"message": "no such model"}})
    scripted.queue_body(b"not json")
    check_openai_error(post(model="scripted/m"), 502, "not json")
