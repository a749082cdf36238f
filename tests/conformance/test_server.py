"""The conformance suite of MCP, run against the server for assistants (`/mcp`).

Not run: scenarios of prompts, resources, completion, logging, sampling, elicitation, tasks and skills, which this server
does not declare; of tools with given names (images, audio, progress, `x-mcp-header`, JSON schemas), which it does not
have; and of streams and sessions, which it does not keep.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator

import pytest

from tests.server.process import Replaystack
from tests.servers import mcp_node

pytestmark = pytest.mark.slow

SCENARIOS = [
    ("conformance", "", "server-initialize"),
    ("conformance", "", "ping"),
    ("conformance", "", "tools-list"),
    ("conformance", "", "tools-call-error"),
    ("conformance", "", "dns-rebinding-protection"),
    ("conformance-draft", "2025-11-25", "server-initialize"),
    ("conformance-draft", "2026-07-28", "tools-list"),
    ("conformance-draft", "2026-07-28", "tools-call-error"),
    ("conformance-draft", "2026-07-28", "dns-rebinding-protection"),
    ("conformance-draft", "2026-07-28", "http-header-validation"),
    ("conformance-draft", "2026-07-28", "server-stateless"),
]
# The suite calls a tool that needs the client's model.
NOT_OURS = {
    "server-stateless": {"ServerRejectsUndeclaredCapability", "MissingCapabilityHttp400"},
}


@pytest.fixture(scope="module")
def asked_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Replaystack]:
    with Replaystack(tmp_path_factory.mktemp("conformance") / "data") as server:
        yield server
    assert '"level":"error"' not in server.log, server.log


def failed(server: Replaystack, suite: str, version: str, scenario: str) -> tuple[set[str], str]:
    """Returns the names of the failed checks, and what the suite said."""
    command = [mcp_node.node(), mcp_node.package(suite, "dist/index.js"), "server", "--scenario", scenario]
    command += ["--url", f"{server.url}/mcp", *(["--spec-version", version] if version else [])]
    done = subprocess.run(
        command, cwd=server.data.parent, capture_output=True, text=True, timeout=150, check=False
    )
    said = done.stdout + done.stderr
    assert "Passed: " in said and "Passed: 0/0" not in said, said[-6000:]
    _, _, failures = said.partition("=== Failed Checks ===")
    names = set(re.findall(r"^  - (\w+): ", failures, re.MULTILINE))
    assert bool(done.returncode) == bool(names), said[-6000:]
    return names, said


if mcp_node.is_wanted():

    @pytest.mark.parametrize(("suite", "version", "scenario"), SCENARIOS)
    def test_the_server_conforms(asked_server: Replaystack, suite: str, version: str, scenario: str) -> None:
        names, said = failed(asked_server, suite, version, scenario)
        assert names == NOT_OURS.get(scenario, set()), said[-6000:]
