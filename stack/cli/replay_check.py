"""Runs a recorded session again, and shows what differs: `replaystack replay --check`, `--scenario`, `--against`."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import click
import msgspec
from msgspec import Struct
from msgspec.structs import replace

from schemas.api.agent import AgentConfig as ApiConfig
from schemas.api.session_check import VERDICTS, Report
from schemas.events.agent import AgentCreated, AgentUpdated
from schemas.events.base import Event
from schemas.events.payload import AgentConfig
from schemas.session_file import Passes, Tolerance
from stack.cli.replay_models import LiveModels
from stack.cli.terminal import one_line
from stack.errors import Invalid
from stack.eventstore import Recorded
from stack.services.replay.check import check
from stack.services.replay.live import says_the_same, simulated
from stack.services.replay.report import Run
from stack.services.replay.rerun import Outside, Scenario, Unrecorded
from stack.services.replay.run_again import Judge, run_again
from stack.services.replay.run_comparison import Rules
from stack.services.replay.scenario_file import ScenarioFile, read_scenario
from stack.services.replay.session_file import SessionFile, read_session_file, written
from stack.services.replay.tolerance import check_tolerance

AGENT = "agent:"


class Wanted(Struct, frozen=True, kw_only=True):
    """The options of the command."""

    scenario: Path | None = None
    against: str | None = None
    repeat: int | None = None
    unrecorded: Unrecorded = "recorded"
    live: tuple[str, ...] = ()
    simulator: str | None = None
    judge: str | None = None
    update: Path | None = None
    as_json: bool = False


def replay_again(content: bytes, wanted: Wanted, models: LiveModels) -> int:
    """Runs the session in a session file, prints how it differs, and returns the exit code. Raises ReplaystackError."""
    file = read_session_file(content)
    runs, changes = asyncio.run(_runs(file, wanted, models))
    passes = _passes(file, wanted)
    reports = [run.report for run in runs]
    if wanted.as_json:
        shown = reports[0] if len(reports) == 1 else reports
        click.echo(msgspec.json.format(msgspec.json.encode(shown)).decode())
    else:
        for number, report in enumerate(reports, 1):
            if len(reports) > 1:
                click.echo(f"run {number} of {len(reports)}")
            _show(report)
    code = _exit_code(reports, passes)
    if len(reports) > 1 and not wanted.as_json:
        passed = sum(1 for report in reports if report.exit_code <= 1)
        click.echo(f"{passed} of {len(reports)} runs pass; {passes.needed} are needed")
    if wanted.update is not None:
        _update(file, runs[0], changes, wanted.update)
        return 0
    return code


async def _runs(file: SessionFile, wanted: Wanted, models: LiveModels) -> tuple[list[Run], Scenario]:
    """Returns the runs, and what was changed for them."""
    if wanted.scenario is None and wanted.against is None:
        return [await check(file.record)], Scenario()
    scenario = read_scenario(wanted.scenario) if wanted.scenario is not None else ScenarioFile()
    tolerance = scenario.tolerance or file.header.tolerance or Tolerance()
    check_tolerance(tolerance)
    rules = Rules(accepts=scenario.accepts, actions_only=wanted.against is not None, tolerance=tolerance)
    try:
        changes, outside = await _outside(wanted, scenario, models)
        judge = await _judge(wanted, tolerance, models)
        again = partial(run_again, file.record, changes, outside, rules, judge)
        return [await again() for _ in range(_passes(file, wanted).of)], changes
    finally:
        await models.aclose()


async def _outside(wanted: Wanted, scenario: ScenarioFile, models: LiveModels) -> tuple[Scenario, Outside]:
    changes = scenario.scenario()
    model = None
    if wanted.against is not None and wanted.against.startswith(AGENT):
        given = await models.agent(wanted.against.removeprefix(AGENT))
        config = stored_config(given)
        changes = Scenario(agent=lambda _: config, tools=changes.tools)
        model = await models.find(config.model)
    elif wanted.against is not None:
        model = await models.find(wanted.against)
    simulate = None
    if wanted.unrecorded == "simulate":
        simulator = await models.find(wanted.simulator) if wanted.simulator else model
        if simulator is None:
            raise Invalid("--unrecorded simulate needs a model: give --simulator or --against.")
        simulate = partial(simulated, *simulator)
    outside = Outside(
        model=model,
        unrecorded=wanted.unrecorded,
        live=frozenset(wanted.live),
        call_live=models.call_tool if wanted.live else None,
        simulate=simulate,
    )
    return changes, outside


async def _judge(wanted: Wanted, tolerance: Tolerance, models: LiveModels) -> Judge | None:
    if tolerance.text != "judge":
        return None
    name = wanted.judge or (wanted.against if not (wanted.against or "").startswith(AGENT) else None)
    if not name:
        raise Invalid("The tolerance compares text by a judge: name a model with --judge.")
    return partial(says_the_same, *await models.find(name))


def stored_config(config: dict[str, Any]) -> AgentConfig:
    """Returns the configuration of an agent as it is recorded."""
    from stack.domain.payload import agent_config

    return agent_config(msgspec.convert(config, ApiConfig))


def _passes(file: SessionFile, wanted: Wanted) -> Passes:
    """Returns how many runs there are, and how many must pass: all, unless the file says otherwise."""
    if wanted.against is None:
        return Passes(1, 1)
    given = file.header.tolerance.passes if file.header.tolerance else None
    if wanted.repeat is not None:
        of = wanted.repeat
        return Passes(min(given.needed, of) if given else of, of)
    return given or Passes(1, 1)


def _exit_code(reports: Sequence[Report], passes: Passes) -> int:
    if len(reports) == 1:
        return reports[0].exit_code
    codes = sorted(report.exit_code for report in reports)
    return codes[min(passes.needed, len(codes)) - 1]


def _show(report: Report) -> None:
    for turn in report.turns:
        line = f"turn {turn.number:<4} {turn.verdict:<13}"
        if turn.difference is None:
            click.echo(f"{line}{turn.reason or f'{turn.events} events'}")
            continue
        where = f"event {turn.version}" if turn.version else "after the last event"
        name = f" ({turn.difference.event})" if turn.difference.event else ""
        click.echo(f"{line}{where}{name}: {turn.difference.kind}")
        if turn.reason:
            click.echo(f"  {one_line(turn.reason)}")
        click.echo(f"  recorded  {one_line(turn.difference.recorded) or '-'}")
        click.echo(f"  now       {one_line(turn.difference.replayed) or '-'}")
    click.echo(summary(report))


def summary(report: Report) -> str:
    """Returns the result in one line."""
    count = len(report.turns)
    turns = "1 turn" if count == 1 else f"{count} turns"
    first = report.first
    if first is None or (first.difference is None and not first.reason):
        return f"{report.verdict}: {turns}"
    if first.difference is None:
        return f"{report.verdict}: {one_line(first.reason)}"
    where = f"event {first.version}" if first.version else "after the last event"
    return f"{report.verdict} in turn {first.number}, {where}: {first.difference.kind}"


def _update(file: SessionFile, run: Run, changes: Scenario, out: Path) -> None:
    """Writes the file with the events of this run, and the changes for it, in the place of the recorded ones."""
    from stack.cli.whole_file import whole_file

    turns = dict(file.record.turns)
    for turn_id, events in run.turns.items():
        turns[turn_id] = _renumbered(turns[turn_id], events)
    agents = {
        id: [one._replace(event=_changed(one.event, changes)) for one in events]
        for id, events in file.record.agents.items()
    }
    record = replace(file.record, turns=turns, agents=agents)
    with whole_file(out) as target:
        for line in written(replace(file, record=record)):
            target.write(line)
    changed = sum(1 for turn in run.report.turns if turn.verdict != VERDICTS[0])
    click.echo(f"Wrote {out}: {changed} of {len(run.report.turns)} turns changed", err=True)


def _changed(event: Event, changes: Scenario) -> Event:
    if isinstance(event, AgentCreated | AgentUpdated):
        return replace(event, config=changes.agent(event.config))
    return event


def _renumbered(recorded: Sequence[Recorded], events: Sequence[Event]) -> list[Recorded]:
    last = recorded[-1]
    found = []
    for index, event in enumerate(events):
        place = recorded[index] if index < len(recorded) else last
        found.append(Recorded(place.position, index + 1, place.recorded_at, event))
    return found
