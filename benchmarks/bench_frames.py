"""Playback of a session of 200 turns: all of its frames in one answer, and its stream at once; and the events of a log."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from statistics import median

import msgspec

from benchmarks.api import AGENTS
from benchmarks.client import Connection
from benchmarks.report import standalone
from benchmarks.result import Result, of_rounds
from benchmarks.seeding import Seeded, seed, seed_conversations
from benchmarks.servers import replaystack

TURNS = 200
FRAMES_OF_A_TURN = 24
FRAMES = TURNS * FRAMES_OF_A_TURN
EVENTS = 200_000
EVENTS_QUICK = 50_000
LOG = "/v1alpha/events"
PAGE_BAR_MS = 70.0
STREAM_BAR = 50_000.0


def run(quick: bool) -> list[Result]:
    """On one kept connection, by a server whose memory has nothing of the session."""
    rounds, reads = (3, 10) if quick else (9, 30)
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "data"
        seeded = seed(data, 1, TURNS)
        with replaystack(data) as server, Connection(server.port) as connection:
            frames = _frames(connection, seeded, rounds, reads)
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "data"
        seed_conversations(data, EVENTS_QUICK if quick else EVENTS)
        with replaystack(data) as server, Connection(server.port) as connection:
            return [*frames, *_events(connection, rounds)]


def _frames(connection: Connection, seeded: Seeded, rounds: int, reads: int) -> list[Result]:
    path = f"{AGENTS}/{seeded.agents[0]}/session/{seeded.session}"
    page = f"frames of {TURNS} turns ({FRAMES:,}) in one answer, p50"
    stream = "playback of a session at once, over HTTP"
    return [
        of_rounds(page, _medians(lambda: _page_ms(connection, path), rounds, reads), "ms", PAGE_BAR_MS),
        of_rounds(
            stream,
            [FRAMES * 1000 / ms for ms in _medians(lambda: _stream_ms(connection, path), rounds, reads)],
            "frames/s",
            STREAM_BAR,
            "higher",
        ),
    ]


def _events(connection: Connection, rounds: int) -> list[Result]:
    """The whole log in pages of 1,000, and a search in it for what is not there."""
    count = msgspec.json.decode(connection.get(f"{LOG}?after=end").body)["head"]
    rates = []
    for _ in range(rounds):
        after, took_ms = 0, 0.0
        while after < count:
            answer = connection.get(f"{LOG}?after={after}")
            took_ms += answer.took_ms
            after = msgspec.json.decode(answer.body)["next"]
        rates.append(count * 1000 / took_ms)
    searched = [connection.get(f"{LOG}?name=dataset.registered").took_ms * 1e6 / count for _ in range(rounds)]
    return [
        of_rounds("the event log in pages of 1,000, over HTTP", rates, "events/s", better="higher"),
        of_rounds("a name that no event has, searched in 1M events", searched, "ms"),
    ]


def _medians(once: Callable[[], float], rounds: int, reads: int) -> list[float]:
    once()
    return [median(once() for _ in range(reads)) for _ in range(rounds)]


def _page_ms(connection: Connection, path: str) -> float:
    answer = connection.get(f"{path}/frames")
    page = msgspec.json.decode(answer.body)
    if len(page["data"]) != FRAMES or page["has_more"]:
        raise RuntimeError(f"The page has {len(page['data'])} frames.")
    return answer.took_ms


def _stream_ms(connection: Connection, path: str) -> float:
    played = connection.follow(f"{path}/stream", b"turn_start")
    if played.raw.count(b"\ndata: ") != FRAMES:
        raise RuntimeError(f"The stream has {played.raw.count(b'data: ')} frames.")
    return played.whole_ms


if __name__ == "__main__":
    standalone(run, "frames", __doc__)
