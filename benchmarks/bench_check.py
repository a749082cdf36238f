"""Recorded sessions, run again: how long it takes, and whether the first divergence is found where it was made.

The sessions are recorded by a real server: streamed text, tools of the server, tools of the client. Unchanged, each must
come out identical. Then one thing is changed in a turn that is known: the prompt, the question, the definition of a tool,
the arguments that the model gave, or the runner itself; the check must name that turn, that event, and its class.
"""

from __future__ import annotations

import asyncio
import random
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import patch

from msgspec.structs import replace

from benchmarks.api import (
    MODEL,
    TOOL,
    TOOL_MODEL,
    new_agent,
    new_session,
    streamed_turn,
    tool_turn,
    whole_turn,
)
from benchmarks.client import Connection
from benchmarks.report import standalone
from benchmarks.result import Result, of_rounds
from benchmarks.servers import model_server, replaystack
from schemas.api.session_check import Report
from schemas.events.agent import AgentCreated
from schemas.events.base import Event
from schemas.events.payload import InputMessage
from schemas.events.turn import TurnStarted, TurnStepCompleted, TurnStepStarted, TurnToolsResolved
from stack.cli.connection import Connection as Exporter
from stack.domain import turn_action
from stack.domain.turn import TurnState
from stack.services.replay.check import check
from stack.services.replay.session_file import read_session_file
from stack.services.replay.session_record import SessionRecord
from stack.services.turns import turn_runner

TURNS = 200
TIME_BAR_S = 1.0
CHANGES = 100
GROUP = "builtin::code_interpreter"
SERVER_TOOL = 'tools;name=code_interpreter;arguments={"code":"6 * 7"}'


class Expected(NamedTuple):
    """The first divergence: the number of the turn, that of the event in it, and its class."""

    turn: int
    version: int
    kind: str


def run(quick: bool) -> list[Result]:
    sessions, rounds = (60, 3) if quick else (1_000, 7)
    with tempfile.TemporaryDirectory() as folder, model_server() as model:
        data = Path(folder) / "data"
        with replaystack(data, model.base_url) as server, Connection(server.port) as connection:
            url = f"http://127.0.0.1:{server.port}"
            long = _session(connection, url, new_agent(connection, MODEL), [streamed_turn] * TURNS)
            short = list(_sessions(connection, url, sessions))
    times = [_checked_in(long) for _ in range(rounds)]
    false = sum(_report(record).verdict != "identical" for record in (long, *short))
    seeds = random.Random(13)
    right = sum(_is_found(seeds, seeds.choice(short)) for _ in range(CHANGES))
    return [
        of_rounds(f"check of a session of {TURNS} turns", times, "s", TIME_BAR_S),
        Result(f"of {CHANGES} changes, divergence named right", float(right), "", CHANGES, "higher"),
        Result(f"of {len(short) + 1:,} unchanged sessions, not identical", float(false), "", 0.0),
    ]


def _sessions(connection: Connection, url: str, count: int) -> Iterator[SessionRecord]:
    served = new_agent(connection, SERVER_TOOL, toolgroups=[GROUP])
    asked = new_agent(connection, TOOL_MODEL, tools=[TOOL])
    told = new_agent(connection, MODEL)
    kinds: list[tuple[str, Callable[[Connection, str], object]]] = [
        (served, whole_turn),
        (asked, tool_turn),
        (told, streamed_turn),
    ]
    for number in range(count):
        agent, turn = kinds[number % len(kinds)]
        yield _session(connection, url, agent, [turn] * 3)


def _session(
    connection: Connection, url: str, agent: str, turns: Sequence[Callable[[Connection, str], object]]
) -> SessionRecord:
    path = new_session(connection, agent)
    for turn in turns:
        turn(connection, path)
    return read_session_file(b"".join(Exporter(url).pieces(f"{path}/export"))).record


def _report(record: SessionRecord) -> Report:
    return asyncio.run(check(record)).report


def _checked_in(record: SessionRecord) -> float:
    begin = time.perf_counter()
    report = _report(record)
    took_s = time.perf_counter() - begin
    if report.verdict != "identical":
        raise RuntimeError(f"The session is {report.verdict}: {report.first}")
    return took_s


def _is_found(seeds: random.Random, record: SessionRecord) -> bool:
    """Changes one thing, and returns whether the check names it."""
    changes = [_prompt, _question, _limit]
    if any(isinstance(one.event, TurnToolsResolved) for turn in record.turns.values() for one in turn):
        changes += [_definition, _arguments, _runner]
    change = seeds.choice(changes)
    with change(seeds, record) as (changed, expected):
        first = _report(changed).first
    if first is None or first.difference is None:
        return False
    return (first.number, first.version, first.difference.kind) == expected


@contextmanager
def _prompt(seeds: random.Random, record: SessionRecord) -> Iterator[tuple[SessionRecord, Expected]]:
    text = f"Answer in {seeds.randint(2, 9)} words."
    yield _with_config(record, instructions=text), _first(record, 1, TurnStepStarted, "request")


@contextmanager
def _question(seeds: random.Random, record: SessionRecord) -> Iterator[tuple[SessionRecord, Expected]]:
    number = seeds.randint(1, len(record.turns))
    asked = [InputMessage(role="user", content=f"And number {seeds.random()}?")]
    changed = _with_event(record, number, TurnStarted, lambda one: replace(one, input_messages=asked))
    yield changed, _first(record, number, TurnStepStarted, "request")


@contextmanager
def _definition(seeds: random.Random, record: SessionRecord) -> Iterator[tuple[SessionRecord, Expected]]:
    def other(resolved: Any) -> Event:
        tools = [replace(one, description=f"Tool {seeds.random()}.") for one in resolved.tools]
        changed: Event = replace(resolved, tools=seeds.choice((tools, [])))
        return changed

    changed = _with_event(record, 1, TurnToolsResolved, other)
    yield changed, _first(record, 1, TurnToolsResolved, "tool set")


@contextmanager
def _arguments(seeds: random.Random, record: SessionRecord) -> Iterator[tuple[SessionRecord, Expected]]:
    number = seeds.randint(1, len(record.turns))

    def other(done: Any) -> Event:
        calls = [replace(call, arguments='{"code":"6 * 8"}') for call in done.output.tool_calls]
        changed: Event = replace(done, output=replace(done.output, tool_calls=calls))
        return changed

    changed = _with_event(record, number, TurnStepCompleted, other)
    yield changed, _first(record, number, TurnStepStarted, "tool arguments", which=1)


@contextmanager
def _limit(seeds: random.Random, record: SessionRecord) -> Iterator[tuple[SessionRecord, Expected]]:
    """Another runner: it ends the turn with the limit of inferences before the first one."""
    with _runner_that(partial(_ends_at, 0)):
        yield record, _first(record, 1, TurnStepStarted, "limit")


@contextmanager
def _runner(seeds: random.Random, record: SessionRecord) -> Iterator[tuple[SessionRecord, Expected]]:
    """Another runner: it ends the turn with the limit of inferences after the first tool."""
    with _runner_that(partial(_ends_at, 1)):
        yield record, _first(record, 1, TurnStepStarted, "limit", which=2)


def _ends_at(inferences: int, plain: Any, state: TurnState, *more: Any) -> turn_action.Next:
    action: turn_action.Next = plain(state, *more)
    if isinstance(action, turn_action.Infer) and state.inferences >= inferences:
        output = replace(state.output_message, content="", stop_reason="out_of_tokens")
        return turn_action.Complete(output)
    return action


@contextmanager
def _runner_that(decides: Callable[..., turn_action.Next]) -> Iterator[None]:
    with patch.object(turn_runner, "next_action", partial(decides, turn_action.next_action)):
        yield


def _with_config(record: SessionRecord, **changes: Any) -> SessionRecord:
    agents = {}
    for id, events in record.agents.items():
        created = events[0].event
        assert isinstance(created, AgentCreated)
        event = replace(created, config=replace(created.config, **changes))
        agents[id] = [events[0]._replace(event=event), *events[1:]]
    return replace(record, agents=agents)


def _with_event(
    record: SessionRecord, number: int, kind: type[Event], change: Callable[[Any], Event]
) -> SessionRecord:
    """Changes the first event of a kind in a turn."""
    turn_id = list(record.turns)[number - 1]
    events = list(record.turns[turn_id])
    place = next(index for index, one in enumerate(events) if isinstance(one.event, kind))
    events[place] = events[place]._replace(event=change(events[place].event))
    return replace(record, turns={**record.turns, turn_id: events})


def _first(record: SessionRecord, number: int, kind: type[Event], name: str, which: int = 0) -> Expected:
    events = record.turns[list(record.turns)[number - 1]]
    found = [one.version for one in events if isinstance(one.event, kind)]
    return Expected(number, found[which], name)


if __name__ == "__main__":
    standalone(run, "check", __doc__)
