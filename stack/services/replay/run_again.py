"""Runs a recorded session with changes, or against a live model, and reports how it differs from its record."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from msgspec import Struct

from schemas.api.session_check import Report, TurnReport
from schemas.events.base import Event
from schemas.events.turn import TurnCompleted
from stack.services.replay.recorded_parts import Unreplayable
from stack.services.replay.replayed_turn import of_operator
from stack.services.replay.report import report_of
from stack.services.replay.rerun import Outside, Rerun, RerunTurn, Scenario
from stack.services.replay.run_comparison import Compared, Rules, compare_runs
from stack.services.replay.session_record import SessionRecord

Judge = Callable[[str, str], Awaitable[bool]]
"""Returns whether two answers say the same. Raises ReplaystackError."""


class Run(Struct, frozen=True, kw_only=True):
    """A report, and the events of the turns that were run, by id."""

    report: Report
    turns: dict[str, list[Event]]


async def run_again(
    record: SessionRecord, scenario: Scenario, outside: Outside, rules: Rules, judge: Judge | None = None
) -> Run:
    """Runs each turn with its recorded input. Differences of an accepted class leave the verdict equivalent; a turn
    after one that ended because a result is missing is not run. `judge` compares the answers if the tolerance says so.
    Raises ReplaystackError of a live model."""
    rerun = Rerun(record, scenario, outside, rules.tolerance)
    try:
        run = await rerun.run()
    except Unreplayable as problem:
        first = next(iter(record.turns))
        reason = f"The session cannot be run again: {problem}."
        report = TurnReport(turn_id=first, number=1, verdict="unreplayable", reason=reason)
        return Run(report=report_of(record.session_id, [report]), turns={})
    reports = []
    for number, turn_id in enumerate(run, 1):
        report = _report(record, turn_id, number, run[turn_id], rules)
        if judge is not None and report.verdict != "diverged":
            report = await _judged(record, report, run[turn_id], judge)
        reports.append(report)
    events = {turn_id: turn.events for turn_id, turn in run.items()}
    return Run(report=report_of(record.session_id, reports), turns=events)


def _report(record: SessionRecord, turn_id: str, number: int, turn: RerunTurn, rules: Rules) -> TurnReport:
    recorded = record.turns[turn_id]
    events = [one.event for one in recorded]
    left_out = of_operator(events)
    own = [(index, event) for index, event in enumerate(events) if index not in left_out]
    compared: Compared = compare_runs(own, turn.events, rules)
    difference = compared.divergence or compared.accepted
    at = recorded[difference.index] if difference and difference.index < len(recorded) else None
    verdict = "diverged" if compared.divergence else "equivalent" if compared.accepted else "identical"
    if rules.actions_only and verdict == "identical":
        verdict = "equivalent"
    reason = ""
    if turn.missing is not None:
        reason = f"No result is recorded for {turn.missing.tool_name}({turn.missing.arguments[:500]})."
    return TurnReport(
        turn_id=turn_id,
        number=number,
        verdict=verdict,  # type: ignore[arg-type]
        events=len(turn.events),
        difference=difference,
        version=at.version if at else 0,
        position=at.position if at else 0,
        reason=reason,
    )


async def _judged(record: SessionRecord, report: TurnReport, turn: RerunTurn, judge: Judge) -> TurnReport:
    before, now = _answer([one.event for one in record.turns[report.turn_id]]), _answer(turn.events)
    if before == now or await judge(before, now):
        return report
    return TurnReport(
        turn_id=report.turn_id,
        number=report.number,
        verdict="diverged",
        events=report.events,
        difference=report.difference,
        reason="The answer does not say the same, in the judgement of the model.",
    )


def _answer(events: Sequence[Event]) -> str:
    for event in reversed(events):
        if isinstance(event, TurnCompleted):
            content = event.output_message.content
            return content if isinstance(content, str) else ""
    return ""
