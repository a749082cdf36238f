"""Records a history of the version that is checked out, for `test_histories.py` of all later versions.

    uv run python -m tests.histories.record tests/histories/0.1.0.zip

Run it once for each release, before the first change that follows it. The archive holds the logs and blobs of a data
folder, without the DuckDB files (they are made from the logs), and `answers.json`: what the server said of them.
"""

from __future__ import annotations

import json
import sqlite3
import sys
import tempfile
import zipfile
from pathlib import Path

from schemas.events import REGISTRY
from tests.histories.story import answers, tell
from tests.server.process import Replaystack
from tests.servers.processes import running

NOT_PACKED = ("server.json", "lock", "reserve")
WHEN = (2000, 1, 1, 0, 0, 0)
"""The time of each entry of the archive, so that equal folders give equal archives."""


def record(archive: Path) -> None:
    archive.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, running("tests.servers.scripted_openai") as scripted:
        data = Path(folder) / "data"
        with Replaystack(data, model_url=scripted.base_url) as server:
            tell(server)
            with server.http() as http:
                said = answers(http)
        _check_complete(data)
        _pack(data, json.dumps(said, ensure_ascii=False, sort_keys=True), archive)


def _check_complete(data: Path) -> None:
    with sqlite3.connect(data / "events.sqlite") as log:
        recorded = {name for (name,) in log.execute("SELECT DISTINCT name FROM events")}
    if missing := REGISTRY.keys() - recorded:
        raise SystemExit(f"add to tests/histories/story.py what records {sorted(missing)}")


def _pack(data: Path, said: str, archive: Path) -> None:
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as packed:
        packed.writestr(zipfile.ZipInfo("answers.json", WHEN), said, zipfile.ZIP_DEFLATED)
        for file in sorted(data.rglob("*")):
            if file.is_file() and ".duckdb" not in file.name and file.name not in NOT_PACKED:
                name = f"data/{file.relative_to(data).as_posix()}"
                packed.writestr(zipfile.ZipInfo(name, WHEN), file.read_bytes(), zipfile.ZIP_DEFLATED)


if __name__ == "__main__":
    record(Path(sys.argv[1]))
