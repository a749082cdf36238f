"""`replaystack export` and `import` as a user runs them, between two real servers."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from stack.cli.connection import Connection
from tests.cli.folders import converse, replaystack, served

pytestmark = pytest.mark.slow


class Place(Connection):
    """A server and its data folder."""

    def __init__(self, data: Path, connection: Connection) -> None:
        self.__dict__ |= connection.__dict__
        self.data = data

    def run(self, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        return replaystack(*arguments, "--data", self.data)

    def told(self, *arguments: str | Path) -> str:
        done = self.run(*arguments)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def refused(self, *arguments: str | Path) -> str:
        done = self.run(*arguments)
        assert done.returncode != 0 and "Traceback" not in done.stderr
        return done.stderr

    def session(self) -> tuple[str, str]:
        """The ids of the newest agent and its first session."""
        agent = self.ask("GET", "/v1alpha/agents")["data"][-1]["agent_id"]
        return agent, self.ask("GET", f"/v1alpha/agents/{agent}/sessions")["data"][0]["session_id"]


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Place, Place]]:
    folder = tmp_path_factory.mktemp("files")
    with served(folder / "here") as here, served(folder / "there") as there:
        converse(here)
        yield Place(folder / "here", here), Place(folder / "there", there)


def test_a_session_is_exported_and_imported(places: tuple[Place, Place], tmp_path: Path) -> None:
    here, there = places
    agent_id, session_id = here.session()
    file = tmp_path / "harbour.session.jsonl"
    assert f"Exported session {session_id} to {file}" in here.told("export", session_id, "--out", file)
    assert here.told("export", session_id) == file.read_text()
    assert not list(tmp_path.glob("*.partial"))
    said = there.told("import", file)
    assert said == f"Imported session {session_id} of agent {agent_id}: 1 turn\n"
    path = f"/v1alpha/agents/{agent_id}/session/{session_id}"
    assert there.ask("GET", path) == here.ask("GET", path)
    assert "imported from this file before" in there.refused("import", file)


def test_an_export_is_redacted(places: tuple[Place, Place], tmp_path: Path) -> None:
    here, _ = places
    _, session_id = here.session()
    rules = tmp_path / "rules.toml"
    rules.write_text('[patterns]\nhour = "ten"\n')
    file = tmp_path / "redacted.session.jsonl"
    options = ("--redact", "all", "--redact-rules", rules, "--redact-path", "$..session_name")
    here.told("export", session_id, "--out", file, *options)
    text = file.read_text()
    assert " ten" not in text and "[hour:1]" in text and "[session_name:1]" in text
    assert '"redaction":{"rules":{"email":0,"api_key":0,"bearer":0,"card":0,"hour":' in text
    secret = "hunter2("
    said = here.refused("export", session_id, "--redact-pattern", f"password={secret}")
    assert "'password'" in said and secret not in said
    said = here.refused("export", session_id, "--redact-pattern", secret)
    assert "needs a name" in said and secret not in said
    assert "built-in redaction 'mail'" in here.refused("export", session_id, "--redact", "mail")


@pytest.mark.parametrize("form", ["atif", "otlp"])
def test_a_session_is_exported_and_imported_in_other_formats(
    places: tuple[Place, Place], tmp_path: Path, form: str
) -> None:
    here, there = places
    _, session_id = here.session()
    file = tmp_path / f"harbour.{form}"
    here.told("export", session_id, "--as", form, "--out", file)
    said = there.told("import", file, "--from", form)
    assert said.startswith("Imported session ") and said.endswith(": 1 turn\n")
    assert there.told("export", said.split()[2], "--as", "sft") == here.told(
        "export", session_id, "--as", "sft"
    )
    redacted = here.told("export", session_id, "--as", form, "--redact-pattern", "hour=ten")
    assert "[hour:1]" in redacted and " ten" not in redacted


def test_what_cannot_be_done_is_said(places: tuple[Place, Place], tmp_path: Path) -> None:
    here, _ = places
    file = tmp_path / "x.session.jsonl"
    assert "'nothing'" in here.refused("export", "nothing", "--out", file)
    assert not file.exists()
    _, session_id = here.session()
    assert "as is 'odd'" in here.refused("export", session_id, "--as", "odd")
    file.write_text("{}\n")
    assert "not a session file" in here.refused("import", file)
    assert "from is 'odd'" in here.refused("import", file, "--from", "odd")
    assert "missing.jsonl" in here.refused("import", tmp_path / "missing.jsonl")
