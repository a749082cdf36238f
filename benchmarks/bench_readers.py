"""A running turn that 100 readers follow, against one that no one follows: how long its stream takes.

The model sends 200 chunks, one write each, with a pause of 1 ms between them: a pace at which the readers cost most of
one processor's time. The bar is for that. Without a pause the turn is over in a few milliseconds; that is there for
scale. Time is from the first text to the last byte, for the client that asked for the turn; the model waits with its
first text until all readers have had the first frame. They read in a process of their own, on the same processors as
server, model and client.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from benchmarks.api import FIRST_TEXT, check_whole, new_agent, new_session, turn_id, turn_request
from benchmarks.client import Connection
from benchmarks.followers import Followers, followers
from benchmarks.report import standalone
from benchmarks.result import Result, of_rounds
from benchmarks.servers import Server, model_server, replaystack

READERS = 100
CHUNKS = 200
HEAD_START_MS = 700
GAPS_MS = (1, 0)
BAR = 2.0


class _Took(NamedTuple):
    """`text_ms` from the first text to the end; `last_ms` from then until the last reader was through."""

    text_ms: float
    cpu_ms: float
    last_ms: float = 0.0


def run(quick: bool) -> list[Result]:
    """With readers and without by turns."""
    rounds = 3 if quick else 11
    results: list[Result] = []
    with (
        tempfile.TemporaryDirectory() as folder,
        model_server() as model,
        replaystack(Path(folder) / "data", model.base_url) as server,
        followers(server.port, READERS) as readers,
    ):
        for gap_ms in GAPS_MS:
            script = f"text;chunks={CHUNKS};first_ms={HEAD_START_MS};gap_ms={gap_ms}"
            with Connection(server.port) as connection:
                agent_id = new_agent(connection, script)
                pairs = [
                    (_turn(server, connection, agent_id), _turn(server, connection, agent_id, readers))
                    for _ in range(rounds + 1)
                ]
            results += _results(gap_ms, pairs[1:])  # The first warms up.
    return results


def _turn(server: Server, connection: Connection, agent_id: str, readers: Followers | None = None) -> _Took:
    """One turn in a session of its own."""
    session = new_session(connection, agent_id)
    started_s: list[float] = []

    def begun(head: bytes) -> None:
        if readers is not None:
            readers.follow(f"{session}/turn/{turn_id(head)}/stream")
        started_s.append(server.cpu_s())

    streamed = connection.stream_while(f"{session}/turn", turn_request(True), FIRST_TEXT, begun)
    ended_s = time.monotonic()
    check_whole(streamed.raw, CHUNKS)
    if streamed.first_ms < HEAD_START_MS:
        raise RuntimeError(f"The model did not wait: its text came after {streamed.first_ms:.0f} ms.")
    last_ms = 0.0
    if readers is not None:
        followed = readers.followed()
        if followed.chunks != [CHUNKS] * READERS:
            raise RuntimeError(f"The readers did not read all: {followed.chunks}")
        last_ms = (followed.ended_s - ended_s) * 1000
    cpu_ms = (server.cpu_s() - started_s[0]) * 1000
    return _Took(streamed.whole_ms - streamed.first_ms, cpu_ms, last_ms)


def _results(gap_ms: int, pairs: list[tuple[_Took, _Took]]) -> list[Result]:
    ratios = [followed.text_ms / alone.text_ms for alone, followed in pairs]
    alone_ms, followed_ms = ([pair[at].text_ms for pair in pairs] for at in (0, 1))
    if not gap_ms:
        what = "the same without a pause"
        return [
            of_rounds(f"{what}: with {READERS} readers against without", ratios, "x"),
            of_rounds(f"{what}: without readers", alone_ms, "ms"),
            of_rounds(f"{what}: with {READERS} readers", followed_ms, "ms"),
        ]
    what = f"turn of {CHUNKS} chunks, {gap_ms} ms between them"
    return [
        of_rounds(f"{what}: with {READERS} readers against without", ratios, "x", BAR),
        of_rounds(f"{what}: without readers", alone_ms, "ms"),
        of_rounds(f"{what}: with {READERS} readers", followed_ms, "ms"),
        of_rounds("the last reader behind the turn's own client", [one.last_ms for _, one in pairs], "ms"),
        of_rounds("server CPU of the turn without readers", [one.cpu_ms for one, _ in pairs], "ms"),
        of_rounds(f"server CPU of the turn with {READERS} readers", [one.cpu_ms for _, one in pairs], "ms"),
    ]


if __name__ == "__main__":
    standalone(run, "readers", __doc__)
