"""The result of running a recorded session again."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from stack.services.replay.comparison import Difference

Verdict = Literal["identical", "equivalent", "diverged", "unreplayable"]
VERDICTS: tuple[Verdict, ...] = ("identical", "equivalent", "diverged", "unreplayable")
"""From the best to the worst; the index is the exit code of the command."""


class TurnReport(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`number` counts the turns of the session from 1. `difference` is the first one, `version` the number of its event in
    the stream of the turn, and `position` that in the log (0 after the last event). `reason` says why the turn cannot be
    run again."""

    turn_id: str
    number: int
    verdict: Verdict
    events: int = 0
    difference: Difference | None = None
    version: int = 0
    position: int = 0
    reason: str = ""


class Report(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`verdict` is the worst of its turns."""

    session_id: str
    verdict: Verdict
    turns: list[TurnReport]

    @property
    def exit_code(self) -> int:
        return VERDICTS.index(self.verdict)

    @property
    def first(self) -> TurnReport | None:
        """The first turn with the verdict of the session, unless it is identical."""
        if self.verdict == "identical":
            return None
        return next(turn for turn in self.turns if turn.verdict == self.verdict)


def report_of(session_id: str, turns: list[TurnReport]) -> Report:
    worst = max((VERDICTS.index(turn.verdict) for turn in turns), default=0)
    return Report(session_id=session_id, verdict=VERDICTS[worst], turns=turns)


def verdict_of(difference: Difference | None) -> Verdict:
    if difference is None:
        return "identical"
    return "equivalent" if difference.kind == "detail" else "diverged"
