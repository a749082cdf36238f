"""One server for all tests that only post: bodies of 48 MiB, models that see."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from tests.server.api import Api
from tests.server.conftest import FreshServer, fresh_server
from tests.server.process import Replaystack
from tests.servers.fixtures import scripted, scripted_server
from tests.servers.processes import RunningServer

__all__ = ["FreshServer", "fresh_server", "scripted", "scripted_server"]

MAX_BODY_BYTES = 48 * 2**20


@pytest.fixture(scope="session")
def content_server(
    tmp_path_factory: pytest.TempPathFactory, scripted_server: RunningServer
) -> Iterator[Replaystack]:
    data = tmp_path_factory.mktemp("content") / "data"
    settings = {"max_body_bytes": MAX_BODY_BYTES}
    with Replaystack(data, model_url=scripted_server.base_url, settings=settings) as server:
        yield server
        server.check_healthy()
    assert '"level":"error"' not in server.log, server.log


@pytest.fixture(scope="session")
def content_client(content_server: Replaystack) -> Iterator[httpx.Client]:
    with content_server.http() as client:
        yield client


@pytest.fixture
def api(content_client: httpx.Client, scripted: RunningServer) -> Api:
    return Api(content_client)
