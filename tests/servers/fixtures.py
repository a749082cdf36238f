"""Model servers as fixtures: `pytest_plugins = ["tests.servers.fixtures"]` in the conftest of the tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.servers.processes import RunningServer, running


@pytest.fixture(scope="session")
def scripted_server() -> Iterator[RunningServer]:
    """The scripted OpenAI-compatible server, started once. Its state is shared: see `scripted`."""
    with running("tests.servers.scripted_openai") as server:
        yield server


@pytest.fixture
def scripted(scripted_server: RunningServer) -> RunningServer:
    """The scripted server with its counts and its queue reset."""
    scripted_server.reset()
    return scripted_server


@pytest.fixture(scope="session")
def llama_cpp() -> Iterator[RunningServer]:
    """A real llama.cpp server with the model `tiny-random`, started once."""
    with running("tests.servers.llama_cpp") as server:
        yield server


@pytest.fixture(scope="session")
def llama_cpp_embeddings() -> Iterator[RunningServer]:
    """A real llama.cpp server with the embedding model `tiny-mean`, started once."""
    with running("tests.servers.llama_cpp", "--pooling", "mean") as server:
        yield server


@pytest.fixture(scope="session")
def llama_cpp_rerank() -> Iterator[RunningServer]:
    """A real llama.cpp server with the rerank model `tiny-rank`, started once."""
    with running("tests.servers.llama_cpp", "--pooling", "rank") as server:
        yield server
