"""The interpreter that has torch, and a tiny model that it makes."""

from __future__ import annotations

import fcntl
import os
import subprocess
import tempfile
from pathlib import Path

import pytest

from tests.training.jobs import environment

VARIABLE = "REPLAYSTACK_TRAIN_PYTHON"
TINY = Path(__file__).with_name("tiny_model.py")


@pytest.fixture(scope="session")
def train_python() -> str:
    """Tests that train need an interpreter with torch; `.ci/run` makes one and demands them."""
    found = os.environ.get(VARIABLE, "")
    if not found:
        pytest.skip(f"{VARIABLE} names no interpreter with torch, transformers, peft, torchao and trl")
    return found


@pytest.fixture(scope="session")
def tiny_model(train_python: str) -> Path:
    """A Llama of 140,000 random weights, made once for all test processes and runs."""
    folder = Path(tempfile.gettempdir()) / f"replaystack-tests-{os.getuid()}"
    folder.mkdir(exist_ok=True)
    model = folder / "tiny-llama-1"
    with (folder / "tiny-llama.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not model.exists():
            partial = folder / f"tiny-llama.{os.getpid()}"
            subprocess.run([train_python, TINY, partial], env=environment(), check=True, capture_output=True)
            partial.rename(model)
    return model
