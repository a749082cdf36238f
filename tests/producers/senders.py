"""The SDKs that send telemetry here: which, where each is installed, and how it is run."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

OLDER = "1.20.0"
"""The version of opentelemetry-sdk and its exporters from 2023."""
OLDEST_NODE = (18, 19)
RUN_TIMEOUT_S = 180.0
INSTALL_TIMEOUT_S = 180.0
HERE = Path(__file__).parent
_UNREACHABLE = ("connect", "dns", "enotfound", "econn", "eai_again", "etimedout", "network", "timed out")


class Unavailable(Exception):
    """This machine has not got what a sender needs, nor a way to get it."""


_INSTALLING = threading.Lock()
_UNAVAILABLE: dict[str, Unavailable] = {}
"""Installations that failed, which are not tried again."""


class Addresses(NamedTuple):
    """The addresses of a server: its URL, and host and port for gRPC."""

    http: str
    grpc: str


class Sender(NamedTuple):
    """One SDK and one way to send. `name` begins the names of its metrics and is the service of what it sends."""

    sdk: str
    protocol: str
    compression: str

    @property
    def name(self) -> str:
        return f"{self.sdk}-{self.protocol}-{self.compression}"

    def run(self, addresses: Addresses) -> dict[str, Any]:
        """Returns what the sender reports to have sent. Raises Unavailable; fails if it fails or prints
        warnings."""
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("OTEL_", "PYTHON", "NODE_"))}
        done = subprocess.run(
            _COMMANDS[self.sdk](self, addresses),
            env=kept | {"NODE_PATH": str(_javascript() / "node_modules")}
            if self.sdk == "javascript"
            else kept,
            capture_output=True,
            text=True,
            timeout=RUN_TIMEOUT_S,
        )
        assert done.returncode == 0 and not done.stderr, done.stderr[-4000:]
        sent: dict[str, Any] = json.loads(done.stdout)
        return sent


SENDERS = [
    Sender(sdk, protocol, compression)
    for sdk in ("python", "older")
    for protocol in ("http", "grpc")
    for compression in ("none", "gzip")
] + [Sender("javascript", "http", compression) for compression in ("none", "gzip")]


def _python(python: Callable[[], str]) -> Callable[[Sender, Addresses], list[str]]:
    def command(sender: Sender, addresses: Addresses) -> list[str]:
        script = str(HERE / "sdk.py")
        return [python(), script, sender.name, sender.protocol, sender.compression, *addresses]

    return command


def _node(sender: Sender, addresses: Addresses) -> list[str]:
    return ["node", str(HERE / "javascript" / "sdk.cjs"), sender.name, sender.compression, addresses.http]


@cache
def _older() -> Path:
    """The Python of an environment that holds the older SDK."""
    base = getattr(sys, "_base_executable", sys.executable)
    packages = [
        f"{package}=={OLDER}"
        for package in (
            "opentelemetry-sdk",
            "opentelemetry-exporter-otlp-proto-http",
            "opentelemetry-exporter-otlp-proto-grpc",
        )
    ]

    def install(folder: Path) -> None:
        if shutil.which("uv"):
            _done(["uv", "venv", "--quiet", "--python", base, str(folder)], folder.parent)
            tool = ["uv", "pip", "install", "--quiet", "--python", str(folder / "bin/python")]
        else:
            _done([base, "-m", "venv", str(folder)], folder.parent)
            tool = [str(folder / "bin/python"), "-m", "pip", "install", "--quiet"]
        _done([*tool, *packages], folder.parent)

    minor = "{}.{}".format(*sys.version_info[:2])
    return _installed(f"opentelemetry-sdk-{OLDER}-py{minor}", install) / "bin/python"


@cache
def _javascript() -> Path:
    """The folder with the modules that `javascript/package.json` names."""
    if not (shutil.which("node") and shutil.which("npm")):
        raise Unavailable("node and npm are not installed")
    said = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True).stdout
    if tuple(int(part) for part in said.strip().removeprefix("v").split(".")[:2]) < OLDEST_NODE:
        raise Unavailable(f"node {said.strip()} is too old for the SDK")
    package = HERE / "javascript" / "package.json"
    versions = json.loads(package.read_bytes())["dependencies"]

    def install(folder: Path) -> None:
        folder.mkdir()
        shutil.copy(package, folder)
        quiet = ["--no-package-lock", "--no-audit", "--no-fund", "--no-update-notifier", "--loglevel=error"]
        quiet += ["--fetch-retries=1", "--fetch-retry-mintimeout=1000"]
        _done(["npm", "install", "--ignore-scripts", *quiet], folder)

    return _installed(f"opentelemetry-js-{versions['@opentelemetry/sdk-trace-base']}", install)


def _installed(name: str, install: Callable[[Path], None]) -> Path:
    """A folder that is kept among the temporary ones, there whole or not at all."""
    root = Path(tempfile.gettempdir()) / f"replaystack-tests-{os.getuid()}"
    root.mkdir(exist_ok=True)
    folder = root / name
    with _INSTALLING:
        if name in _UNAVAILABLE:
            raise _UNAVAILABLE[name]
        if not folder.exists():
            partial = root / f"{name}.{os.getpid()}"
            try:
                install(partial)
                partial.rename(folder)
            except Unavailable as missing:
                _UNAVAILABLE[name] = missing
                raise
            finally:
                shutil.rmtree(partial, ignore_errors=True)
    return folder


def _done(command: Sequence[str], folder: Path) -> None:
    """Runs it elsewhere than in the project, whose pins are for its own environment."""
    try:
        done = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, check=False, timeout=INSTALL_TIMEOUT_S
        )
    except subprocess.TimeoutExpired:
        raise Unavailable(f"{command[0]} does not come to an end") from None
    if done.returncode != 0 and any(word in done.stderr.lower() for word in _UNREACHABLE):
        raise Unavailable(f"{command[0]} reaches no index: {done.stderr.strip().splitlines()[0]}")
    assert done.returncode == 0, f"{command}: {done.stderr}"


_COMMANDS: dict[str, Callable[[Sender, Addresses], list[str]]] = {
    "python": _python(lambda: sys.executable),
    "older": _python(lambda: str(_older())),
    "javascript": _node,
}
