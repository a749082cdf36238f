"""Files of a warehouse with many turns, written without their events, and a confined process that answers SQL over them."""

from __future__ import annotations

import time
from contextlib import aclosing
from pathlib import Path

import msgspec

from projections.read_models import current_plan
from projections.telemetry_build import TelemetryBuild
from projections.user_views import past_statements, statements, user_views
from projections.warehouse.build import Build
from projections.warehouse.instance import Warehouse
from projections.warehouse.transaction import FILES
from stack.providers.sql.tasks import BODY, MODULE, REFUSED, Attach, Copy, Load, Run, Task
from stack.workers.limits import Limits
from stack.workers.process import Spec, Worker
from stack.workers.starter import Starter

STEPS_PER_TURN = 10
EVENTS_PER_TURN = 2 + 2 * STEPS_PER_TURN
TURNS_PER_SESSION = 10
_SCHEMAS = ("views.build_1", "telemetry.build_1")
_AGENTS = 100
_WAIT_S = 600.0
_MEMORY_BYTES = 3 * 2**30
_START_US = 1_790_000_000_000_000

_TURNS = """
INSERT INTO {schema}.turn_changes BY NAME
SELECT
    turn * {events} + place + 1 AS position,
    make_timestamp({start} + (turn * {events} + place) * 1000000) AS recorded_at,
    'turn-' || turn AS turn_id,
    CASE WHEN place = 0 THEN 'started' WHEN place = {events} - 1 THEN 'completed'
        WHEN place % 2 = 1 THEN 'step_started' ELSE 'step_completed' END AS change,
    'session-' || turn // {turns_per_session} AS session_id,
    CASE WHEN place = 0 OR (place % 2 = 0) THEN 'agent-' || turn % {agents} END AS agent_id,
    CASE WHEN place > 0 AND place < {events} - 1 THEN 'step-' || turn || '-' || (place - 1) // 2 END AS step_id,
    CASE WHEN place > 0 AND place < {events} - 1 THEN 'inference' END AS step_type,
    CASE WHEN place > 0 AND place < {events} - 1 THEN 'openai/model-' || turn % 5 END AS model,
    CASE WHEN place > 0 AND place < {events} - 1 AND place % 2 = 0 THEN 1000 + turn % 777 END AS input_tokens,
    CASE WHEN place > 0 AND place < {events} - 1 AND place % 2 = 0 THEN 100 + turn % 77 END AS output_tokens,
    CASE WHEN place = 0 OR (place % 2 = 0) THEN 1 END AS agent_version,
    CASE WHEN place = 0 THEN false END AS has_input_shields,
    place + 1 AS version,
    CASE WHEN place = 0 THEN '{{"session_id":"session-' || turn // {turns_per_session} || '","agent_id":"agent-' || turn % {agents}
            || '","input_messages":[{{"role":"user","content":"Question ' || turn || ': ' || repeat('words ', 10) || '"}}]}}'
        WHEN place = {events} - 1 THEN '{{"output_message":{{"content":"' || repeat('answer ', 20) || '"}}}}'
        WHEN place % 2 = 1 THEN '{{"step_id":"step-' || turn || '","step_type":"inference","attempt":1}}'
        ELSE '{{"step_id":"step-' || turn || '","output":{{"role":"assistant","content":"' || repeat('answer ', 20)
            || '","stop_reason":"end_of_turn"}},"trace":{{"lengths":[7],"delays_ms":[5]}}}}' END AS event
FROM (SELECT turn, unnest(range({events})) AS place FROM range({turns}) AS t(turn))
"""
_OTHERS = """
INSERT INTO {schema}.sessions BY NAME
SELECT
    range AS position,
    make_timestamp({start}) AS recorded_at,
    'session-' || range AS session_id,
    'agent-' || range % {agents} AS agent_id,
    'one of many' AS session_name
FROM range({turns} // {turns_per_session} + 1);
INSERT INTO {schema}.agent_changes BY NAME
SELECT
    range AS position,
    make_timestamp({start}) AS recorded_at,
    'agent-' || range AS agent_id,
    1 AS version,
    'openai/model-1' AS model,
    '{{"model":"openai/model-1"}}' AS config
FROM range({agents});
UPDATE {schema}.progress SET position = {turns} * {events}
"""


def write(folder: Path, turns: int) -> None:
    """Writes the files of a warehouse with so many turns of ten inferences each."""
    warehouse = Warehouse.open(folder, memory_bytes=2 * 10**9)
    try:
        TelemetryBuild.open(warehouse, "epoch")
        build = Build.create(warehouse, current_plan(), "epoch")
        build.become_served()
        values = {
            "schema": build.schema,
            "turns": turns,
            "events": EVENTS_PER_TURN,
            "agents": _AGENTS,
            "turns_per_session": TURNS_PER_SESSION,
            "start": _START_US,
        }
        with warehouse.write("views") as transaction:
            transaction.run(_TURNS.format(**values))
            transaction.run(_OTHERS.format(**values))
        for file in FILES:
            warehouse.checkpoint(file)
    finally:
        warehouse.close()


def _attach(folder: Path) -> Attach:
    present, past = statements(*_SCHEMAS), past_statements(*_SCHEMAS)
    return Attach(str(folder), str(folder), *_SCHEMAS, list(user_views()), present, past, _MEMORY_BYTES // 4)


class Process:
    """A confined process over copies of files that `write` has written."""

    def __init__(self) -> None:
        self._starter = Starter("benchmark")
        self._worker: Worker | None = None

    async def open(self, folder: Path, copies: Path) -> None:
        limits = Limits(memory_bytes=_MEMORY_BYTES, wait_s=_WAIT_S)
        self._worker = await self._starter.start(Spec(module=MODULE, limits=limits))
        files = {name: str(folder / f"{name}.duckdb") for name in ("views", "telemetry")}
        await self.asked(Load())
        await self.asked(Copy(files, str(copies), 0))
        await self.asked(_attach(copies))

    async def took_ms(self, run: Run) -> float:
        began = time.perf_counter()
        await self.asked(run)
        return (time.perf_counter() - began) * 1000

    async def asked(self, task: Task) -> int:
        """Returns the number of bytes of the body."""
        assert self._worker is not None
        size = 0
        async with aclosing(self._starter.frames(self._worker, msgspec.json.encode(task))) as frames:
            async for frame in frames:
                if frame.kind == REFUSED:
                    raise RuntimeError(frame.payload.decode())
                size += len(frame.payload) if frame.kind == BODY else 0
        return size

    async def close(self) -> None:
        await self._starter.aclose()
