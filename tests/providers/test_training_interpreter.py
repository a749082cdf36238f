"""The interpreter of training workers: what is said of one that cannot train, and what is asked once."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from stack.errors import Invalid
from stack.providers.training.interpreter import Environment, Interpreter
from tests.servers import fake_trainer


def environment_of(*pythons: str) -> list[Environment]:
    async def asked() -> list[Environment]:
        found = []
        for python in pythons:
            interpreter = Interpreter(python)
            try:
                found.append(await interpreter.environment())
            finally:
                await interpreter.aclose()
        return found

    return asyncio.run(asked())


@pytest.mark.parametrize(
    ("python", "said"),
    [
        ("", "setting train_python"),
        ("/nowhere/python", "cannot be started: No such file"),
        ("/bin/false", "does not work"),
    ],
)
def test_what_is_missing_is_said_with_the_remedy(python: str, said: str) -> None:
    with pytest.raises(Invalid, match=said) as refused:
        environment_of(python)
    assert "pip install" in refused.value.detail


def test_missing_packages_are_named(tmp_path: Path) -> None:
    python = str(fake_trainer.interpreter(tmp_path / "python", missing="peft,torchao"))
    with pytest.raises(Invalid, match=r"lacks peft, torchao\. Install them with .*python -m pip install"):
        environment_of(python)


def test_an_interpreter_is_asked_once_and_again_after_a_refusal(tmp_path: Path) -> None:
    file = tmp_path / "python"

    async def asked() -> None:
        interpreter = Interpreter(str(fake_trainer.interpreter(file, missing="peft")))
        with pytest.raises(Invalid):
            await interpreter.environment()
        fake_trainer.interpreter(file, accelerators="H200")
        found = await interpreter.environment()
        assert (found.accelerators, found.missing) == (["H200"], [])
        file.unlink()
        assert await interpreter.environment() is found
        await interpreter.aclose()

    asyncio.run(asked())
