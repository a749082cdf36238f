"""A server that passes chat completions to the scripted server, to a real llama.cpp server and to no one."""

from __future__ import annotations

import json
from collections.abc import Iterator

import httpx
import openai
import pytest

from tests.server.process import Replaystack
from tests.server_gateway.asking import KEY, PATHS
from tests.servers.processes import RunningServer


@pytest.fixture(scope="package")
def gateway(
    tmp_path_factory: pytest.TempPathFactory,
    scripted_server: RunningServer,
    llama_cpp: RunningServer,
    llama_cpp_embeddings: RunningServer,
    llama_cpp_rerank: RunningServer,
) -> Iterator[Replaystack]:
    scripted = {"base_url": scripted_server.base_url, "flavour": "generic", "api_key": KEY}
    short = {"first_token_timeout_s": 0.4, "stall_timeout_s": 0.4, "answer_timeout_s": 0.4}
    providers = [
        {"id": "scripted", **scripted},
        {"id": "impatient", **scripted, **short},
        {"id": "nowhere", "base_url": "http://127.0.0.1:9/v1"},
        {"id": "llama", "base_url": llama_cpp.base_url, "flavour": "llama.cpp"},
        {"id": "embedder", "base_url": llama_cpp_embeddings.base_url, "flavour": "llama.cpp"},
    ]
    rerankers = [
        {"id": "reranker", "base_url": scripted_server.base_url, "api_key": KEY},
        {"id": "llama-rerank", "base_url": llama_cpp_rerank.base_url, "shape": "llama.cpp"},
    ]
    environment = {
        "REPLAYSTACK_INFERENCE": json.dumps(providers),
        "REPLAYSTACK_RERANK": json.dumps(rerankers),
    }
    data = tmp_path_factory.mktemp("gateway") / "data"
    with Replaystack(data, environment=environment) as server:
        yield server
        server.check_healthy()
    assert '"level":"error"' not in server.log, server.log
    assert KEY not in server.log


@pytest.fixture(params=PATHS)
def client(
    request: pytest.FixtureRequest, gateway: Replaystack, scripted: RunningServer
) -> Iterator[openai.OpenAI]:
    """OpenAI's client on each of the two paths; it repeats nothing."""
    base_url = gateway.url + request.param.removesuffix("/chat/completions")
    with openai.OpenAI(base_url=base_url, api_key="the-callers-key", max_retries=0, timeout=20) as client:
        yield client


@pytest.fixture
def http(gateway: Replaystack, scripted: RunningServer) -> Iterator[httpx.Client]:
    with gateway.http() as client:
        yield client
