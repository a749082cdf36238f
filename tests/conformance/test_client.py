"""The conformance suite of MCP, run against the client that calls tools (`client.py`)."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from tests.servers import mcp_node
from tests.servers.processes import ROOT

pytestmark = pytest.mark.slow

STABLE = ("conformance", "")
DRAFT = ("conformance-draft", "2026-07-28")
SCENARIOS = [
    (STABLE, "initialize"),
    (STABLE, "tools_call"),
    (STABLE, "auth/metadata-default"),
    (STABLE, "auth/basic-cimd"),
    (STABLE, "auth/scope-step-up"),
    (STABLE, "auth/token-endpoint-auth-post"),
    (STABLE, "auth/pre-registration"),
    (STABLE, "auth/client-credentials-basic"),
    (STABLE, "auth/2025-03-26-oauth-endpoint-fallback"),
    (DRAFT, "tools_call"),
    (DRAFT, "request-metadata"),
    (DRAFT, "sep-2322-client-request-state"),
    (DRAFT, "http-standard-headers"),
    (DRAFT, "http-custom-headers"),
    (DRAFT, "http-invalid-tool-headers"),
    (DRAFT, "auth/metadata-default"),
    (DRAFT, "auth/iss-supported"),
    (DRAFT, "auth/iss-wrong-issuer"),
]
OTHERS = [
    (STABLE, "sse-retry"),  # measures times
    (STABLE, "auth/metadata-var1"),
    (STABLE, "auth/metadata-var2"),
    (STABLE, "auth/metadata-var3"),
    (STABLE, "auth/scope-from-www-authenticate"),
    (STABLE, "auth/scope-from-scopes-supported"),
    (STABLE, "auth/scope-omitted-when-undefined"),
    (STABLE, "auth/scope-retry-limit"),
    (STABLE, "auth/token-endpoint-auth-basic"),
    (STABLE, "auth/token-endpoint-auth-none"),
    (STABLE, "auth/resource-mismatch"),
    (STABLE, "auth/offline-access-scope"),
    (STABLE, "auth/offline-access-not-supported"),
    (DRAFT, "auth/authorization-server-migration"),
    (DRAFT, "auth/iss-not-advertised"),
    (DRAFT, "auth/iss-supported-missing"),
    (DRAFT, "auth/iss-unexpected"),
    (DRAFT, "auth/iss-normalized"),
    (DRAFT, "auth/metadata-issuer-mismatch"),
    (DRAFT, "auth/resource-mismatch"),
    (DRAFT, "auth/client-credentials-basic"),
]


def run(suite: tuple[str, str], scenario: str) -> tuple[int, str]:
    """Returns the exit code of the suite, and what it said."""
    name, version = suite
    command = [mcp_node.node(), mcp_node.package(name, "dist/index.js"), "client", "--scenario", scenario]
    command += ["--command", f"{sys.executable} -m tests.conformance.client", "--timeout", "90000"]
    command += ["--spec-version", version] if version else []
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=150, check=False)
    return done.returncode, done.stdout + done.stderr


if mcp_node.is_wanted():

    @pytest.mark.parametrize(
        ("suite", "scenario"),
        SCENARIOS + (OTHERS if mcp_node.ALL else []),
        ids=lambda value: value if isinstance(value, str) else value[0],
    )
    def test_the_client_conforms(suite: tuple[str, str], scenario: str) -> None:
        code, said = run(suite, scenario)
        assert code == 0, said[-6000:]
        assert re.search(r"Passed: (\d+)/\1, 0 failed", said), said[-6000:]

    def test_an_older_question_is_answered_by_a_second_call() -> None:
        """The suite expects the answer in the first call, which waits for no person: see docs/tools.md."""
        _, said = run(STABLE, "elicitation-sep1034-client-defaults")
        assert "Passed: 5/6, 1 failed" in said, said[-6000:]
        assert "ClientElicitationSEP1034General" in said
