"""The clients, the interpreters found for them, and where each client is installed."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

NEWER = ("python3.12", "python3.13", "python3.14")
OF_311 = "0.2.12"
"""Runs on this project's own oldest Python and is one of its development packages."""
OF_312 = ("0.2.23", "0.3.0", "0.3.5")
"""These need Python 3.12; they are tested where one is found."""
PLACES = ("~/.pyenv/versions/*/bin", "~/.local/share/uv/python/*/bin", "/opt/*/bin")
RUN_TIMEOUT_S = 300.0


class Client(NamedTuple):
    """A release of llama-stack-client and the interpreter that runs it."""

    version: str
    python: str

    def run(self, scenario: str, *arguments: Any) -> dict[str, Any]:
        """Returns the last output of `tests/clients/<scenario>.py`: its findings as JSON. Fails if it
        fails."""
        script = Path(__file__).with_name(f"{scenario}.py")
        lines = self.execute(script, *(json.dumps(one) for one in arguments)).splitlines()
        found: dict[str, Any] = json.loads(lines[-1])
        return found

    def execute(self, script: Path, *arguments: str) -> str:
        """Returns the output of a script that uses this client. Fails if it fails."""
        environment = {k: v for k, v in os.environ.items() if not k.startswith(("LLAMA_STACK", "PYTHON"))}
        if self.version != OF_311:
            environment["PYTHONPATH"] = str(_installed(self))
        done = subprocess.run(
            [self.python, str(script), *arguments],
            env=environment | {"NO_COLOR": "1"},
            capture_output=True,
            text=True,
            timeout=RUN_TIMEOUT_S,
        )
        assert done.returncode == 0, done.stderr[-4000:]
        return done.stdout


def clients(series: str) -> list[Client]:
    """All clients of a series (`0.2`, `0.3`) that an interpreter was found for."""
    found = [Client(OF_311, sys.executable)]
    newer = newer_python()
    if newer:
        found += [Client(version, newer) for version in OF_312]
    return [one for one in found if one.version.startswith(series + ".")]


@cache
def newer_python() -> str:
    """Returns the path of a working Python of at least 3.12 on this machine; empty if none is installed."""
    if sys.version_info >= (3, 12):
        return sys.executable
    candidates = [shutil.which(name) for name in NEWER]
    for place in PLACES:
        folder = Path(place).expanduser()
        root = Path(folder.anchor)
        pattern = str(folder.relative_to(root))
        candidates += [str(path) for name in NEWER for path in sorted(root.glob(f"{pattern}/{name}"))]
    # What is found on the path may be a switch of a version manager that has nothing behind it.
    return next((one for one in candidates if one and _runs(one)), "")


def _runs(python: str) -> bool:
    check = "import sys, ssl, ensurepip; sys.exit(sys.version_info < (3, 12))"
    return subprocess.run([python, "-c", check], capture_output=True, check=False).returncode == 0


@cache
def _installed(client: Client) -> Path:
    """The folder that holds this client; kept in the temporary folder, there whole or not at all."""
    minor = subprocess.run(
        [client.python, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    root = Path(tempfile.gettempdir()) / f"replaystack-tests-{os.getuid()}"
    folder = root / f"llama-stack-client-{client.version}-py{minor}"
    if not folder.exists():
        partial = folder.with_name(f"{folder.name}.{os.getpid()}")
        tool = ["uv", "pip", "install", "--python", client.python] if shutil.which("uv") else []
        tool = tool or [client.python, "-m", "pip", "install"]
        package = f"llama-stack-client=={client.version}"
        root.mkdir(exist_ok=True)
        # Elsewhere than in the project, whose pins are for its own environment.
        done = subprocess.run(
            [*tool, "--quiet", "--target", str(partial), package],
            cwd=root,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{package} could not be installed: {done.stderr}"
        partial.rename(folder)
    return folder
