"""Puts the service of SQL together by the settings, for a server and for the files of a folder without one."""

from __future__ import annotations

from pathlib import Path

from projections.warehouse.engine import Engine
from projections.warehouse.instance import Warehouse
from stack.eventstore import EventStore
from stack.services.sql.sql import SqlLimits, SqlService, TelemetryHead
from stack.services.sql.sql_workers import SqlWorkers
from stack.settings import Settings


def sql_service(
    settings: Settings,
    folder: Path,
    warehouse: Warehouse,
    store: EventStore,
    engine: Engine,
    telemetry_head: TelemetryHead,
) -> SqlService:
    workers = SqlWorkers(
        folder, warehouse, settings.sql_memory_bytes, settings.sql_timeout_s, settings.prices
    )
    return SqlService(workers, store, engine, telemetry_head, _limits(settings))


def _limits(settings: Settings) -> SqlLimits:
    return SqlLimits(
        timeout_s=settings.sql_timeout_s,
        memory_bytes=settings.sql_memory_bytes,
        max_rows=settings.sql_max_rows,
        max_bytes=settings.sql_max_bytes,
        queries=settings.sql_queries,
        waiting=settings.sql_waiting,
    )
