"""Code that tries to get out, or to exhaust the machine: no engine gives anything away, and each works afterwards."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.providers.tools.code import tricks
from tests.providers.tools.code.running import Running, running, text
from tests.providers.tools.code.tricks import Trick

CANARY = "canary-4f1c9b"
PATIENT_S = 120.0
HASTY_S = 2.0
"""The code may use half of it as computing time."""
SANDBOX = {"engine": "sandbox", "python": sys.executable, "memory_bytes": 256 * 2**20}

# Runs each trick in the same process, and prints what it raised.
TOGETHER = """
import json
found = {{}}
for name, code in json.loads({codes!r}).items():
    try:
        exec(code, {{}})
        found[name] = "no error"
    except BaseException as error:
        found[name] = f"{{type(error).__name__}}: {{error}}"
print(json.dumps(found))
"""


@pytest.fixture(scope="module", autouse=True)
def canary() -> Iterator[None]:
    os.environ["REPLAYSTACK_CANARY"] = CANARY
    yield
    del os.environ["REPLAYSTACK_CANARY"]


@pytest.fixture(scope="module")
def monty() -> Iterator[Running]:
    with running(timeout_s=PATIENT_S) as made:
        yield made


@pytest.fixture(scope="module")
def hasty_monty() -> Iterator[Running]:
    with running(timeout_s=HASTY_S) as made:
        yield made


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Running]:
    with running(timeout_s=PATIENT_S, **SANDBOX) as made:
        yield made


@pytest.fixture(scope="module")
def hasty_sandbox() -> Iterator[Running]:
    with running(timeout_s=HASTY_S, **SANDBOX) as made:
        yield made


@pytest.fixture(scope="module")
def escapes(sandbox: Running) -> dict[str, str]:
    """Returns the error that each escape raised in the sandbox."""
    codes = json.dumps({one.name: one.code for one in tricks.SANDBOX_ESCAPES})
    result = sandbox.run(TOGETHER.format(codes=codes))
    found: dict[str, str] = json.loads(str(result.content).rpartition("\n")[2])
    return found


def check(code: Running, trick: Trick) -> None:
    result = code.run(trick.code)
    assert trick.says in str(result.content)
    assert result.is_error == trick.error, result.content
    assert CANARY not in str(result.content)
    assert len(str(result.content)) < 110_000
    assert code.rounds == []


def check_works(code: Running) -> None:
    assert code.run("1 + 1") == text("2")


def named(found: list[Trick]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("trick", found, ids=[one.name for one in found])


@named(tricks.MONTY_ESCAPES + tricks.MONTY_EXHAUSTS + tricks.MONTY_VALUES)
def test_monty(monty: Running, trick: Trick) -> None:
    check(monty, trick)
    check_works(monty)


@pytest.mark.slow
@named(tricks.MONTY_LOOPS)
def test_loops_in_monty(hasty_monty: Running, monty: Running, trick: Trick) -> None:
    check(hasty_monty, trick)
    check_works(monty)


@named(tricks.SANDBOX_ESCAPES)
def test_escapes_from_the_sandbox(escapes: dict[str, str], trick: Trick) -> None:
    assert trick.says in escapes[trick.name]
    assert escapes[trick.name] != "no error"
    assert CANARY not in escapes[trick.name]


@named(tricks.SANDBOX_HARMLESS)
def test_what_the_sandbox_shows(sandbox: Running, trick: Trick) -> None:
    check(sandbox, trick)


@pytest.mark.slow
@named(tricks.SANDBOX_EXHAUSTS)
def test_exhaustion_in_the_sandbox(sandbox: Running, trick: Trick) -> None:
    check(sandbox, trick)


@pytest.mark.slow
@named(tricks.SANDBOX_LOOPS)
def test_loops_in_the_sandbox(hasty_sandbox: Running, trick: Trick) -> None:
    check(hasty_sandbox, trick)


def test_there_are_enough_tricks() -> None:
    every = [value for name, value in vars(tricks).items() if name.startswith(("MONTY", "SANDBOX"))]
    assert sum(map(len, every)) >= 200


def test_nothing_was_written(sandbox: Running) -> None:
    assert not Path("/x").exists()
    check_works(sandbox)
