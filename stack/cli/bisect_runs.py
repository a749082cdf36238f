"""The candidates of `replaystack bisect`, and their runs."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Sequence
from pathlib import Path

import click
from msgspec import Struct
from msgspec.structs import replace

from schemas.events.payload import AgentConfig
from schemas.events.turn import TurnStarted
from stack.cli.replay_check import stored_config
from stack.cli.replay_models import LiveModels
from stack.cli.terminal import one_line
from stack.errors import Invalid, Unavailable
from stack.services.replay.bisection import AnswerPlace, answers_in, answers_until, first_bad
from stack.services.replay.recorded_parts import Unreplayable, config_of
from stack.services.replay.rerun import Outside, Scenario
from stack.services.replay.run_again import answer_in, live_failure, run_again
from stack.services.replay.run_comparison import Rules
from stack.services.replay.session_file import read_session_file
from stack.services.replay.session_record import SessionRecord

_VERSION = re.compile(r"v([1-9][0-9]*)")
_EVENT = re.compile(r"([1-9][0-9]*)\.([1-9][0-9]*)")


class Question(Struct, frozen=True, kw_only=True):
    """The options of the command."""

    good: str
    bad: str
    prompts: Path | None = None
    model: str | None = None
    contains: str | None = None
    score: str | None = None
    expected: str | None = None
    repeat: int = 1


class Candidate(Struct, frozen=True, kw_only=True):
    """One candidate, with its name for people. `version` is that of the agent, 0 if it is not the candidate."""

    name: str
    change: Callable[[AgentConfig], AgentConfig] = lambda config: config
    recorded_answers: int = 0
    version: int = 0


def bisect(content: bytes, question: Question, models: LiveModels) -> None:
    """Prints the outcome of each candidate that is tried, and the first bad one. Raises Invalid for candidates that do not
    exist or cannot be run, Conflict if the given ends are not good and bad, Unavailable if a live model fails, and other
    errors of the models."""
    if question.score and question.expected is None:
        raise Invalid("--score needs --expected.")
    record = read_session_file(content).record
    candidates = _candidates(record, question)
    asyncio.run(_bisect(record, candidates, question, models))


async def _bisect(
    record: SessionRecord, named: Sequence[Candidate], question: Question, models: LiveModels
) -> None:
    try:
        candidates = [await _with_config(record, one, models) for one in named]

        async def is_good(number: int) -> bool:
            candidate = candidates[number]
            runs = [await _is_good(record, candidate, question, models) for _ in range(question.repeat)]
            good = sum(runs) * 2 > len(runs)
            click.echo(f"{'good' if good else 'bad':<5} {candidate.name}")
            return good

        found = await first_bad(len(candidates), is_good)
    finally:
        await models.aclose()
    click.echo(f"first bad: {candidates[found].name} (after {candidates[found - 1].name})")


async def _with_config(record: SessionRecord, candidate: Candidate, models: LiveModels) -> Candidate:
    if not candidate.version:
        return candidate
    config = stored_config(await models.agent(record.agent_id, candidate.version))
    return replace(candidate, change=lambda _: config)


def _candidates(record: SessionRecord, question: Question) -> list[Candidate]:
    """Returns the candidates from the good one to the bad one. Raises Invalid."""
    good, bad = question.good, question.bad
    if (first := _VERSION.fullmatch(good)) and (last := _VERSION.fullmatch(bad)):
        numbers = range(int(first[1]), int(last[1]) + 1)
        _require_order(numbers)
        return [Candidate(name=f"version {number}", version=number) for number in numbers]
    if (first := _EVENT.fullmatch(good)) and (last := _EVENT.fullmatch(bad)):
        places = answers_in(record)
        ends = [AnswerPlace(int(one[1]), int(one[2])) for one in (first, last)]
        counts = range(answers_until(places, ends[0]), answers_until(places, ends[1]) + 1)
        _require_order(counts)
        names = ["no recorded answer", *(f"event {place}" for place in places)]
        return [Candidate(name=names[count], recorded_answers=count) for count in counts]
    if Path(good).is_file() and Path(bad).is_file():
        return _prompts(Path(good), Path(bad), question.prompts)
    raise Invalid(
        "--good and --bad must be two versions of the agent (v2), two events (2.5: the fifth event of the second turn), or "
        "two files with prompts."
    )


def _prompts(good: Path, bad: Path, folder: Path | None) -> list[Candidate]:
    files = [good, bad]
    if folder is not None:
        every = sorted(one for one in folder.iterdir() if one.is_file())
        places = [next((n for n, one in enumerate(every) if one.samefile(end)), -1) for end in files]
        if -1 in places:
            raise Invalid(f"--good and --bad must be files in {folder}.")
        _require_order(range(places[0], places[1] + 1))
        files = every[places[0] : places[1] + 1]
    texts = [one.read_text(encoding="utf-8") for one in files]
    return [
        Candidate(name=str(file), change=lambda config, text=text: replace(config, instructions=text))  # type: ignore[misc]
        for file, text in zip(files, texts, strict=True)
    ]


def _require_order(numbers: range) -> None:
    if len(numbers) < 2:
        raise Invalid("--bad must come after --good.")


async def _is_good(
    record: SessionRecord, candidate: Candidate, question: Question, models: LiveModels
) -> bool:
    model = question.model or candidate.change(_last_config(record)).model
    outside = Outside(
        model=await models.find(model),
        recorded_answers=candidate.recorded_answers,
        unrecorded="error" if question.contains or question.score else "recorded",
    )
    run = await run_again(record, Scenario(agent=candidate.change), outside, Rules(actions_only=True))
    if run.report.verdict == "unreplayable" and run.report.first is not None:
        raise Invalid(f"{candidate.name} cannot be tried: {one_line(run.report.first.reason)}")
    if (failed := live_failure(record, run)) is not None:
        raise Unavailable(
            f"{candidate.name} has no outcome: its model failed with {failed.status}, {one_line(failed.detail)} "
            "Run the command again when the model answers."
        )
    answer = answer_in(event for events in run.turns.values() for event in events)
    if question.contains is not None:
        return question.contains in answer
    if question.score is not None:
        return await models.score(question.score, answer, question.expected or "") >= 0.5
    return run.report.exit_code <= 1


def _last_config(record: SessionRecord) -> AgentConfig:
    for turn in reversed(list(record.turns.values())):
        started = turn[0].event if turn else None
        if isinstance(started, TurnStarted):
            try:
                return config_of(record, started)
            except Unreplayable as problem:
                raise Invalid(f"The last turn cannot be run again: {one_line(str(problem))}.") from None
    raise Invalid("The session has no turn.")
