"""Code of the model: the cost of a tool call from code, at the interpreter and in a turn, and of starting an engine.

At the interpreter a call is everything but the tool: the snapshot, its way out as the recorded text and back, and the
continuation from it. In a turn the tool is one of an MCP server over stdio; the same tool called directly, through
`POST /v1/tool-runtime/invoke` on a kept connection, is subtracted. What remains are the interpreter, and the durable
records of the intent, the outcome and the state.
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from statistics import median

from benchmarks.api import new_agent, new_session
from benchmarks.client import Connection
from benchmarks.report import standalone
from benchmarks.result import Result, of_rounds
from benchmarks.servers import ROOT, model_server, replaystack
from stack.providers.tools.code.interpreter import CodeInterpreter
from stack.providers.tools.port import Suspended, ToolRequest, ToolResult
from stack.providers.tools.settings import ToolGroupSettings

BAR_MS = 2.0
GROUP = "builtin::code_interpreter"
TOOL = {
    "id": "mcp::tools",
    "command": [sys.executable, "-m", "tests.servers.mcp_tools"],
    "cwd": str(ROOT),
    "repeatable": ["add"],
}


def run(quick: bool) -> list[Result]:
    rounds, calls = (3, 50) if quick else (7, 200)
    return [*_at_the_interpreter(rounds, calls), *_in_turns(rounds, calls), *_starts(rounds)]


class _Group:
    """A code interpreter without a server."""

    def __init__(self, runner: asyncio.Runner, **settings: str) -> None:
        self._runner = runner
        self.group = CodeInterpreter(ToolGroupSettings(id=GROUP, **settings))  # type: ignore[arg-type]

    def execute(self, code: str) -> list[float]:
        """Returns the moments in s at which the code made a call, and that of its end."""
        moments = []
        state, results = None, [ToolResult(content="a result")]
        while True:
            request = ToolRequest(
                tool="code_interpreter",
                arguments={"code": code},
                key="0" * 64,
                others={"get": ["n"]},
                state=state,
                results=results if state is not None else (),
            )
            outcome = self._runner.run(self.group.call(request))
            moments.append(time.perf_counter())
            if not isinstance(outcome, Suspended):
                return moments
            state = outcome.state


@contextmanager
def _group(**settings: str) -> Iterator[_Group]:
    with asyncio.Runner() as runner:
        made = _Group(runner, **settings)
        yield made
        runner.run(made.group.aclose())


def _at_the_interpreter(rounds: int, calls: int) -> list[Result]:
    medians = []
    with _group() as group:
        for number in range(rounds + 1):
            moments = group.execute(f"for n in range({calls}):\n    get(n)")
            if number:  # The first warms up.
                medians.append(1000 * median(_differences(moments)))
    name = "call of a tool from code, state out and in, without the tool, p50"
    return [of_rounds(name, medians, "ms", BAR_MS)]


def _in_turns(rounds: int, calls: int) -> list[Result]:
    environment = {"REPLAYSTACK_TOOLGROUPS": json.dumps([TOOL])}
    added, direct = [], []
    with (
        tempfile.TemporaryDirectory() as folder,
        model_server() as model,
        replaystack(Path(folder) / "data", model.base_url, environment=environment) as server,
        Connection(server.port) as connection,
    ):
        few, many = (_turns(connection, count) for count in (1, 1 + calls))
        for number in range(rounds + 1):
            alone_ms = median(_invoked_ms(connection) for _ in range(50))
            call_ms = (_turn_ms(connection, many) - _turn_ms(connection, few)) / calls
            if number:
                direct.append(alone_ms)
                added.append(call_ms - alone_ms)
    return [
        of_rounds("call of a tool from code in a turn, added to the tool alone, mean", added, "ms", BAR_MS),
        of_rounds("the tool alone, called directly over HTTP, p50", direct, "ms"),
    ]


def _turns(connection: Connection, calls: int) -> str:
    """Returns the path under which turns are posted that make so many calls from code."""
    arguments = json.dumps({"code": f"for n in range({calls}):\n    x = add(n, 1)\nx"})
    agent = new_agent(
        connection, f"tools;name=code_interpreter;arguments={arguments}", toolgroups=[GROUP, "mcp::tools"]
    )
    return f"{new_session(connection, agent)}/turn"


def _turn_ms(connection: Connection, path: str) -> float:
    answer = connection.post(path, {"messages": [{"role": "user", "content": "Go."}]})
    turn = json.loads(answer.body)
    [response] = turn["steps"][1]["tool_responses"]
    if not str(response["content"]).isdigit():
        raise RuntimeError(f"the code did not end as it should: {response['content']}")
    return answer.took_ms


def _invoked_ms(connection: Connection) -> float:
    body = {"tool_name": "add", "kwargs": {"a": 1, "b": 2}}
    return connection.post("/v1/tool-runtime/invoke", body).took_ms


def _starts(rounds: int) -> list[Result]:
    """First executions, which start a worker and the interpreter; and those in a sandbox, each of which starts one."""
    firsts, nexts, sandboxes = [], [], []
    for _ in range(rounds):
        with _group() as group:
            firsts.append(_took_ms(group))
            nexts.append(median(_took_ms(group) for _ in range(20)))
        with _group(engine="sandbox", python=sys.executable) as group:
            _took_ms(group)
            sandboxes.append(median(_took_ms(group) for _ in range(5)))
    return [
        of_rounds("first code after a start or a minute of silence", firsts, "ms"),
        of_rounds("code without calls then, p50", nexts, "ms"),
        of_rounds("code in a sandbox, p50", sandboxes, "ms"),
    ]


def _took_ms(group: _Group) -> float:
    began = time.perf_counter()
    group.execute("1 + 1")
    return 1000 * (time.perf_counter() - began)


def _differences(moments: list[float]) -> list[float]:
    return [later - earlier for earlier, later in pairwise(moments)]


if __name__ == "__main__":
    standalone(run, "code", __doc__)
