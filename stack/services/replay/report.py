"""Makes the report on a session that was run again."""

from __future__ import annotations

from schemas.api.session_check import VERDICTS, Difference, Report, TurnReport, Verdict


def report_of(session_id: str, turns: list[TurnReport]) -> Report:
    worst = max((VERDICTS.index(turn.verdict) for turn in turns), default=0)
    return Report(session_id=session_id, verdict=VERDICTS[worst], turns=turns)


def verdict_of(difference: Difference | None) -> Verdict:
    if difference is None:
        return "identical"
    return "equivalent" if difference.kind == "detail" else "diverged"
