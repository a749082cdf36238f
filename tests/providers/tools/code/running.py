"""A code interpreter for tests, and what the runner of a turn does with one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from stack.providers.tools.code.interpreter import CodeInterpreter
from stack.providers.tools.port import NestedCall, Suspended, ToolRequest, ToolResult
from stack.providers.tools.settings import ToolGroupSettings

Tools = Mapping[str, Callable[..., ToolResult]]


class Running:
    """Executes code with the tools of a test. `rounds` holds the calls that the code made, those made together in
    one list. Every continuation begins with nothing but the recorded state."""

    def __init__(self, runner: asyncio.Runner, settings: ToolGroupSettings) -> None:
        self.runner = runner
        self.group = CodeInterpreter(settings)
        self.rounds: list[Sequence[NestedCall]] = []
        self.states: list[str] = []

    def start(
        self, code: str, others: Mapping[str, Sequence[str]] | None = None, **given: Any
    ) -> ToolResult | Suspended:
        return self.runner.run(self.group.call(self.request(code, others, **given)))

    def request(
        self, code: str, others: Mapping[str, Sequence[str]] | None = None, **given: Any
    ) -> ToolRequest:
        return ToolRequest(
            tool="code_interpreter", arguments={"code": code}, key="0" * 64, others=others or {}, **given
        )

    def run(
        self, code: str, tools: Tools | None = None, others: Mapping[str, Sequence[str]] | None = None
    ) -> ToolResult:
        tools = tools or {}
        others = {name: [] for name in tools} if others is None else others
        self.rounds, self.states = [], []
        outcome = self.start(code, others)
        while isinstance(outcome, Suspended):
            self.rounds.append(outcome.calls)
            self.states.append(outcome.state)
            results = [tools[one.tool](**one.arguments) for one in outcome.calls]
            outcome = self.start(code, others, state=outcome.state, results=results)
        return outcome


@contextmanager
def running(**settings: Any) -> Iterator[Running]:
    with asyncio.Runner() as runner:
        made = Running(runner, ToolGroupSettings(id="builtin::code_interpreter", **settings))
        yield made
        runner.run(made.group.aclose())


def text(content: Any) -> ToolResult:
    return ToolResult(content=str(content))
