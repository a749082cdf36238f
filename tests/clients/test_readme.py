"""What the README tells users of llama-stack-client to write runs as it stands there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.clients.interpreters import Client, clients
from tests.server.process import ROOT, Replaystack

README = ROOT / "README.md"
BLOCK = re.compile(r"^```python\n(# llama-stack-client (0\.\d)\.x\n.*?)^```$", re.MULTILINE | re.DOTALL)
PROGRAMS = {series: program for program, series in BLOCK.findall(README.read_text())}
ADDRESS = "http://127.0.0.1:8321"


@pytest.mark.parametrize("client", [*clients("0.2"), *clients("0.3")], ids=lambda one: one.version)
def test_the_program_for_a_client_runs(client: Client, server: Replaystack, tmp_path: Path) -> None:
    program = PROGRAMS[client.version.rpartition(".")[0]]
    assert ADDRESS in program
    script = tmp_path / "program.py"
    script.write_text(program.replace(ADDRESS, server.url))
    lines = client.execute(script).splitlines()
    assert lines[-1] == ("add answered: 42" if client.version.startswith("0.2") else "add answered: 9")
