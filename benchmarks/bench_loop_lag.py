"""How late the server's event loop wakes up while it is under full load: streamed turns, reads and creates."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import msgspec

from benchmarks.api import AGENTS, new_agent, new_session, streamed_turn
from benchmarks.client import Connection
from benchmarks.load import concurrently
from benchmarks.probed_server import Sample
from benchmarks.report import standalone
from benchmarks.result import Result, of_rounds, percentile
from benchmarks.servers import model_server, replaystack

STREAMING_CLIENTS = 24
READING_CLIENTS = 4
CREATING_CLIENTS = 2
CLIENTS = STREAMING_CLIENTS + READING_CLIENTS + CREATING_CLIENTS
TURNS_OF_A_SESSION = 10
BAR_MS = 10.0


def run(quick: bool) -> list[Result]:
    """Percentiles of the lag in windows of equal length, all under the same load without a break."""
    windows, window_s = (3, 1.5) if quick else (5, 4.0)
    with tempfile.TemporaryDirectory() as folder, model_server() as model:
        lag_file = Path(folder) / "lag.json"
        with replaystack(Path(folder) / "data", model.base_url, lag_file) as server:
            with Connection(server.port) as connection:
                agent_id = new_agent(connection)
                streamed_turn(connection, new_session(connection, agent_id))
            load = _Load(agent_id, ends_at=time.monotonic() + 1.0 + windows * window_s)
            began = time.monotonic() + 1.0  # The first second warms up.
            turns, _ = concurrently(server.port, CLIENTS, load)
        samples = msgspec.json.decode(lag_file.read_bytes(), type=list[Sample])
    by_window = [
        _lags(samples, began + number * window_s, began + (number + 1) * window_s)
        for number in range(windows)
    ]
    return [
        of_rounds(
            f"event-loop lag under full load ({CLIENTS} clients), p99",
            [percentile(lags, 0.99) for lags in by_window],
            "ms",
            BAR_MS,
        ),
        of_rounds("event-loop lag under full load, p50", [percentile(lags, 0.5) for lags in by_window], "ms"),
        of_rounds("event-loop lag under full load, worst", [max(lags) for lags in by_window], "ms"),
        Result(
            "streamed turns a second meanwhile",
            sum(turns) / (1.0 + windows * window_s),
            "1/s",
            better="higher",
        ),
    ]


def _lags(samples: list[Sample], begins: float, ends: float) -> list[float]:
    return [lag_ms for at, lag_ms in samples if begins <= at < ends]


class _Load:
    """The loop of each client until the time is over. Returns the number of complete turns."""

    def __init__(self, agent_id: str, ends_at: float) -> None:
        self._agent_id = agent_id
        self._ends_at = ends_at
        self._paths: list[str] = []

    def __call__(self, connection: Connection, number: int) -> int:
        turns = 0
        while time.monotonic() < self._ends_at:
            if number < STREAMING_CLIENTS:
                path = new_session(connection, self._agent_id)
                self._paths.append(path)
                for _ in range(TURNS_OF_A_SESSION):
                    streamed_turn(connection, path)
                    turns += 1
            elif number < STREAMING_CLIENTS + READING_CLIENTS:
                connection.get(f"{AGENTS}?limit=10")
                if self._paths:
                    connection.get(self._paths[-1])
            else:
                new_agent(connection)
        return turns


if __name__ == "__main__":
    standalone(run, "loop_lag", __doc__)
