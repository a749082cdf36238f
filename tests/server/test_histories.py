"""Data of every released version is opened and served as that version served it: see `tests/histories`."""

from __future__ import annotations

import asyncio
import json
import zipfile
from pathlib import Path
from typing import Any

import pytest

from stack.services.replay.check import check
from stack.services.replay.session_file import read_session_file
from tests.histories.story import answers, is_served_as
from tests.server.process import Replaystack

pytestmark = pytest.mark.slow

HISTORIES = sorted((Path(__file__).parents[1] / "histories").glob("*.zip"))
SETTINGS = {"telemetry_retention_days": 36_500}
"""Spans of a history are never too old to be shown."""


@pytest.fixture(params=HISTORIES, ids=lambda archive: archive.stem)
def history(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, dict[str, Any]]:
    """A data folder as a release left it, and what that release said of it."""
    with zipfile.ZipFile(request.param) as packed:
        packed.extractall(tmp_path)
    return tmp_path / "data", json.loads((tmp_path / "answers.json").read_text(encoding="utf-8"))


def test_a_release_is_served_as_before(history: tuple[Path, dict[str, Any]]) -> None:
    data, said = history
    with Replaystack(data, settings=SETTINGS) as server, server.http() as http:
        now = answers(http)
        for path in [path for path in said if path.count("/") == 5 and "/session/" in path]:
            checked = http.get(f"{path}/check")
            assert checked.json()["verdict"] == "identical", (path, checked.text)
        differing = [
            path for path in said.keys() | now.keys() if not is_served_as(said.get(path), now.get(path))
        ]
        assert not differing, [(path, said.get(path), now.get(path)) for path in differing[:3]]
        server.check_healthy()


def test_sessions_of_a_release_come_out_the_same(history: tuple[Path, dict[str, Any]]) -> None:
    """Today's runner does what the release's did: each session, exported and run again, is identical."""
    data, _ = history
    checked = 0
    with Replaystack(data, settings=SETTINGS) as server, server.http() as http:
        for agent in http.get("/v1alpha/agents").json()["data"]:
            path = f"/v1alpha/agents/{agent['agent_id']}/session"
            for session in http.get(f"{path}s").json()["data"]:
                file = http.get(f"{path}/{session['session_id']}/export").content
                report = asyncio.run(check(read_session_file(file).record)).report
                assert report.verdict == "identical", report.first
                checked += len(report.turns)
    assert checked
