"""`replaystack replay` and `replaystack events` as a user runs them, against a real server."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from stack.cli.connection import Connection
from tests.cli.folders import clean_environment, converse, replaystack, served, wait_for

pytestmark = pytest.mark.slow


class Played:
    """A data folder with a server, and its one session with two turns."""

    def __init__(self, data: Path, connection: Connection) -> None:
        self.data = data
        self.connection = connection
        converse(connection)
        [agent] = connection.ask("GET", "/v1alpha/agents")["data"]
        self.agent_id = str(agent["agent_id"])
        sessions = f"/v1alpha/agents/{self.agent_id}/session"
        [session] = connection.ask("GET", f"{sessions}s")["data"]
        self.session_id = str(session["session_id"])
        self.path = f"{sessions}/{self.session_id}"
        turn = {
            "messages": [{"role": "user", "content": "When?\x1b[31m Again:\nwhen does the harbour open?"}]
        }
        connection.ask("POST", f"{self.path}/turn", turn)

    def streams(self) -> bytes:
        turns = self.connection.ask("GET", self.path)["turns"]
        return b"".join(
            self.connection.fetch(f"{self.path}/turn/{turn['turn_id']}/stream")[1] for turn in turns
        )

    def replay(self, *options: str) -> subprocess.CompletedProcess[str]:
        return replaystack("replay", self.session_id, "--data", self.data, *options)


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Played]:
    data = tmp_path_factory.mktemp("played")
    with served(data) as connection:
        yield Played(data, connection)


def told(result: subprocess.CompletedProcess[str]) -> str:
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def test_a_session_is_played_to_be_read(played: Played) -> None:
    text = told(played.replay("--speed", "max"))
    assert text.index("turn 1") < text.index("When does the harbour open?") < text.index("turn 2")
    lines = [line.strip() for line in text.splitlines()]
    assert "user  When does the harbour open?" in lines
    assert any(line.startswith("agent  ") and "ten" in line for line in lines)
    assert "\x1b" not in text and "when does the harbour open?" in lines


def test_raw_frames_are_those_that_streamed(played: Played) -> None:
    wanted = played.streams()
    assert told(played.replay("--raw")).encode() == wanted
    with_agent = told(played.replay("--raw", "--agent", played.agent_id, "--speed", "50", "--max-pause", "0"))
    assert with_agent.encode() == wanted
    data = [line[6:] for line in wanted.decode().splitlines() if line.startswith("data: ")]
    assert told(played.replay("--json")).splitlines() == data
    rest = told(played.replay("--json", "--after", "1.1.0")).splitlines()
    assert rest == data[1:]


def test_errors_of_replay(played: Played) -> None:
    def refused(*arguments: str) -> str:
        result = replaystack("replay", "--data", played.data, *arguments)
        assert result.returncode == 4 and "Traceback" not in result.stderr
        return result.stderr

    assert "There is no session 'nothing'" in refused("nothing")
    assert "speed" in refused(played.session_id, "--speed", "fast")
    assert "max_pause_s" in refused(played.session_id, "--max-pause", "long")
    assert "2.3.17" in refused(played.session_id, "--after", "x")
    assert "no agent" in refused(played.session_id, "--agent", "x") or "no session" in refused(
        played.session_id, "--agent", "x"
    )


def test_options_of_runs_are_not_for_playing(played: Played, tmp_path: Path) -> None:
    file = tmp_path / "x.session.jsonl"
    file.write_text("")
    for arguments, hint in (
        ([played.session_id, "--update"], "--update is for a run"),
        ([played.session_id, "--check", "--max-pause", "1"], "--max-pause is for playing"),
        ([str(file)], "Import it to play it"),
    ):
        result = replaystack("replay", "--data", played.data, *arguments)
        assert result.returncode == 4 and hint in result.stderr


def test_events_are_printed(played: Played) -> None:
    path = "/v1alpha/events"
    whole = played.connection.ask("GET", path)["data"]

    def printed(*options: str) -> list[str]:
        return told(replaystack("events", "--data", played.data, *options)).splitlines()

    assert [json.loads(line) for line in printed("--json")] == whole
    lines = printed()
    assert len(lines) == len(whole)
    for line, event in zip(lines, whole, strict=True):
        position, _, name, stream, *_ = line.split()
        assert (int(position), name, stream) == (event["position"], event["name"], event["stream"])
        assert len(line) <= 200 and line.isprintable()
    assert len(printed("--after", "3")) == len(whole) - 3 and printed("--after", "end") == []
    names = [line.split()[2] for line in printed("--name", "turn.started", "--name", "turn.completed")]
    assert names == ["turn.started", "turn.completed"] * 2
    assert len(printed("--stream", f"session/{played.session_id}")) == 5
    wrong = replaystack("events", "--data", played.data, "--name", "turn.complete")
    assert wrong.returncode == 1 and "did you mean turn.completed?" in wrong.stderr


@pytest.mark.parametrize("options", [["--json"], []])
def test_output_that_no_one_reads_ends_quietly(played: Played, options: list[str]) -> None:
    read, write = os.pipe()
    os.close(read)
    command = [
        sys.executable,
        "-P",
        "-m",
        "stack.cli",
        "events",
        "--data",
        str(played.data),
        "--follow",
        *options,
    ]
    done = subprocess.run(command, env=clean_environment(), stdout=write, stderr=subprocess.PIPE, timeout=90)
    os.close(write)
    assert (done.returncode, done.stderr) == (0, b"")


def test_damage_is_said(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with served(data) as connection:
        session_id = Played(data, connection).session_id
    with closing(sqlite3.connect(data / "events.sqlite")) as log, log:
        log.execute(
            "UPDATE events SET state = CAST(replace(state, '{', '[') AS BLOB) WHERE position = "
            "(SELECT min(position) FROM events WHERE name LIKE 'turn.step_completed.%')"
        )
    with served(data):
        done = replaystack("replay", session_id, "--data", data, "--speed", "max")
        assert "turn 2" in told(done) and "ten" in done.stdout
        [line] = done.stderr.splitlines()
        assert line.startswith("Turn 1 is not complete.") and "replaystack verify" in line


def test_events_are_followed_over_a_restart(tmp_path: Path) -> None:
    data, out = tmp_path / "data", tmp_path / "out"
    err = tmp_path / "err"
    with served(data) as connection:
        converse(connection)
        with out.open("w") as stdout, err.open("w") as stderr:
            process = subprocess.Popen(
                [sys.executable, "-P", "-m", "stack.cli", "events", "--data", data, "--follow", "--json"],
                env=clean_environment(),
                stdout=stdout,
                stderr=stderr,
            )
        wait_for(out, "turn.completed", 60)
    wait_for(err, "waiting for it after position", 60)
    try:
        with served(data) as connection:
            converse(connection)
            whole: list[Any] = connection.ask("GET", "/v1alpha/events")["data"]
            wait_for(out, f'"position":{whole[-1]["position"]},', 60)
            assert [json.loads(line) for line in out.read_text().splitlines()] == whole
    finally:
        process.terminate()
        process.wait(30)
