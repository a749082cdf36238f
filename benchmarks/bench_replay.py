"""Replaying a finished turn of 1,000 frames: its stream from the log, read to the end by one client."""

from __future__ import annotations

import tempfile
from pathlib import Path
from statistics import median

from benchmarks.api import FIRST_TEXT, check_whole, new_agent, new_session, streamed_turn, turn_id
from benchmarks.client import Connection
from benchmarks.report import standalone
from benchmarks.result import Result, of_rounds
from benchmarks.servers import model_server, replaystack

FRAMES = 1_000
CHUNKS = FRAMES - 4  # The turn and its step begin and end with a frame each.
BAR_MS = 20.0


def run(quick: bool) -> list[Result]:
    """On one kept connection, by a server that was restarted: nothing of the turn is in its memory."""
    rounds, replays = (3, 15) if quick else (9, 50)
    with tempfile.TemporaryDirectory() as folder, model_server() as model:
        data = Path(folder) / "data"
        with replaystack(data, model.base_url) as server, Connection(server.port) as connection:
            session = new_session(connection, new_agent(connection, f"text;chunks={CHUNKS}"))
            raw = streamed_turn(connection, session, CHUNKS).raw
        path = f"{session}/turn/{turn_id(raw)}/stream"
        with replaystack(data, model.base_url) as server, Connection(server.port) as connection:
            measured = [median(_replay_ms(connection, path) for _ in range(replays)) for _ in range(rounds)]
    return [of_rounds(f"replay of a finished turn of {FRAMES:,} frames, p50", measured, "ms", BAR_MS)]


def _replay_ms(connection: Connection, path: str) -> float:
    """Time from the request to the last byte. Raises RuntimeError unless every frame came."""
    replayed = connection.follow(path, FIRST_TEXT)
    check_whole(replayed.raw, CHUNKS)
    if replayed.raw.count(b"\ndata: ") != FRAMES:
        raise RuntimeError(f"The replay has {replayed.raw.count(b'data: ')} frames.")
    return replayed.whole_ms


if __name__ == "__main__":
    standalone(run, "replay", __doc__)
