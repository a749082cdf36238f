"""`replaystack sql` on the files of a folder: the same answers and refusals as those of its server, which was killed."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from stack.cli.demo_server import DemoServer
from tests.cli.folders import clean_environment, converse, replaystack
from tests.cli.terminal_session import TerminalSession

pytestmark = pytest.mark.slow

COUNTS = "SELECT (SELECT count(*) FROM turns) AS turns, (SELECT count(*) FROM spans) AS spans"
ASKED: tuple[tuple[str, ...], ...] = (
    (COUNTS, "--format", "csv"),
    (
        "SELECT turn_id, status, spans.name FROM turns JOIN spans USING (trace_id) ORDER BY ALL",
        "--format",
        "ndjson",
    ),
    ("--named", "tool_result_share"),
    ("SELECT * FROM read_csv('/etc/passwd')",),
    ("DELETE FROM turns",),
)


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, list[tuple[str, str]]]]:
    """A folder whose server was killed, and what the server had answered."""
    data = tmp_path_factory.mktemp("killed")
    server = DemoServer(data)
    server.start()
    try:
        converse(server.connection)
        answers = [asked(data, *arguments) for arguments in ASKED]
    finally:
        server.kill()
    yield data, answers


@pytest.fixture
def folder(killed: tuple[Path, list[tuple[str, str]]], tmp_path: Path) -> Path:
    shutil.copytree(killed[0], tmp_path / "data")
    return tmp_path / "data"


def asked(data: Path, *arguments: str, **environ: str) -> tuple[str, str]:
    """Returns the output, and the error without who told it."""
    done = replaystack("sql", *arguments, "--data", data, **environ)
    assert "Traceback" not in done.stderr
    return done.stdout, done.stderr.replace("The server answered 400: ", "")


def test_the_answers_are_those_of_the_server(
    killed: tuple[Path, list[tuple[str, str]]], folder: Path
) -> None:
    assert "turns,spans" in killed[1][0][0]
    for arguments, answer in zip(ASKED, killed[1], strict=True):
        assert asked(folder, *arguments) == answer
    assert list((folder / "sql").iterdir()) == []


def test_read_models_that_are_missing_are_built_and_nothing_is_lost(
    killed: tuple[Path, list[tuple[str, str]]], folder: Path
) -> None:
    for file in (*folder.glob("views.duckdb*"), *folder.glob("telemetry.duckdb*")):
        file.unlink()
    before = json.loads(replaystack("verify", "--data", folder, "--json").stdout)
    # The server's retention may be another: the command applies none.
    strict = {"REPLAYSTACK_TELEMETRY_RETENTION_DAYS": "0.000001", "REPLAYSTACK_SQL_MAX_ROWS": "1"}
    assert asked(folder, *ASKED[0], **strict) == killed[1][0]
    assert "sql_max_rows" in asked(folder, "FROM range(2)", **strict)[1]
    after = json.loads(replaystack("verify", "--data", folder, "--json").stdout)
    assert after["ok"]
    assert (after["head"], after["telemetry"]) == (before["head"], before["telemetry"])


def test_a_log_that_has_lost_events_is_refused(folder: Path) -> None:
    asked(folder, "SELECT 1")
    for file in folder.glob("events.sqlite*"):
        file.unlink()
    assert "missing or empty" in asked(folder, "SELECT 1")[1]
    assert (folder / "views.duckdb").exists()


def test_two_queries_at_once_wait_for_each_other(folder: Path) -> None:
    command = [sys.executable, "-P", "-m", "stack.cli", "sql", *ASKED[0], "--data", str(folder)]
    running = [
        subprocess.Popen(command, env=clean_environment(), stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    first, second = [one.communicate(timeout=90)[0] for one in running]
    assert first == second != ""


def test_the_prompt_leaves_the_folder_free_for_a_server(folder: Path, tmp_path: Path) -> None:
    server = DemoServer(folder)
    with TerminalSession("sql", "--data", folder, XDG_STATE_HOME=str(tmp_path)) as terminal:
        terminal.waits_for_prompt("sql>")
        terminal.waits_for("the files in")
        terminal.line("SELECT model FROM agents;")
        terminal.waits_for("demo/extractive")
        terminal.waits_for_prompt("sql>")
        server.start()
        try:
            converse(server.connection)
            terminal.line("SELECT count(*) + 100 FROM agents;")
            terminal.waits_for("102")
        finally:
            server.stop()


def test_without_a_folder_it_says_so(tmp_path: Path) -> None:
    assert "There is no event log" in asked(tmp_path / "none", "SELECT 1")[1]
    assert not (tmp_path / "none").exists()
