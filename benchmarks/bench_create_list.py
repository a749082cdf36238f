"""Reading one's own writes: 8 clients create an agent each and list the page that has to show it."""

from __future__ import annotations

import tempfile
from pathlib import Path

from benchmarks.api import AGENTS
from benchmarks.client import Connection
from benchmarks.load import concurrently
from benchmarks.report import standalone
from benchmarks.result import Result, of_rounds, percentile
from benchmarks.seeding import seed
from benchmarks.servers import replaystack

CLIENTS = 8
AGENTS_BEFORE = 1_000
PAGE = 100
P50_BAR_MS = 15.0
P99_BAR_MS = 60.0


def run(quick: bool) -> list[Result]:
    """Percentiles over the creates of all clients in a round; a time is that of create and list together."""
    rounds, each = (3, 30) if quick else (7, 100)
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "data"
        seed(data, AGENTS_BEFORE, 0)
        with replaystack(data) as server:
            creating = Creating(AGENTS_BEFORE)
            concurrently(server.port, CLIENTS, lambda connection, _: creating.several(connection, 5))
            measured = []
            for _ in range(rounds):
                took_ms, _ = concurrently(
                    server.port, CLIENTS, lambda connection, _: creating.several(connection, each)
                )
                measured.append([one_ms for client_ms in took_ms for one_ms in client_ms])
    what = f"create, then list that shows it, {CLIENTS} clients"
    return [
        of_rounds(f"{what}, p50", [percentile(took_ms, 0.5) for took_ms in measured], "ms", P50_BAR_MS),
        of_rounds(f"{what}, p99", [percentile(took_ms, 0.99) for took_ms in measured], "ms", P99_BAR_MS),
    ]


class Creating:
    """The clients together: they know how many agents there are at least, and so which page is the last."""

    def __init__(self, agents: int) -> None:
        self._agents = agents

    def several(self, connection: Connection, count: int) -> list[float]:
        return [self._one(connection) for _ in range(count)]

    def _one(self, connection: Connection) -> float:
        known = self._agents
        config = {"model": "demo/extractive", "instructions": "Be short."}
        created = connection.post(AGENTS, {"agent_config": config})
        # A client that counted before this one began is before it in the list, and at most all others are between.
        listed = connection.get(f"{AGENTS}?start_index={known}&limit={PAGE}")
        agent_id = created.body.partition(b'"agent_id":"')[2][:36]
        if agent_id not in listed.body:
            raise RuntimeError(f"Agent {agent_id.decode()} is not in the page from {known}.")
        self._agents += 1
        return created.took_ms + listed.took_ms


if __name__ == "__main__":
    standalone(run, "create_list", __doc__)
