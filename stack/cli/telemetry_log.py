"""The reports of `verify` and `doctor` about the telemetry log of a data folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from msgspec import Struct, field

from projections.telemetry_build import TablesState, TelemetryBuild
from projections.warehouse.errors import ProjectionError
from projections.warehouse.files import database_path
from projections.warehouse.instance import Warehouse
from telemetry.log.accepted import descriptions
from telemetry.log.log_check import check
from telemetry.log.log_files import EPOCH

REMEDY = (
    "What is whole is served, and what the tables hold is kept; the damaged bytes are in telemetry/*.damaged. Serve a "
    "backup with --data if the lost requests are needed. If there is none, `replaystack serve --accept-loss` accepts the "
    "loss: it is still reported, but no longer as a problem."
)
KEPT_REMEDY = (
    "The next deletion of an agent, session, dataset or benchmark drops them: copy telemetry.duckdb first if they are "
    "needed. `replaystack serve --drop-kept-tables` drops them at once."
)


class TelemetryLogState(Struct, frozen=True):
    """`summary` is a text for people; `problems` are in order. `accepted` holds losses that were accepted
    earlier, which are not problems. `kept_tables` names old tables that hold data which the log has lost."""

    summary: str = field(name="told")
    """The name in JSON is that of earlier releases."""
    requests: int
    head: int
    problems: list[str]
    accepted: list[str]
    kept_tables: list[str]


def telemetry_log(data: Path, served: dict[str, Any] | None) -> TelemetryLogState | None:
    """Reads the whole telemetry log; returns None if there is none. `served` is the state of the server on
    this folder, which knows more; without a server, the state of the tables is read from disk. Raises
    OSError."""
    folder = data / "telemetry"
    tables = TablesState() if served is not None else _tables(data)
    if not folder.is_dir() and not tables.position:
        return None
    epoch = folder / EPOCH
    own = epoch.read_text(errors="replace").strip() if epoch.is_file() else ""
    report = check(folder, tables.position if own in ("", tables.epoch) else 0)
    problems = [f"telemetry: {damage}" for damage in report.damages]
    for damage in served["telemetry"]["damage"] if served is not None else ():
        if f"telemetry: {damage}" not in problems:
            problems.append(f"telemetry: {damage}")
    if tables.epoch and not own:
        problems.append(
            "telemetry: the log has lost its epoch file; the next start takes the one of the tables"
        )
    summary = (
        f"{report.requests} requests in {report.files} files with {report.bytes} bytes, head {report.head}"
    )
    kept = list(tables.kept) if served is None else served["telemetry"]["kept_tables"]
    accepted = descriptions(report.accepted)
    return TelemetryLogState(summary, report.requests, report.head, problems, accepted, kept)


def _tables(data: Path) -> TablesState:
    if not database_path(data, "telemetry").is_file():
        return TablesState()
    try:
        warehouse = Warehouse.open(data)
    except ProjectionError:
        return TablesState()
    try:
        return TelemetryBuild.state(warehouse)
    except ProjectionError:
        return TablesState()
    finally:
        warehouse.close()
