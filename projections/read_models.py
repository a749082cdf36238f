"""The registry of read models. A new read model is its module, its SQL files and one line here.

The order matters: within a batch, statements run in this order, so a session's deletion runs after its turns and `log_events`,
and a benchmark's after its jobs.
"""

from __future__ import annotations

from functools import cache

from projections import (
    agent,
    benchmark,
    comparison,
    dataset,
    erasure,
    evaljob,
    log_events,
    session,
    session_list,
    tool_call,
    trainjob,
    turn,
)
from projections.warehouse.plan import Plan, ReadModel, compile_plan

# Tables of the engine itself, which every build contains.
FOLLOWING = ReadModel(name="following", tables=("progress", "failed_events"))

READ_MODELS: tuple[ReadModel, ...] = (
    FOLLOWING,
    agent.READ_MODEL,
    turn.READ_MODEL,
    tool_call.READ_MODEL,
    log_events.READ_MODEL,
    session.READ_MODEL,
    session_list.READ_MODEL,
    dataset.READ_MODEL,
    evaljob.READ_MODEL,
    trainjob.READ_MODEL,
    benchmark.READ_MODEL,
    comparison.READ_MODEL,
    erasure.READ_MODEL,
)


@cache
def current_plan() -> Plan:
    """Returns the plan of this version of the code. It is read from its files once."""
    return compile_plan(READ_MODELS)
