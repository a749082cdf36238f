"""A damaged telemetry log as an operator meets it: nothing acknowledged is gone, and every command says so."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from stack.cli import doctor, verify
from tests.server.process import COMMAND, ROOT, Replaystack
from tests.server.telemetry import Telemetry
from tests.server.test_otlp import one
from tests.telemetry.otlp_requests import PlainSpan

pytestmark = pytest.mark.slow


def command(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", COMMAND, *arguments], cwd=ROOT, capture_output=True, text=True, check=False
    )


def filled(data: Path) -> list[PlainSpan]:
    spans = [one() for _ in range(20)]
    with (
        Replaystack(data, environment={"REPLAYSTACK_OWN_TELEMETRY": "false"}) as server,
        server.http() as http,
    ):
        for span in spans:
            Telemetry(http).send([span])
        assert Telemetry(http).span(spans[-1])["name"] == "work"
        server.kill9()
    return spans


def serving(data: Path, **flags: bool) -> Replaystack:
    return Replaystack(data, settings=flags, environment={"REPLAYSTACK_OWN_TELEMETRY": "false"})


def flip(data: Path, part: float) -> None:
    """Flips a bit in the newest file."""
    segment = max((data / "telemetry").glob("*.otlp"))
    content = bytearray(segment.read_bytes())
    content[int(len(content) * part)] ^= 0x10
    segment.write_bytes(content)


def said(data: Path, exit_code: int) -> tuple[str, str]:
    """Returns the output of doctor and verify, called in this process, which is ten times as fast."""
    printed = []
    for called in (doctor.command, verify.command):
        ended = CliRunner().invoke(called, ["--data", str(data)], catch_exceptions=False)
        assert ended.exit_code == exit_code, ended.output
        printed.append(ended.output)
    return printed[0], printed[1]


def lost_positions(text: str) -> set[str]:
    return set(re.findall(r"positions? (\d+(?: to \d+)?) (?:is|are) not in the log", text))


def test_a_flipped_bit_is_told_and_costs_nothing(tmp_path: Path) -> None:
    data = tmp_path / "data"
    spans = filled(data)
    flip(data, 1 / 3)
    for text in said(data, 1):
        assert "not in the log" in text and "serve --accept-loss" in text
    with (
        Replaystack(data, environment={"REPLAYSTACK_OWN_TELEMETRY": "false"}) as server,
        server.http() as http,
    ):
        telemetry = Telemetry(http)
        for span in spans:
            assert telemetry.span(span)["name"] == "work"
        fresh = one()
        telemetry.send([fresh])
        assert telemetry.span(fresh)["name"] == "work"
        for text in said(data, 1):
            assert "not in the log" in text
        assert "the telemetry log is damaged" in server.log


def test_a_loss_is_accepted_and_told(tmp_path: Path) -> None:
    """Accepted damage is not reported as a problem afterwards; later damage is."""
    data = tmp_path / "data"
    spans = filled(data)
    flip(data, 1 / 3)
    lost = lost_positions(said(data, 1)[1])
    assert len(lost) == 1
    with serving(data, accept_loss=True) as server, server.http() as http:
        for text in said(data, 0):
            assert (
                re.search(r"not in the log \(accepted 20\d\d-\d\d-\d\dT", text)
                and lost_positions(text) == lost
            )
        assert "All is well" in said(data, 0)[0] and "except for accepted losses" in said(data, 0)[1]
        assert all(Telemetry(http).span(span)["name"] == "work" for span in spans)
        Telemetry(http).send([one()])
    for text in said(data, 0):
        assert lost_positions(text) == lost
    told = json.loads(CliRunner().invoke(verify.command, ["--json", "--data", str(data)]).output)
    assert told["ok"] and not told["problems"] and len(told["accepted"]) == 1
    backup = tmp_path / "copy"
    assert command("backup", str(backup), "--data", str(data)).returncode == 0
    assert "(accepted" in said(backup, 0)[1]

    flip(data, 1 / 2)
    for text in said(data, 1):
        assert lost < lost_positions(text), text
    with serving(data):
        assert len(lost_positions(said(data, 1)[1])) == 2
    with serving(data, accept_loss=True):
        said(data, 0)
    assert len(lost_positions(said(data, 0)[1])) == 2


def test_a_backup_has_the_telemetry(tmp_path: Path) -> None:
    spans = filled(tmp_path / "data")
    made = command("backup", str(tmp_path / "copy"), "--data", str(tmp_path / "data"))
    assert made.returncode == 0, made
    assert command("verify", "--data", str(tmp_path / "copy")).returncode == 0
    with Replaystack(tmp_path / "copy") as server, server.http() as http:
        for span in spans:
            assert Telemetry(http).span(span)["name"] == "work"
    assert command("verify", "--data", str(tmp_path / "copy")).returncode == 0
