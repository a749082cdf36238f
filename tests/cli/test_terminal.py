"""The output of commands on a real terminal, with hostile input everywhere."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
import unicodedata
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.folders import ROOT, clean_environment
from tests.cli.hostile_server import HOSTILE, SEQUENCE, hostile_server

pytestmark = pytest.mark.slow

RUN = """
import json, sys, traceback
from stack.cli import main
for name, arguments in json.loads(sys.argv[1]).items():
    print("\\n=====" + name, flush=True)
    try:
        main(arguments, prog_name="replaystack")
    except SystemExit as end:
        print("exit code", end.code, flush=True)
    except Exception:
        traceback.print_exc()
"""
COMMANDS = {
    "datasets list": "datasets list",
    "datasets list --json": "datasets list --json",
    "datasets show": "datasets show x --rows 2",
    "export jsonl": "datasets export x -",
    "export json": "datasets export x - --format json",
    "import": "datasets import data:text/csv,a",
    "eval list": "eval list",
    "eval list jobs": "eval list b",
    "eval show": "eval show b/1",
    "eval show --json": "eval show b/1 --json",
    "eval compare": "eval compare b/1 b/1",
    "eval compare --json": "eval compare b/1 b/1 --json",
    "traces": "traces",
    "traces --json": "traces --json",
    "trace": f"trace {'1' * 32}",
    "trace --json": f"trace {'1' * 32} --json",
    "erasure": "erasure x",
    "erasure --json": "erasure x --json",
    "erasure refused": "erasure refused",
    "erasure noise": "erasure noise",
}


def read_terminal(arguments: list[str], environment: dict[str, str], cwd: Path) -> str:
    """All that a process prints to its terminal."""
    mine, its = pty.openpty()
    with subprocess.Popen(arguments, cwd=cwd, env=environment, stdin=its, stdout=its, stderr=its) as process:
        os.close(its)
        printed = b""
        try:
            while piece := os.read(mine, 65536):
                printed += piece
        except OSError:
            # Linux says so when no process has the terminal any more.
            pass
        process.wait()
    os.close(mine)
    return printed.decode()


@pytest.fixture(scope="module")
def printed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Runs each command in one process on a terminal, and returns their outputs."""
    folder = tmp_path_factory.mktemp("terminal")
    with hostile_server() as url:
        asked = {name: [*command.split(" "), "--url", url] for name, command in COMMANDS.items()}
        asked["doctor"] = ["doctor", "--data", f"{folder}/none{HOSTILE}"]
        asked["verify"] = ["verify", "--data", f"{folder}/none{HOSTILE}"]
        asked["unknown"] = [HOSTILE]
        provider = {"id": "hostile", "base_url": f"{url}/v1", "flavour": "generic", "max_retries": 0}
        environment = clean_environment(
            {"COLUMNS": "1000", "TERM": "xterm-256color", "REPLAYSTACK_INFERENCE": json.dumps([provider])}
        )
        told = read_terminal([sys.executable, "-c", RUN, json.dumps(asked)], environment, ROOT)
    parts = told.split("\r\n=====")[1:]
    found = {name: text for name, _, text in (part.partition("\r\n") for part in parts)}
    assert list(found) == list(asked), told
    yield found


@pytest.mark.parametrize("name", [*COMMANDS, "doctor", "verify", "unknown"])
def test_no_text_of_others_acts_on_a_terminal(printed: dict[str, str], name: str) -> None:
    text = printed[name]
    assert "EVIL" in text and "Traceback" not in text, text
    assert SEQUENCE not in text
    # Our own: styles, and what a progress bar does with its line.
    own = re.sub(r"\x1b\[(\d+(;\d+)*)?m|\x1b\[\?25[hl]|\x1b\[1A|\x1b\[2K", "", text).replace("\r\n", "\n")
    acting = {one for one in own if unicodedata.category(one) in ("Cc", "Cf", "Zl", "Zp")} - {"\n"}
    assert not acting - {"\r"}, ascii(text)
    assert not re.search(r"^\s*FORGED", own, re.MULTILINE), text


@pytest.mark.parametrize("form", ["jsonl", "json", "csv"])
def test_a_pipe_and_a_file_get_rows_as_they_are(tmp_path: Path, form: str) -> None:
    with hostile_server() as url:
        written = []
        for target in ("-", "rows"):
            arguments = ["datasets", "export", "x", target, "--format", form, "--url", url]
            done = subprocess.run(
                [sys.executable, "-P", "-m", "stack.cli", *arguments],
                cwd=tmp_path,
                env=clean_environment(),
                capture_output=True,
            )
            assert done.returncode == 0, done.stderr
            written.append(done.stdout if target == "-" else (tmp_path / "rows").read_bytes())
    assert written[0] == written[1]
    if form == "csv":
        assert HOSTILE.encode() in written[0]
    else:
        text = written[0].decode()
        [row] = [json.loads(text)] if form == "jsonl" else json.loads(text)
        assert row == {HOSTILE: HOSTILE, "n": 1}
        assert "\u202e" in text and "\x9b" in text
