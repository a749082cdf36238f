"""The interpreter of the training workers: what it has, and how a worker is started with it."""

from __future__ import annotations

import asyncio
import logging
import os
import re
import subprocess
from functools import partial
from pathlib import Path

import msgspec
from msgspec import Struct

from stack.errors import Invalid, Unavailable
from stack.providers.training.protocol import MAX_LINE_BYTES, PACKAGES
from stack.workers.failure import Closed
from stack.workers.lines import LineProcess
from stack.workers.starter import Starter

logger = logging.getLogger("replaystack.training")

FOLDER = Path(__file__).parent
TRAINER = "stack.providers.training.trainer.main"
PROBE_S = 120.0
"""How long the interpreter may take to say what it has: the first import of torch from a slow disk."""
REMEDY = (
    "Make one with `python -m venv FOLDER` and `FOLDER/bin/pip install 'replaystack[train]'`, and name "
    "FOLDER/bin/python in the setting train_python."
)
_VARIABLE = re.compile(
    r"HOME|LANG|PATH|TMPDIR|LD_LIBRARY_PATH|XDG_CACHE_HOME|(?:CUDA|NVIDIA|OMP|MKL|TORCH|PYTORCH|HF|ROCR|HIP)_\w+"
    r"|(?:HTTPS?|ALL|NO)_PROXY|SSL_CERT_\w+|REQUESTS_CA_BUNDLE",
    re.IGNORECASE,
)


class Environment(Struct, frozen=True):
    """The equipment of an interpreter. `packages` maps distributions to versions; `accelerators` are the devices that
    torch can use in addition to the CPU."""

    python: str
    packages: dict[str, str]
    missing: list[str]
    accelerators: list[str]


class Interpreter:
    """`python` is the setting `train_python`, empty if training is not set up."""

    def __init__(self, python: str) -> None:
        self._python = python
        self._starter = Starter("training", threads=4)
        self._asking = asyncio.Lock()
        self._environment: Environment | None = None

    async def environment(self) -> Environment:
        """Returns what the interpreter has, asked once. Raises Invalid if it cannot train, with the remedy."""
        if not self._python:
            raise Invalid(
                f"This server has no Python interpreter for training (setting train_python). {REMEDY}"
            )
        async with self._asking:
            if self._environment is None:
                found = await asyncio.to_thread(self._probe)
                if found.missing:
                    raise Invalid(
                        f"The interpreter for training, {self._python}, lacks {', '.join(found.missing)}. Install them with "
                        f"`{self._python} -m pip install 'replaystack[train]'`."
                    )
                self._environment = found
            return self._environment

    def _probe(self) -> Environment:
        command = [self._python, "-P", str(FOLDER / "probe.py"), *PACKAGES]
        try:
            said = subprocess.run(  # noqa: S603
                command,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                env=environment_variables(),
                timeout=PROBE_S,
                check=True,
                start_new_session=True,
            )
            return msgspec.json.decode(said.stdout, type=Environment)
        except OSError as error:
            raise Invalid(
                f"The interpreter for training, {self._python}, cannot be started: {error.strerror}. {REMEDY}"
            ) from None
        except (subprocess.SubprocessError, msgspec.MsgspecError) as error:
            tail = (getattr(error, "stderr", None) or b"")[-500:].decode("utf-8", "replace").strip()
            logger.warning("%s does not say what it has: %s %s", self._python, error, tail)
            raise Invalid(
                f"{self._python} (setting train_python) does not work as an interpreter for training: {tail or error}. "
                f"{REMEDY}"
            ) from None

    async def start(self, job_file: Path) -> LineProcess:
        """Starts a worker. Raises Unavailable."""

        def command(descriptor: int) -> list[str]:
            boot = str(FOLDER / "boot.py")
            return [
                self._python,
                "-P",
                boot,
                TRAINER,
                str(job_file),
                str(descriptor),
                str(os.getpid()),
            ]

        try:
            return await self._starter.launch(
                partial(LineProcess, command, environment_variables(), MAX_LINE_BYTES)
            )
        except Closed:
            raise Unavailable("The server is shutting down.") from None
        except OSError as error:
            raise Unavailable(f"No training worker can be started: {error.strerror}.") from None

    async def end(self, worker: LineProcess, wait_s: float = 0.0) -> tuple[int, str]:
        """Returns the worker's exit code and the end of its standard error. It may take `wait_s` to end by
        itself; then it is killed. Completed even if the caller is cancelled."""
        worker.unwatch()
        return await asyncio.shield(self._starter.ended(worker, wait_s))

    async def aclose(self) -> None:
        await self._starter.aclose()


def environment_variables() -> dict[str, str]:
    """Returns the variables of a worker: the server's may contain keys."""
    return {
        "PYTHONUNBUFFERED": "1",
        "TOKENIZERS_PARALLELISM": "false",
        **{name: value for name, value in os.environ.items() if _VARIABLE.fullmatch(name)},
    }
