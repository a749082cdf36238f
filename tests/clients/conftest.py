"""A server for real clients: the demo model, the scripted model server, and a real llama.cpp server."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.server.process import Replaystack
from tests.servers.processes import RunningServer


@pytest.fixture(scope="session")
def server(
    tmp_path_factory: pytest.TempPathFactory, scripted_server: RunningServer, llama_cpp: RunningServer
) -> Iterator[Replaystack]:
    """Models `demo/extractive`, `scripted/<script>` and `llama/tiny-random`, and shields of which the last one asks a real
    model with random weights."""
    providers = [
        {"id": "scripted", "base_url": scripted_server.base_url, "flavour": "generic", "max_retries": 0},
        {"id": "llama", "base_url": llama_cpp.base_url, "flavour": "llama.cpp"},
    ]
    shields = [
        {"id": "secrets", "kind": "pattern", "patterns": [{"name": "key", "pattern": "AKIA[0-9A-Z]{16}"}]},
        {"id": "guard", "kind": "llama-guard", "model": "scripted/guard;word=bomb"},
        {"id": "random", "kind": "llama-guard", "model": "llama/tiny-random"},
    ]
    environment = {
        "REPLAYSTACK_INFERENCE": json.dumps(providers),
        "REPLAYSTACK_SHIELDS": json.dumps(shields),
    }
    data = tmp_path_factory.mktemp("clients") / "data"
    with Replaystack(data, environment=environment) as server:
        yield server
        server.check_healthy()
    assert server.wait() == 0
    assert '"level":"error"' not in server.log, server.log
