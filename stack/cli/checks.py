"""The checks of `replaystack doctor`: each one reports the state of one thing and, for a problem, the
remedy."""

from __future__ import annotations

import asyncio
import os
import platform
import shutil
import socket
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal

import msgspec
from msgspec import Struct

from projections.warehouse.errors import ProjectionError
from projections.warehouse.files import copies_set_aside, database_path
from stack import log_loss
from stack.cli.offline import has_log
from stack.cli.running import server_state
from stack.cli.telemetry_log import KEPT_REMEDY, REMEDY, telemetry_log
from stack.config import ConfigError, require_safe_listener
from stack.data_folder import is_held
from stack.errors import ReplaystackError
from stack.event_log import log_place
from stack.eventstore.reports import BACKUP_REMEDY, BackupIncomplete, VerifyReport
from stack.log_loss import find_loss, view_position
from stack.providers.inference.registry import Models
from stack.providers.tools.code.sandbox_engine import sandbox_problem
from stack.settings import Settings
from stack.version import VERSION
from stack.workers.confinement import has_filters, landlock_version

LEAST_FREE_BYTES = 512 * 2**20
# Maximum size of a served log that is verified; reading more would take too long for a quick check.
MOST_VERIFIED_BYTES = 64 * 2**20
LAG_WARNING_EVENTS = 10_000
LAG_WARNING_REQUESTS = 1_000
LIBRARIES = ("duckdb", "eventsourcing", "litestar", "msgspec", "httpx2", "opentelemetry-sdk", "uvicorn")


class Check(Struct, frozen=True, omit_defaults=True):
    """The result of a check. `state` is ok, warning (worth knowing) or problem (something does not work)."""

    name: str
    state: Literal["ok", "warning", "problem"]
    detail: str
    remedy: str = ""


_STARTING = Check(
    "server",
    "warning",
    "a server is starting on this data folder, or stopping, or a command is using it",
    "Wait, and check again: the log and the read models are checked once it answers.",
)


_PARTS = {
    "tools": "Check the [[toolgroups]] table of the settings, and the server of its tools.",
    "collections": "Check the [[collections]] table of the settings, its folder, and the model of its embeddings.",
    "rerankers": "Check the [[rerank]] table of the settings, and the server of its model.",
}


def examine(settings: Settings) -> list[Check]:
    """Runs all checks. Takes at most about 2 s, plus the time to read the log of a folder without a
    server."""
    state: dict[str, Any] | None = None
    try:
        state = server_state(settings.data)
        if state is None and is_held(settings.data):
            return [_STARTING, *_data_folder(settings.data), _versions()]
        server = [_server(state)]
    except ReplaystackError as error:
        server = [Check("server", "problem", error.detail, "Stop the process, then `replaystack serve`.")]
    served = state is not None
    return [
        *server,
        *_data_folder(settings.data),
        *(_served_log(settings.data, state) if state else _offline_log(settings.data)),
        *_lost_events(settings.data),
        *(() if served else _listener(settings)),
        *_providers(state["providers"] if state else asyncio.run(_ask_providers(settings))),
        *(_parts(state) if state else ()),
        *_sandbox(settings),
        _sql(),
        *(_telemetry(state["telemetry"]) if state else _offline_telemetry(settings.data)),
        *(_ports(state) if state else ()),
        *(_tasks(state) if state else ()),
        *(_effects(state) if state else ()),
        _versions(),
    ]


def _server(state: dict[str, Any] | None) -> Check:
    if state is None:
        return Check("server", "ok", "none runs on this data folder")
    detail = f"version {state['version']}, process {state['pid']}, {state['turns']['running']} turns running"
    if state["version"] != VERSION:
        remedy = "Restart the server to run what is installed."
        return Check("server", "warning", f"{detail}; installed is {VERSION}", remedy)
    return Check("server", "ok", detail)


def _data_folder(data: Path) -> Iterator[Check]:
    if not data.exists():
        parent = next(folder for folder in data.parents if folder.exists())
        if not os.access(parent, os.W_OK | os.X_OK):
            yield Check(
                "data", "problem", f"{data} cannot be made in {parent}", "Choose another with --data."
            )
            return
        yield Check("data", "ok", f"{data} does not exist yet; the first start makes it")
        data = parent
    elif not data.is_dir() or not os.access(data, os.R_OK | os.W_OK | os.X_OK):
        remedy = f"chown or chmod it for the user {os.getuid()}, or choose another with --data."
        yield Check("data", "problem", f"{data} is not a folder that can be read and written", remedy)
        return
    elif data.stat().st_mode & 0o077:
        owner = data.stat().st_uid
        remedy = (
            f"chmod 700 {data}"
            if owner == os.geteuid()
            else f"Its owner is uid {owner}: chown it, or chmod 700."
        )
        yield Check("data", "warning", f"other users of this machine can look into {data}", remedy)
    else:
        yield Check("data", "ok", str(data))
    free = shutil.disk_usage(data).free
    summary = f"{free / 2**30:.1f} GiB free"
    if free < LEAST_FREE_BYTES:
        remedy = "Free some space: when the disk is full, requests that record something are refused."
        yield Check("space", "problem", summary, remedy)
    else:
        yield Check("space", "ok", summary)


def _verified_log(data: Path) -> tuple[Check, VerifyReport | None]:
    try:
        report = log_place(data).verify()
    except ReplaystackError as error:
        remedy = "Restore a backup (`replaystack verify` checks it)."
        return Check("log", "problem", error.detail, remedy), None
    summary = f"{report.events} events, epoch {report.epoch[:8]}"
    if report.ok:
        return Check("log", "ok", summary), report
    detail = f"{summary}; {report.problem_count} problems, the first: {report.problems[0]}"
    remedy = "`replaystack verify` lists them; restore a backup if events are missing or changed."
    return Check("log", "problem", detail, remedy), report


def _served_log(data: Path, state: dict[str, Any]) -> Iterator[Check]:
    summary, damage = (
        f"{state['log']['head']} events, epoch {state['log']['epoch'][:8]}",
        state["log"]["damage"],
    )
    if damage:
        detail = f"{summary}; damaged in {len(damage)} known places, the first: {damage[0]}"
        remedy = "`replaystack verify` lists all damage. Restore a backup."
        yield Check("log", "problem", detail, remedy)
    elif log_place(data).size_bytes() > MOST_VERIFIED_BYTES:
        yield Check("log", "ok", f"{summary}; `replaystack verify` reads all of it")
    else:
        yield _verified_log(data)[0]
    if state["log"].get("trouble"):
        remedy = "Free some space; the server then recovers by itself."
        yield Check("log", "problem", state["log"]["trouble"], remedy)
    view = state["view"]
    summary = f"at position {view['position']} of {view['head']}"
    if view["failed_events"]:
        failed = view["failed_events"][0]
        detail = f"{summary}; {len(view['failed_events'])} events could not be applied, the first is "
        detail += f"{failed['position']} ({failed['name']}): {failed['error']}"
        yield Check("view", "problem", detail, "`replaystack rebuild`; if it stays, report the error.")
    elif view["degraded"]:
        remedy = "The server keeps trying; look at its log and at the disk."
        yield Check("view", "problem", f"{summary}; {view.get('last_error') or 'degraded'}", remedy)
    elif view["rebuilding"]:
        yield Check(
            "view", "warning", f"{summary}, being rebuilt", "Wait; what is there is served meanwhile."
        )
    elif view["lag"] > LAG_WARNING_EVENTS:
        yield Check("view", "warning", f"{summary}, {view['lag']} events behind", "Wait, and check again.")
    else:
        yield Check("view", "ok", summary)


def _offline_log(data: Path) -> Iterator[Check]:
    try:
        loss = find_loss(data)
    except BackupIncomplete as error:
        yield Check("log", "problem", error.detail.removesuffix(f" {BACKUP_REMEDY}"), BACKUP_REMEDY)
        return
    except (ReplaystackError, ProjectionError):
        loss = None  # the checks below tell what is damaged
    if loss is not None:
        yield Check("log", "problem", loss.detail, log_loss.REMEDY)
        return
    if not has_log(data):
        yield Check("log", "ok", "none yet; the first start makes it")
        return
    check, report = _verified_log(data)
    yield check
    if report is None:
        return
    try:
        view = view_position(data)
    except ProjectionError as error:
        yield Check("view", "warning", str(error), "The next start sets the file aside and builds a new one.")
        return
    if view is None:
        yield Check("view", "ok", "none yet; the next start builds it from the log")
    elif view.epoch != report.epoch or view.position > report.head:
        yield Check("view", "ok", "of another copy of the log; the next start rebuilds it")
    else:
        yield Check("view", "ok", f"at position {view.position} of {report.head}")


def _lost_events(data: Path) -> Iterator[Check]:
    for loss in log_place(data).accepted_losses():
        yield Check("lost", "ok", loss)
    path = database_path(data, "views")
    for copy in copies_set_aside(path, "lost"):
        detail = f"{copy.name} is the only copy of events that the log lost"
        remedy = (
            "The next deletion of an agent, session, dataset or benchmark removes it: move it out of the folder if it "
            "is needed, delete it if not."
        )
        yield Check("set aside", "warning", detail, remedy)


def _lost_telemetry(accepted: list[str], kept_tables: list[str]) -> Iterator[Check]:
    for loss in accepted:
        yield Check("lost", "ok", f"telemetry: {loss}")
    for name in kept_tables:
        detail = f"tables {name} of telemetry.duckdb hold telemetry that the log lost"
        yield Check("kept tables", "warning", detail, KEPT_REMEDY)


def _listener(settings: Settings) -> Iterator[Check]:
    try:
        require_safe_listener(settings)
    except ConfigError as error:
        yield Check("exposure", "problem", str(error), "Set a key, or listen on 127.0.0.1.")
    where = f"{settings.host}:{settings.port}"
    try:
        family, kind, _, _, address = socket.getaddrinfo(
            settings.host or None, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with socket.socket(family, kind) as listener:
            # Like the server: a port whose last connections are in TIME_WAIT is free.
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
        yield Check("port", "ok", f"{where} is free")
    except OSError as error:
        remedy = "Choose another with --port (0 takes a free one), or stop what uses it."
        yield Check("port", "problem", f"{where} cannot be listened on: {error.strerror}", remedy)


async def _ask_providers(settings: Settings) -> Any:
    models = Models(
        settings.inference,
        openai_base_url=settings.openai_base_url or None,
        openai_api_key=settings.openai_api_key or None,
        discovery=settings.discover_models,
    )
    try:
        return msgspec.to_builtins(await models.state())
    finally:
        await models.aclose()


def _providers(providers: list[dict[str, Any]]) -> Iterator[Check]:
    for provider in providers:
        name = f"models: {provider['id']}"
        where = provider["base_url"] or "embedded"
        if provider["reachable"]:
            yield Check(name, "ok", f"{where}, models: {provider['models']}")
        else:
            remedy = "Start that server, or correct its base_url and api_key in the settings."
            yield Check(name, "problem", provider["detail"] or f"{where} does not answer", remedy)
    if all(provider["id"] == "demo" for provider in providers):
        remedy = "Set OPENAI_BASE_URL, or start a model server on this machine."
        yield Check("models", "warning", "there is only the lexical demo, no language model", remedy)


def _sandbox(settings: Settings) -> Iterator[Check]:
    """Checks the sandbox of the code interpreter by using it."""
    for group in settings.toolgroups:
        if group.engine == "sandbox" and group.python:
            reason, remedy = sandbox_problem(group.python)
            if reason:
                yield Check(group.id, "problem", reason, remedy)
            else:
                yield Check(group.id, "ok", f"the sandbox works, with {group.python}")


def _sql() -> Check:
    """Reports what of the confinement of SQL this kernel has."""
    version = landlock_version()
    files = f"Landlock {version}" if version else "no Landlock"
    calls = "a filter of system calls" if has_filters() else "no filter of system calls"
    detail = f"processes that run SQL of users have limits of memory and time, {files}, and {calls}"
    if has_filters():
        return Check("sql", "ok", detail)
    remedy = (
        "Without the filter only DuckDB's own lock keeps SQL from files. Give keys to trusted callers only."
    )
    return Check("sql", "warning", detail, remedy)


def _parts(state: dict[str, Any]) -> Iterator[Check]:
    # A server of an earlier release does not report all of them.
    for name, remedy in _PARTS.items():
        for problem in state.get(name, {}).get("problems", ()):
            yield Check(name, "warning", problem, remedy)


def _telemetry(state: dict[str, Any]) -> Iterator[Check]:
    kept, behind = state["head"] - state["first"] + 1, state["head"] - state["position"]
    summary = f"{kept} requests in {state['bytes'] / 2**20:.1f} MiB, from position {state['first']} on"
    if state["damage"]:
        detail = f"{summary}; {state['damage_count']} damages, the first: {state['damage'][0]}"
        yield Check("telemetry", "problem", detail, REMEDY)
    elif state["trouble"]:
        remedy = "The server keeps trying; look at its log and at the disk."
        yield Check("telemetry", "problem", f"{summary}; {state['trouble']}", remedy)
    elif behind > LAG_WARNING_REQUESTS:
        yield Check(
            "telemetry", "warning", f"{summary}; the tables are {behind} behind", "Wait, and check again."
        )
    else:
        yield Check("telemetry", "ok", summary)
    yield from _lost_telemetry(state["accepted"], state["kept_tables"])
    if state["retention"]:
        yield Check("clock", "warning", state["retention"], "Set the clock if it is wrong.")


def _offline_telemetry(data: Path) -> Iterator[Check]:
    try:
        found = telemetry_log(data, None)
    except OSError as error:
        yield Check("telemetry", "problem", f"the log cannot be read: {error}", "Look at the disk.")
        return
    if found is None:
        return
    if found.problems:
        detail = f"{found.summary}; {len(found.problems)} damages, the first: {found.problems[0]}"
        yield Check("telemetry", "problem", detail, REMEDY)
    else:
        yield Check("telemetry", "ok", found.summary)
    yield from _lost_telemetry(found.accepted, found.kept_tables)


def _ports(state: dict[str, Any]) -> Iterator[Check]:
    for port in state["ports"]:
        if not port["is_open"] and port["problem"]:
            detail = f"port {port['number']} is not open for {port['serves']}: {port['problem']}"
            remedy = f"Free it or choose another with {port['setting']} (0 for none); raise `ulimit -n` if files ran out."
            yield Check(port["setting"], "warning", detail, remedy)


def _tasks(state: dict[str, Any]) -> Iterator[Check]:
    failed = [task for task in state["tasks"] if task["state"] == "failed"]
    for task in failed:
        remedy = "Look at the server's log; restart the server if it stays."
        yield Check(f"task: {task['name']}", "problem", task["detail"], remedy)


def _effects(state: dict[str, Any]) -> Iterator[Check]:
    unknown = state.get("effects", {}).get("unknown", 0)
    if unknown:
        number = "1 call of a tool has" if unknown == 1 else f"{unknown} calls of tools have"
        remedy = (
            "GET /v1alpha/effects?status=unknown lists them; POST /v1alpha/effects/{key} settles one: done or failed "
            "with its result, or retry."
        )
        yield Check("effects", "warning", f"{number} an unknown outcome after a crash or a timeout", remedy)


def _versions() -> Check:
    found = []
    for library in LIBRARIES:
        try:
            found.append(f"{library} {version(library)}")
        except PackageNotFoundError:
            return Check("versions", "problem", f"{library} is not installed", "Install replaystack again.")
    python = f"Python {platform.python_version()}, replaystack {VERSION}, {', '.join(found)}"
    return Check("versions", "ok", python)
