"""Session files: the export of a session of 1,000 turns over HTTP, reading the file, redacting it, and its import."""

from __future__ import annotations

import asyncio
import re
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar
from uuid import uuid4

from benchmarks.api import AGENTS
from benchmarks.report import standalone
from benchmarks.result import Result, of_rounds
from benchmarks.seeding import seed
from benchmarks.servers import replaystack
from stack.cli.connection import Connection
from stack.services.replay.redaction import redacted
from stack.services.replay.redaction_rules import rules_of
from stack.services.replay.session_file import read_session_file
from stack.services.replay.session_lines import Lines

T = TypeVar("T")

TURNS = 1_000
EXPORT_BAR_S = 1.0
IMPORT = "/v1alpha/sessions/import"
_UUID = re.compile(rb"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def run(quick: bool) -> list[Result]:
    rounds = 3 if quick else 7
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "data"
        seeded = seed(data, 1, TURNS)
        with replaystack(data) as server:
            connection = Connection(f"http://127.0.0.1:{server.port}", timeout_s=120)
            path = f"{AGENTS}/{seeded.agents[0]}/session/{seeded.session}/export"
            exports = [_timed(lambda: b"".join(connection.pieces(path))) for _ in range(rounds)]
            file = exports[0][1]
            imports = [_import_s(connection, file) for _ in range(rounds)]
    reads = [_timed(lambda: read_session_file(file))[0] for _ in range(rounds)]
    rules = rules_of(["all"], paths=[("", "$..password")])
    redactions = [_timed(lambda: asyncio.run(redacted(read_session_file(file), rules)))[0] for _ in range(2)]
    events = file.count(b'{"line":"event"')
    what = f"{TURNS:,} turns ({events:,} events, {len(file) / 2**20:.1f} MiB)"
    return [
        of_rounds(f"export of {what}", [took_s for took_s, _ in exports], "s", EXPORT_BAR_S),
        of_rounds("import of the same", imports, "s"),
        of_rounds("reading the same without a server", reads, "s"),
        of_rounds("redacting the same, with its digests", redactions, "s"),
    ]


def _timed(work: Callable[[], T]) -> tuple[float, T]:
    begin = time.perf_counter()
    result = work()
    return time.perf_counter() - begin, result


def _import_s(connection: Connection, file: bytes) -> float:
    """Imports the session under other ids."""
    other = _with_other_ids(file)
    headers = {"content-type": "application/jsonl"}
    return _timed(lambda: connection.ask("POST", IMPORT, other, headers))[0]


def _with_other_ids(file: bytes) -> bytes:
    ids: dict[bytes, bytes] = {}

    def other(found: re.Match[bytes]) -> bytes:
        return ids.setdefault(found.group(), str(uuid4()).encode())

    lines = Lines()
    changed = [lines.line(_UUID.sub(other, line)) for line in file.splitlines()[:-1]]
    return b"".join((*changed, lines.closing()))


if __name__ == "__main__":
    standalone(run, "session_file", __doc__)
