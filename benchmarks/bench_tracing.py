"""The cost of the server's own telemetry: processor time per turn with and without it."""

from __future__ import annotations

import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from benchmarks.api import new_agent, new_session, streamed_turn
from benchmarks.client import Connection
from benchmarks.conversing import CLIENTS, TURNS_OF_A_SESSION
from benchmarks.load import concurrently
from benchmarks.report import standalone
from benchmarks.result import Result, of_rounds
from benchmarks.servers import Server, model_server, replaystack

BAR_MS = 0.5
SETTLE_S = 3.0
"""Time after a round until its telemetry is in its tables, in seconds: this is part of the cost."""


def run(quick: bool) -> list[Result]:
    """Two servers side by side, asked at the same time, so that what else the machine does falls on both."""
    rounds, sessions = (4, 1) if quick else (9, 3)
    disabled = {"OTEL_SDK_DISABLED": "true"}
    with (
        tempfile.TemporaryDirectory() as folder,
        model_server() as model,
        replaystack(Path(folder) / "with", model.base_url) as observed,
        replaystack(Path(folder) / "without", model.base_url, environment=disabled) as plain,
    ):
        agents = [(server, _agent(server)) for server in (observed, plain)]
        with ThreadPoolExecutor(len(agents)) as threads:

            def at_once(sessions: int) -> list[float]:
                return list(threads.map(lambda one: _turn_ms(one[0], one[1], sessions), agents))

            at_once(1)
            measured = [at_once(sessions) for _ in range(rounds)]
    return [
        of_rounds(
            "server CPU per turn that its own telemetry takes",
            [with_ms - without_ms for with_ms, without_ms in measured],
            "ms",
            BAR_MS,
        ),
        of_rounds("server CPU per turn with its own telemetry", [one[0] for one in measured], "ms"),
        of_rounds("server CPU per turn without", [one[1] for one in measured], "ms"),
    ]


def _agent(server: Server) -> str:
    with Connection(server.port) as connection:
        agent_id = new_agent(connection)
        for _ in range(2):  # The first turns load what the model client needs.
            streamed_turn(connection, new_session(connection, agent_id))
        return agent_id


def _turn_ms(server: Server, agent_id: str, sessions: int) -> float:
    """Processor time of one turn of 20 chunks, eight clients at once, with all that follows from it."""
    with Connection(server.port) as own:
        paths = [[new_session(own, agent_id) for _ in range(sessions)] for _ in range(CLIENTS)]

    def lead(connection: Connection, number: int) -> None:
        for path in paths[number]:
            for _ in range(TURNS_OF_A_SESSION):
                streamed_turn(connection, path)

    before_s = server.cpu_s()
    concurrently(server.port, CLIENTS, lead)
    with Connection(server.port) as own:
        own.get(paths[0][0])  # Waits until the read models hold every turn.
    time.sleep(SETTLE_S)
    return (server.cpu_s() - before_s) * 1000 / (CLIENTS * sessions * TURNS_OF_A_SESSION)


if __name__ == "__main__":
    standalone(run, "tracing", __doc__)
