"""Fixtures that every test may use, how many processes a run uses, and where it keeps bytecode."""

import os
import sys
from pathlib import Path

import pytest
from hypothesis import settings

# How long an example takes depends on the machine: speed is measured by the benchmarks alone.
settings.register_profile("untimed", settings(), deadline=None)
settings.load_profile("untimed")

TESTS = Path(__file__).parent
MAX_PROCESSES = 4

SLOW_FOLDERS = {"clients", "producers", "server_content", "server_gateway"}
"""Their tests start servers, and interpreters, of their own."""

pytest_plugins = ["tests.servers.fixtures"]


def pytest_configure(config: pytest.Config) -> None:
    """Keeps bytecode in pytest's cache where `PYTHONDONTWRITEBYTECODE` is set, as it often is in containers: each of
    the servers that tests start would compile 1,100 modules, in two of three seconds."""
    if sys.dont_write_bytecode and getattr(config, "cache", None) is not None:
        sys.pycache_prefix = os.environ["PYTHONPYCACHEPREFIX"] = str(config.cache.mkdir("bytecode"))
        sys.dont_write_bytecode = False
        del os.environ["PYTHONDONTWRITEBYTECODE"]


@pytest.fixture
def anyio_backend() -> str:
    """Async tests are marked `anyio` and run on asyncio, as the server does."""
    return "asyncio"


def pytest_make_parametrize_id(val: object) -> str | None:
    """Names bytes that are not text by their number. What is compressed holds the time, and the processes of a
    parallel run must collect the same names."""
    if isinstance(val, bytes) and not (val.isascii() and val.decode().isprintable()):
        return f"{len(val)} bytes"
    return None


@pytest.hookimpl(tryfirst=True)  # before `-m` selects
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks tests that start servers of their own as slow, and runs long files first, so that the processes of a
    parallel run end together."""
    for item in items:
        folder = item.path.relative_to(TESTS).parts[0]
        if folder in SLOW_FOLDERS or "fresh_server" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.slow)
    items.sort(key=lambda item: item.get_closest_marker("long") is None)


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Where folders are run, one process for each core and one more, because tests wait a quarter of their time. No
    extra ones where files or single tests are named, which are over before a process has started. `-n` overrides it."""
    if all(Path(argument).is_dir() for argument in config.args):
        return min((os.cpu_count() or 1) + 1, MAX_PROCESSES)
    config.option.dist = "no"
    return 0
