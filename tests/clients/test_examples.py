"""The programs in `docs/examples` run as they are, against a real server."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.clients import notebook
from tests.clients.interpreters import Client, clients
from tests.server.process import ROOT, Replaystack

pytestmark = [pytest.mark.slow, pytest.mark.long]

EXAMPLES = ROOT / "docs/examples"
CLIENTS = {"agent_0_2.py": "0.2", "agent_0_3.py": "0.3"}
LAST_LINES = {
    "event_log.py": "ships: Mary Ann, Curlew",
    "agent_turn.py": "Sources: [1] document 1",
    "openai_client.py": "The harbour opens at ten.",
    "send_spans.py": "True",
    "shielded_turn.py": "['shield_call'] I can't answer that.",
}


def run(name: str, server: Replaystack) -> list[str]:
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / name)],
        env={"SERVER_URL": server.url, "PATH": ""},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip().splitlines()


@pytest.mark.parametrize("name", LAST_LINES)
def test_an_example_runs(name: str, server: Replaystack) -> None:
    assert LAST_LINES[name] in run(name, server)[-1]


def test_the_example_of_replay_shows_the_frames_of_a_turn(server: Replaystack) -> None:
    run("agent_turn.py", server)
    lines = run("replay_turn.py", server)
    assert any('"event_type":"turn_start"' in line for line in lines)
    assert any('"event_type":"turn_complete"' in line for line in lines)


def test_the_notebook_shows_what_is_in_it(server: Replaystack, tmp_path: Path) -> None:
    """If it fails because the product changed: `python -m tests.clients.notebook` writes its results into it."""
    stored = notebook.read()
    found = notebook.executed(stored, server.url, tmp_path)
    assert notebook.results(found) == notebook.results(stored)
    for one in (stored, found):
        [plot] = [
            output
            for cell in one.cells
            if cell.cell_type == "code"
            for output in cell.outputs
            if output.output_type == "display_data"
        ]
        assert len(plot["data"]["image/png"]) > 1000


@pytest.mark.parametrize("client", [*clients("0.2"), *clients("0.3")], ids=lambda one: one.version)
def test_the_example_for_a_client_runs(
    client: Client, server: Replaystack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SERVER_URL", server.url)
    series = client.version.rpartition(".")[0]
    [name] = [name for name, of_series in CLIENTS.items() if of_series == series]
    lines = client.execute(EXAMPLES / name).splitlines()
    assert lines[-1] == ("add answered: 42" if series == "0.2" else "add answered: 9")


def test_every_example_is_run_here() -> None:
    found = {path.name for path in Path(EXAMPLES).glob("*.py")}
    assert found == {*CLIENTS, *LAST_LINES, "replay_turn.py"}
