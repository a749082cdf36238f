"""Computes the aggregated results of a job from the score rows in its stream."""

from __future__ import annotations

from typing import Any

from projections import wire
from schemas.events.evaljob import EvalJobRowEvaluated, EvalJobScheduled
from stack.eventstore import StreamReader
from stack.off_loop import off_loop_if
from stack.services.scoring.scoring import Scoring

PAGE_EVENTS = 1_000
# Aggregating more than this many rows runs in a thread.
FEW_ROWS = 1_000


async def aggregates_of(
    store: StreamReader, stream: str, scheduled: EvalJobScheduled, scoring: Scoring
) -> dict[str, dict[str, Any]]:
    """Returns the aggregates of each function over the evaluated rows, in row order. Holds all score rows in
    memory for this time, some hundred bytes each."""
    rows: dict[int, dict[str, dict[str, Any]]] = {}
    version = 0
    while page := await store.read_stream(stream, version, version + PAGE_EVENTS):
        version = page[-1].version
        for recorded in page:
            if isinstance(recorded.event, EvalJobRowEvaluated):
                rows[recorded.event.row] = recorded.event.scores
    return await off_loop_if(len(rows) > FEW_ROWS, _aggregated, scheduled, rows, scoring)


def _aggregated(
    scheduled: EvalJobScheduled, rows: dict[int, dict[str, dict[str, Any]]], scoring: Scoring
) -> dict[str, dict[str, Any]]:
    stored = scheduled.config.scoring_params or {}
    params = {name: wire.scoring_params(one) for name, one in stored.items()}
    ordered = [rows[number] for number in sorted(rows)]
    return {
        name: scoring.aggregate(name, params.get(name), [scores[name] for scores in ordered])
        for name in scheduled.scoring_functions
    }
