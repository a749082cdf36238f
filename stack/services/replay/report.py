"""Makes the report on a session that was run again."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from schemas.api.session_check import VERDICTS, Difference, Report, TurnReport, Verdict
from schemas.events.base import Event
from stack.eventstore import Recorded


class Run(Struct, frozen=True, kw_only=True):
    """A report, and the events of the turns that were run, by id."""

    report: Report
    turns: dict[str, list[Event]]


def report_of(session_id: str, turns: list[TurnReport]) -> Report:
    worst = max((VERDICTS.index(turn.verdict) for turn in turns), default=0)
    return Report(session_id=session_id, verdict=VERDICTS[worst], turns=turns)


def turn_report(
    place: tuple[int, str],
    verdict: Verdict,
    events: int,
    difference: Difference | None,
    recorded: Sequence[Recorded],
    reason: str = "",
) -> TurnReport:
    """`place` is the number and the id of the turn, `recorded` are its events, in which the difference has its index."""
    number, turn_id = place
    at = recorded[difference.index] if difference and difference.index < len(recorded) else None
    return TurnReport(
        turn_id=turn_id,
        number=number,
        verdict=verdict,
        events=events,
        difference=difference,
        version=at.version if at else 0,
        position=at.position if at else 0,
        reason=reason,
    )


def verdict_of(difference: Difference | None) -> Verdict:
    if difference is None:
        return "identical"
    return "equivalent" if difference.kind == "detail" else "diverged"
