"""Fixtures that every test may use."""

import pytest
from hypothesis import settings

# How long an example takes depends on the machine: speed is measured by the benchmarks alone.
settings.register_profile("untimed", settings(), deadline=None)
settings.load_profile("untimed")

pytest_plugins = ["tests.servers.fixtures"]


@pytest.fixture
def anyio_backend() -> str:
    """Async tests are marked `anyio` and run on asyncio, as the server does."""
    return "asyncio"
