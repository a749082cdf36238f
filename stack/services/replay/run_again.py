"""Runs a recorded session with changes, or against a live model, and reports how it differs from its record."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable

from msgspec.structs import replace

from schemas.api.session_check import TurnReport, Verdict
from schemas.events.base import Event
from schemas.events.payload import TurnError
from schemas.events.turn import TurnCompleted, TurnFailed
from stack.services.replay.recorded_parts import Unreplayable
from stack.services.replay.replayed_turn import own_events
from stack.services.replay.report import Run, report_of, turn_report
from stack.services.replay.rerun import Outside, Rerun, RerunTurn, Scenario
from stack.services.replay.run_comparison import Rules, compare_runs
from stack.services.replay.session_record import SessionRecord

Judge = Callable[[str, str], Awaitable[bool]]
"""Returns whether two answers say the same. Raises ReplaystackError."""


async def run_again(
    record: SessionRecord, scenario: Scenario, outside: Outside, rules: Rules, judge: Judge | None = None
) -> Run:
    """Runs each turn with its recorded input. Differences of an accepted class leave the verdict equivalent; a turn
    after one that ended because a result is missing is not run. `judge` compares the answers if the tolerance says so,
    and raises its errors; a failure of a live model fails its turn."""
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
    compared = compare_runs(own_events(recorded), turn.events, rules)
    difference = compared.divergence or compared.accepted
    verdict: Verdict = "identical"
    if compared.divergence:
        verdict = "diverged"
    elif compared.accepted or rules.actions_only:
        verdict = "equivalent"
    reason = ""
    if turn.missing is not None:
        reason = f"No result is recorded for {turn.missing.tool_name}({turn.missing.arguments[:500]})."
    return turn_report((number, turn_id), verdict, len(turn.events), difference, recorded, reason)


async def _judged(record: SessionRecord, report: TurnReport, turn: RerunTurn, judge: Judge) -> TurnReport:
    before = answer_in(one.event for one in record.turns[report.turn_id])
    now = answer_in(turn.events)
    if before == now or await judge(before, now):
        return report
    return replace(
        report,
        verdict="diverged",
        reason="The answer does not say the same, in the judgement of the model.",
    )


def answer_in(events: Iterable[Event]) -> str:
    """Returns the text of the last answer of completed turns with these events, "" if there is none."""
    outputs = [event.output_message.content for event in events if isinstance(event, TurnCompleted)]
    return outputs[-1] if outputs and isinstance(outputs[-1], str) else ""


def live_failure(record: SessionRecord, run: Run) -> TurnError | None:
    """Returns the error of the first turn that failed and whose record did not: that of a live model."""
    for turn_id, events in run.turns.items():
        failed = _failure(events)
        if failed is not None and _failure(one.event for one in record.turns[turn_id]) is None:
            return failed
    return None


def _failure(events: Iterable[Event]) -> TurnError | None:
    return next((event.error for event in events if isinstance(event, TurnFailed)), None)
