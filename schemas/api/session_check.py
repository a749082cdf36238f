"""The result of running a recorded session again (not part of the Llama Stack specification)."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

Kind = Literal["request", "tool set", "tool arguments", "approval", "shield", "limit", "answer", "detail"]
"""The class of a difference. A detail does not diverge: it changes nothing that is said or done, such as the size of a
chunk."""


class Difference(Struct, frozen=True, kw_only=True):
    """`index` is that of the first event that differs, in the record of the turn (after the last one if there are too few).
    `recorded` and `replayed` show both for people; empty if there is none."""

    kind: Kind
    index: int
    event: str
    recorded: str
    replayed: str


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
