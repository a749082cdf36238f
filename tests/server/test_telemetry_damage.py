"""A damaged telemetry log as an operator meets it: nothing acknowledged is gone, and every command says so."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.server.process import COMMAND, ROOT, Replaystack
from tests.server.telemetry import Telemetry
from tests.server.test_otlp import one
from tests.telemetry.otlp_requests import PlainSpan


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


def test_a_flipped_bit_is_told_and_costs_nothing(tmp_path: Path) -> None:
    data = tmp_path / "data"
    spans = filled(data)
    [segment] = (data / "telemetry").glob("*.otlp")
    content = bytearray(segment.read_bytes())
    content[len(content) // 3] ^= 0x10
    segment.write_bytes(content)

    for name in ("verify", "doctor"):
        said = command(name, "--data", str(data))
        assert said.returncode == 1 and "not in the log" in said.stdout, said
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
        for name in ("verify", "doctor"):
            said = command(name, "--data", str(data))
            assert said.returncode == 1 and "not in the log" in said.stdout, said
        assert "the telemetry log is damaged" in server.log


def test_a_backup_has_the_telemetry(tmp_path: Path) -> None:
    spans = filled(tmp_path / "data")
    made = command("backup", str(tmp_path / "copy"), "--data", str(tmp_path / "data"))
    assert made.returncode == 0, made
    assert command("verify", "--data", str(tmp_path / "copy")).returncode == 0
    with Replaystack(tmp_path / "copy") as server, server.http() as http:
        for span in spans:
            assert Telemetry(http).span(span)["name"] == "work"
    assert command("verify", "--data", str(tmp_path / "copy")).returncode == 0
