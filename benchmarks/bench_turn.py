"""Streamed turns of 20 chunks: processor time of the server for each, also against a bare uvicorn proxy that frames
the same events, and what it adds to the model's latency."""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path
from statistics import median

from benchmarks.api import model_turn, new_agent, new_session, streamed_turn
from benchmarks.client import Connection
from benchmarks.conversing import CLIENTS, TURNS_OF_A_SESSION, asking, conversing
from benchmarks.report import standalone
from benchmarks.result import Result, of_rounds
from benchmarks.servers import Server, bare_proxy, model_server, replaystack

RATIO_BAR = 6.0
FIRST_TEXT_BAR_MS = 4.0
WHOLE_TURN_BAR_MS = 8.0


def run(quick: bool) -> list[Result]:
    """Processor time with 8 clients at once, then latency with one client, against the model server itself."""
    with tempfile.TemporaryDirectory() as folder, model_server() as model:
        data = Path(folder) / "data"
        with replaystack(data, model.base_url) as server, bare_proxy(model) as proxy:
            with Connection(server.port) as connection:
                agent_id = new_agent(connection)
                for _ in range(2):  # The first turns load what the model client needs.
                    streamed_turn(connection, new_session(connection, agent_id))
            return [
                *_processor_time(
                    server, proxy, agent_id, rounds=3 if quick else 7, sessions=1 if quick else 3
                ),
                *_added_latency(
                    Path(folder),
                    server,
                    model.port,
                    agent_id,
                    rounds=3 if quick else 9,
                    sessions=2 if quick else 5,
                ),
            ]


def _processor_time(server: Server, proxy: Server, agent_id: str, rounds: int, sessions: int) -> list[Result]:
    conversing(server, agent_id, streamed_turn, 1)
    asking(proxy, TURNS_OF_A_SESSION)
    measured = [
        (
            conversing(server, agent_id, streamed_turn, sessions),
            asking(proxy, sessions * TURNS_OF_A_SESSION),
        )
        for _ in range(rounds)
    ]
    what = f"server CPU per streamed turn of 20 chunks, {CLIENTS} clients"
    return [
        of_rounds(what, [one.cpu_ms for one, _ in measured], "ms"),
        of_rounds(
            "the same against a bare uvicorn proxy that frames the same events",
            [one.cpu_ms / proxy_ms for one, proxy_ms in measured],
            "x",
            RATIO_BAR,
        ),
        of_rounds(
            f"streamed turns a second, {CLIENTS} clients",
            [one.turns_per_s for one, _ in measured],
            "1/s",
            better="higher",
        ),
    ]


def _added_latency(
    folder: Path, server: Server, model_port: int, agent_id: str, rounds: int, sessions: int
) -> list[Result]:
    """Model and server are asked in turns, so that what else the machine does falls on both. A turn waits for
    two syncs of the disk before its first text and for a third before its end: what one costs is shown."""
    first_ms: list[float] = []
    whole_ms: list[float] = []
    direct_ms: list[float] = []
    sync_ms: list[float] = []
    with Connection(server.port) as through, Connection(model_port) as direct:
        for _ in range(rounds):
            pairs = []
            for _ in range(sessions):
                path = new_session(through, agent_id)
                pairs += [
                    (model_turn(direct), streamed_turn(through, path)) for _ in range(TURNS_OF_A_SESSION)
                ]
            sync_ms.append(median(_sync_ms(folder / "sync") for _ in range(20)))
            direct_ms.append(median(own.whole_ms for own, _ in pairs))
            first_ms.append(
                median(ours.first_ms for _, ours in pairs) - median(own.first_ms for own, _ in pairs)
            )
            whole_ms.append(median(ours.whole_ms for _, ours in pairs) - direct_ms[-1])
    return [
        of_rounds(
            "latency added over the model, 1 client, p50: first text", first_ms, "ms", FIRST_TEXT_BAR_MS
        ),
        of_rounds(
            "latency added over the model, 1 client, p50: whole turn", whole_ms, "ms", WHOLE_TURN_BAR_MS
        ),
        of_rounds("the model itself, 1 client, p50: whole answer", direct_ms, "ms"),
        of_rounds("the disk itself, p50: write and sync 4 KiB", sync_ms, "ms"),
    ]


def _sync_ms(file: Path) -> float:
    began = time.perf_counter()
    with file.open("ab") as opened:
        opened.write(bytes(4096))
        opened.flush()
        os.fdatasync(opened.fileno())
    return (time.perf_counter() - began) * 1000


if __name__ == "__main__":
    standalone(run, "turn", __doc__)
