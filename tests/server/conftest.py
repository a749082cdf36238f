"""Servers for tests: one for all that only ask, and fresh ones for tests that change, stop or break theirs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.server.api import Api, Conversation
from tests.server.process import Replaystack
from tests.server.telemetry import Telemetry
from tests.servers.fixtures import scripted, scripted_server
from tests.servers.processes import RunningServer

__all__ = ["scripted", "scripted_server"]

FreshServer = Callable[..., Replaystack]


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory, scripted_server: RunningServer) -> Iterator[Replaystack]:
    """One server for the whole run, with settings that make waiting short. Tests share its data; most of their spans are
    in sealed files."""
    data = tmp_path_factory.mktemp("shared") / "data"
    settings = {
        "keep_alive_s": 0.2,
        "hold_back_ms": 400,
        "max_body_bytes": 1 << 20,
        "telemetry_sealed_spans": 64,
    }
    with Replaystack(data, model_url=scripted_server.base_url, settings=settings, quick=False) as server:
        yield server
        server.check_healthy()
    assert server.wait() == 0
    assert '"level":"error"' not in server.log, server.log


@pytest.fixture(scope="session")
def client(server: Replaystack) -> Iterator[httpx.Client]:
    with server.http() as client:
        yield client


@pytest.fixture
def api(client: httpx.Client, scripted: RunningServer) -> Api:
    """The agents API of the shared server; what the scripted model server has counted starts again."""
    return Api(client)


@pytest.fixture(scope="session")
def telemetry(client: httpx.Client) -> Telemetry:
    """Telemetry of the shared server."""
    return Telemetry(client)


@pytest.fixture
def conversation(api: Api) -> Conversation:
    """A new session of a new agent that answers with three words."""
    return api.conversation()


@pytest.fixture
def fresh_server(tmp_path: Path, scripted: RunningServer) -> Iterator[FreshServer]:
    """Starts servers of this test's own: `fresh_server(folder="data", **settings)`."""
    started: list[Replaystack] = []

    def start(
        folder: str = "data", environment: dict[str, str] | None = None, **settings: Any
    ) -> Replaystack:
        server = Replaystack(
            tmp_path / folder, model_url=scripted.base_url, settings=settings, environment=environment
        )
        started.append(server)
        return server.start()

    yield start
    for server in started:
        if server.running:
            server.stop()
