"""Fixtures that every test may use."""

import pytest

pytest_plugins = ["tests.servers.fixtures"]


@pytest.fixture
def anyio_backend() -> str:
    """Async tests are marked `anyio` and run on asyncio, as the server does."""
    return "asyncio"
