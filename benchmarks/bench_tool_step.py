"""A tool that the server runs: what its step takes beyond the tool itself.

The step lasts from its start to its end in the log, the tool as long as its `execute_tool` span. What remains are the
recorded intent and outcome, the check of the arguments, and the hand-over; the session is new in each round.
"""

from __future__ import annotations

import json
import tempfile
from datetime import datetime
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.api import new_agent, new_session
from benchmarks.client import Connection
from benchmarks.report import standalone
from benchmarks.result import Result, of_rounds
from benchmarks.servers import model_server, replaystack

BAR_MS = 2.0
GROUP = "builtin::code_interpreter"
MODEL = 'tools;name=code_interpreter;arguments={"code":"1"}'
SPANS = "/v1alpha/telemetry/spans"


def run(quick: bool) -> list[Result]:
    rounds, turns = (3, 20) if quick else (7, 100)
    added, alone = [], []
    with (
        tempfile.TemporaryDirectory() as folder,
        model_server() as model,
        replaystack(Path(folder) / "data", model.base_url) as server,
        Connection(server.port) as connection,
    ):
        agent = new_agent(connection, MODEL, toolgroups=[GROUP])
        for number in range(rounds + 1):
            path = new_session(connection, agent)
            steps = [_step(connection, path) for _ in range(turns)]
            tools = _tools_ms(connection, path.rpartition("/")[2])
            if number:  # The first warms up.
                added.append(median(ms - tools[step_id] for step_id, ms in steps))
                alone.append(median(tools.values()))
    return [
        of_rounds("step of a server-side tool, added to the tool, p50", added, "ms", BAR_MS),
        of_rounds("the tool alone (code without calls), p50", alone, "ms"),
    ]


def _step(connection: Connection, path: str) -> tuple[str, float]:
    """Returns the id and the duration in ms of a turn's tool step."""
    answer = connection.post(f"{path}/turn", {"messages": [{"role": "user", "content": "Go."}]})
    step = json.loads(answer.body)["steps"][1]
    return step["step_id"], _ms(step["completed_at"]) - _ms(step["started_at"])


def _tools_ms(connection: Connection, session_id: str) -> dict[str, float]:
    """Returns the duration in ms of each tool of a session, by step."""
    wanted = {"gen_ai.operation.name": "execute_tool", "session_id": session_id}
    filters = [{"key": key, "op": "eq", "value": value} for key, value in wanted.items()]
    body = {"attribute_filters": filters, "attributes_to_return": ["step_id"]}
    found: list[dict[str, Any]] = json.loads(connection.post(SPANS, body).body)["data"]
    return {one["attributes"]["step_id"]: _ms(one["end_time"]) - _ms(one["start_time"]) for one in found}


def _ms(time: str) -> float:
    return datetime.fromisoformat(time).timestamp() * 1000


if __name__ == "__main__":
    standalone(run, "tool_step", __doc__)
