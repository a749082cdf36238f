"""Two thousand turns in one session: a turn at the end must not cost much more than one at the beginning."""

from __future__ import annotations

import tempfile
from pathlib import Path
from statistics import median
from typing import NamedTuple

import msgspec

from benchmarks.api import INSTRUCTIONS, QUESTION, new_agent, new_session, whole_turn
from benchmarks.client import Connection
from benchmarks.report import standalone
from benchmarks.result import Result, of_rounds
from benchmarks.servers import Server, model_server, replaystack

MODEL = "text;chunks=1"
BAR = 1.2
CPU_BAR = 1.3


def run(quick: bool) -> list[Result]:
    """Not streamed, answers of one word. The model gets the whole conversation each time; what that alone
    costs is measured by sending it as much without a server between. A new session at the end tells the length
    of a session from the age of a server."""
    turns, rounds = (200, 1) if quick else (2000, 3)
    with tempfile.TemporaryDirectory() as folder, model_server() as model:
        with replaystack(Path(folder) / "data", model.base_url) as server:
            led = [_lead(server, turns) for _ in range(rounds)]
            afterwards = median(_lead(server, turns // 10).took_ms)
        model_ms = [_model_alone(model.port, count) for count in (turns // 20, turns - turns // 20)]
    tenth = turns // 10
    first = [median(one.took_ms[:tenth]) for one in led]
    last = [median(one.took_ms[-tenth:]) for one in led]
    ratios = [after / before for before, after in zip(first, last, strict=True)]
    return [
        of_rounds(f"{turns:,} turns in one session: last tenth against first tenth", ratios, "x", BAR),
        of_rounds(
            "server CPU per turn, last tenth against first tenth",
            [one.cpu_ms[-1] / one.cpu_ms[0] for one in led],
            "x",
            CPU_BAR,
        ),
        of_rounds("server CPU per turn of the first tenth", [one.cpu_ms[0] for one in led], "ms"),
        of_rounds("server CPU per turn of the last tenth", [one.cpu_ms[-1] for one in led], "ms"),
        of_rounds("a turn of the first tenth, p50", first, "ms"),
        of_rounds("a turn of the last tenth, p50", last, "ms"),
        Result("a turn of a new session afterwards, p50", afterwards, "ms"),
        Result("the model alone with the conversation of the first tenth, p50", model_ms[0], "ms"),
        Result("the model alone with the conversation of the last tenth, p50", model_ms[1], "ms"),
    ]


class Led(NamedTuple):
    """How long each turn took, and the server's processor time per turn in each tenth of the session, in ms."""

    took_ms: list[float]
    cpu_ms: list[float]


def _lead(server: Server, turns: int) -> Led:
    with Connection(server.port) as connection:
        agent_id = new_agent(connection, MODEL)
        for _ in range(3):
            whole_turn(connection, new_session(connection, agent_id))
        path = new_session(connection, agent_id)
        led = Led([], [])
        for _ in range(10):
            before_s = server.cpu_s()
            answers = [whole_turn(connection, path) for _ in range(turns // 10)]
            turn_id = msgspec.json.decode(answers[-1].body)["turn_id"]
            connection.get(f"{path}/turn/{turn_id}")  # Waits until the read models hold every turn.
            led.cpu_ms.append((server.cpu_s() - before_s) * 1000 / (turns // 10))
            led.took_ms.extend(answer.took_ms for answer in answers)
        kept = msgspec.json.decode(connection.get(path).body)["turns"]
        if len(kept) != turns:
            raise RuntimeError(f"The session has {len(kept)} turns, not {turns}.")
        return led


def _model_alone(port: int, turns: int) -> float:
    """The median time of the model server for a conversation of so many turns, in ms."""
    talk = [{"role": "user", "content": QUESTION}, {"role": "assistant", "content": "The"}] * turns
    messages = [{"role": "system", "content": INSTRUCTIONS}, *talk, {"role": "user", "content": QUESTION}]
    body = {"model": MODEL, "messages": messages, "stream": True, "temperature": 0}
    with Connection(port) as connection:
        return median(
            connection.stream("/v1/chat/completions", body, b'"content":').whole_ms for _ in range(30)
        )


if __name__ == "__main__":
    standalone(run, "long_session", __doc__)
