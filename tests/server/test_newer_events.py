"""Data in which a newer release has stored more: it is served without what this release does not know."""

from __future__ import annotations

import json
import sqlite3
import zipfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.eventstore.newer_events import with_unknown_fields, with_unknown_kinds
from tests.histories.story import answers, is_served_as
from tests.server.process import Replaystack
from tests.server.test_histories import HISTORIES, SETTINGS

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("later", [with_unknown_fields, with_unknown_kinds])
def test_a_newer_history_is_served_without_what_is_unknown(
    tmp_path: Path, later: Callable[[Any], Any]
) -> None:
    """The history holds each kind of event: agents, sessions, turns, datasets, benchmarks and jobs."""
    with zipfile.ZipFile(HISTORIES[-1]) as packed:
        packed.extractall(tmp_path)
    said: dict[str, Any] = json.loads((tmp_path / "answers.json").read_text(encoding="utf-8"))
    assert _rewritten(tmp_path / "data/events.sqlite", later)
    with Replaystack(tmp_path / "data", settings=SETTINGS) as server, server.http() as http:
        now = answers(http)
        differing = [
            path for path in said.keys() | now.keys() if not is_served_as(said.get(path), now.get(path))
        ]
        assert not differing, [(path, said.get(path), now.get(path)) for path in differing[:3]]
        server.check_healthy()


def _rewritten(path: Path, later: Callable[[Any], Any]) -> int:
    """How many events differ. This log is older than the hash chain, which its first start adds."""
    changed = 0
    with closing(sqlite3.connect(path)) as log, log:
        for position, state in log.execute("SELECT position, state FROM events").fetchall():
            stored = json.loads(state)
            if stored != {"event": "redacted"} and (newer := later(stored)) != stored:
                text = json.dumps(newer, ensure_ascii=False, separators=(",", ":"))
                log.execute("UPDATE events SET state = ? WHERE position = ?", (text.encode(), position))
                changed += 1
    return changed
