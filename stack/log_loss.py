"""Opens the log and the read models of a data folder, and refuses if the log has provably lost events.

The read models follow the log and are never ahead of it. If their position is after the log's end, or if
there are other files of a server but no log, acknowledged events were lost: part of `events.sqlite` or of its
write-ahead log was truncated, emptied or deleted. Starting anyway would rebuild the read models, the only
copy of what was lost.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

from msgspec import Struct

from projections.warehouse.build import ViewPosition, recorded_position
from projections.warehouse.files import copies_set_aside, database_path, set_aside
from projections.warehouse.instance import MEMORY_BYTES, Warehouse
from stack.errors import ReplaystackError
from stack.event_log import log_place, open_store
from stack.eventstore import EventStore
from stack.eventstore.port import LogEnd

_log = logging.getLogger(__name__)

REMEDY = (
    "Serve a backup with --data, or put its files into this folder after moving the old events.sqlite* files away. If "
    "there is no backup, `replaystack serve --accept-loss` continues with the events that are left: it sets the read "
    "models aside as views.duckdb.lost-*, which is the only copy of what was lost, and builds new ones."
)


class LogIncomplete(ReplaystackError):
    """The log has lost acknowledged events."""

    status, title = 500, "Event log incomplete"


class Loss(Struct, frozen=True):
    """`head` is the last position of the log, None without a log; `views` the position of the read models,
    None if only other files prove the loss; `unread` the number of damaged transactions after `head`."""

    folder: str
    head: int | None
    views: int | None
    proof: str
    unread: int = 0

    @property
    def detail(self) -> str:
        if self.head is None:
            held = f", and the read models hold its events up to position {self.views}" if self.views else ""
            return f"The event log {log_place(Path(self.folder)).name} of {self.folder} is missing or empty: {self.proof} proves that there was one{held}."
        if self.views is None:
            return (
                f"The event log of {self.folder} ends at position {self.head}, where its write-ahead log {self.proof} is "
                f"damaged: at least {self.unread} acknowledged writes follow there that cannot be read."
            )
        lost = (
            f"event {self.views}"
            if self.views == self.head + 1
            else f"events {self.head + 1} to {self.views}"
        )
        return (
            f"The event log of {self.folder} ends at position {self.head}, and its read models hold its events up to "
            f"position {self.views}: {lost} were acknowledged and are lost."
        )


def find_loss(folder: Path) -> Loss | None:
    """Examines a folder without a server and changes nothing in it. Raises BackupIncomplete, Unavailable for
    a log that cannot be read, and ProjectionError for read models that cannot be opened."""
    log = log_place(folder)
    log.require_complete()
    end = log.end()
    if end is None:
        return _missing_log(folder)
    views = view_position(folder)
    return _shorter_log(folder, end, views)


def open_log_and_views(
    folder: Path, *, memory_bytes: int = MEMORY_BYTES, accept_loss: bool = False
) -> tuple[EventStore, Warehouse]:
    """Raises LogIncomplete if the log lost events, unless that is accepted: then the read models are set
    aside, and the log continues as another copy, with a new epoch. Raises BackupIncomplete, unless that is
    accepted, and Unavailable and ProjectionError."""
    log = log_place(folder)
    if not accept_loss:
        log.require_complete()
    end = log.end()
    if end is None:
        loss = _missing_log(folder)
        if loss is not None:
            _accept_or_refuse(loss, accept_loss)
            log.make_another_copy(loss.views or 0)
        # The log first: without it, the files of the read models would prove a loss after a crash.
        return _open_log(folder), Warehouse.open(folder, memory_bytes=memory_bytes)
    log.require_room()
    warehouse = Warehouse.open(folder, memory_bytes=memory_bytes)
    try:
        loss = _shorter_log(folder, end, recorded_position(warehouse))
        if loss is not None:
            warehouse.close()
            _accept_or_refuse(loss, accept_loss)
            log.make_another_copy(loss.views or 0)
            warehouse = Warehouse.open(folder, memory_bytes=memory_bytes)
        return _open_log(folder), warehouse
    except BaseException:
        warehouse.close()
        raise


def _open_log(folder: Path) -> EventStore:
    # Events that the log has lost may still be named by the read models that were set aside.
    lost = copies_set_aside(database_path(folder, "views"), "lost")
    return open_store(folder, keep_unnamed_blobs=bool(lost))


def _accept_or_refuse(loss: Loss, accept: bool) -> None:
    if not accept:
        raise LogIncomplete(f"{loss.detail} {REMEDY}")
    path = database_path(Path(loss.folder), "views")
    aside = set_aside(path, "lost") if path.exists() else None
    where = f" The read models were set aside as {aside.name}." if aside else ""
    _log.warning("%s The loss was accepted.%s", loss.detail, where)


def _missing_log(folder: Path) -> Loss | None:
    proof = next(_proofs_of_a_log(folder), None)
    if proof is None:
        return None
    views = view_position(folder)
    return Loss(str(folder), None, views.position if views else None, proof)


def _shorter_log(folder: Path, end: LogEnd, views: ViewPosition | None) -> Loss | None:
    if views is not None and views.epoch == end.epoch and views.position > end.head:
        return Loss(str(folder), end.head, views.position, "views.duckdb")
    if end.unread:
        return Loss(str(folder), end.head, None, log_place(folder).unmerged, end.unread)
    return None


def _proofs_of_a_log(folder: Path) -> Iterator[str]:
    """Yields files that a server creates after its log."""
    for pattern in (
        "views.duckdb*",
        log_place(folder).unmerged,
        "telemetry.duckdb*",
        "blobs/??/*",
        "telemetry/*.otlp",
    ):
        for found in folder.glob(pattern):
            if found.stat().st_size:
                yield found.relative_to(folder).as_posix()


def view_position(folder: Path) -> ViewPosition | None:
    """Returns the position of the read models of a folder without a server; None if there are none. Changes
    nothing."""
    if not database_path(folder, "views").is_file():
        return None
    warehouse = Warehouse.open(folder)
    try:
        return recorded_position(warehouse)
    finally:
        warehouse.close()
