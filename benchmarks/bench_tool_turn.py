"""A turn that calls a client's tool and is resumed, against a plain turn: processor time of the server.

Both are streamed, with 20 chunks from the model and 20 frames of progress to the client, so that what is compared is
what the tool adds: a second request and a second inference, and the call, its answer and a third step in the log. Of
the 20 chunks of the tool turn 5 are the call and 15 the answer; the plain turn's are all answer. The bar is
for the ratio to two plain turns of 10 chunks, which have as many requests and inferences as one tool turn. The clients, their number
and the length of sessions are those of `turn`.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from benchmarks.api import CHUNKS, TOOL, TOOL_MODEL, new_agent, streamed_turn, tool_turn
from benchmarks.client import Connection
from benchmarks.conversing import CLIENTS, Turn, conversing
from benchmarks.report import standalone
from benchmarks.result import Result, of_rounds
from benchmarks.servers import Server, model_server, replaystack

TWO_TURNS_BAR = 1.1


def run(quick: bool) -> list[Result]:
    """The two kinds of turns by turns, so that what else the machine does falls on both."""
    rounds, sessions = (3, 1) if quick else (7, 3)
    measured: dict[str, list[float]] = {"plain": [], "tool": [], "two": []}
    with (
        tempfile.TemporaryDirectory() as folder,
        model_server() as model,
        replaystack(Path(folder) / "data", model.base_url) as server,
    ):
        kinds = _kinds(server)
        for number in range(rounds + 1):
            for kind, (agent_id, turn) in kinds.items():
                cost = conversing(server, agent_id, turn, sessions)
                if number:  # The first warms up.
                    measured[kind].append(cost.cpu_ms)
    plain_ms, tool_ms, two_ms = measured["plain"], measured["tool"], measured["two"]
    return [
        of_rounds(
            "server CPU of a tool turn with resume, against a plain turn of as many chunks",
            _ratios(tool_ms, plain_ms),
            "x",
        ),
        of_rounds(
            "the same against two plain turns of half as many chunks",
            _ratios(tool_ms, two_ms),
            "x",
            TWO_TURNS_BAR,
        ),
        of_rounds(f"server CPU per tool turn with resume, {CLIENTS} clients", tool_ms, "ms"),
        of_rounds(f"server CPU per plain turn, {CLIENTS} clients", plain_ms, "ms"),
        of_rounds(f"server CPU per two plain turns of half as many chunks, {CLIENTS} clients", two_ms, "ms"),
    ]


def _kinds(server: Server) -> dict[str, tuple[str, Turn]]:
    """Returns for each kind of turn the agent, and the function that runs a turn."""

    def two_turns(connection: Connection, session_path: str) -> None:
        for _ in range(2):
            streamed_turn(connection, session_path, CHUNKS // 2)

    with Connection(server.port) as connection:
        return {
            "plain": (new_agent(connection), streamed_turn),
            "tool": (new_agent(connection, TOOL_MODEL, [TOOL]), tool_turn),
            "two": (new_agent(connection, f"text;chunks={CHUNKS // 2}"), two_turns),
        }


def _ratios(ours: list[float], theirs: list[float]) -> list[float]:
    return [one / other for one, other in zip(ours, theirs, strict=True)]


if __name__ == "__main__":
    standalone(run, "tool_turn", __doc__)
