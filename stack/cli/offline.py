"""Access to a data folder without a server: log, warehouse and engine in this process, protected by the
lock."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from msgspec import Struct

from projections.read_models import current_plan
from projections.warehouse.engine import Engine
from projections.warehouse.instance import Warehouse
from projections.warehouse.reader import HydratingReader, Reader
from stack.data_folder import DataFolder
from stack.errors import NotFound
from stack.event_log import log_place
from stack.eventstore import EventStore
from stack.log_loss import find_loss, open_log_and_views


class Offline(Struct, frozen=True):
    """The parts of an opened folder. The engine follows the log."""

    folder: Path
    store: EventStore
    warehouse: Warehouse
    engine: Engine
    reader: Reader


@contextmanager
def opened(path: Path) -> Iterator[Offline]:
    """Raises NotFound without a log, LogIncomplete if the log has lost events, FolderInUse if a server uses
    the folder."""
    require_log(path)
    folder = DataFolder(path)
    try:
        store, warehouse = open_log_and_views(folder.path)
        engine = Engine(warehouse, store.feed, current_plan())
        try:
            engine.start()
            yield Offline(folder.path, store, warehouse, engine, HydratingReader(warehouse, store.hydrate))
        finally:
            engine.stop()
            warehouse.close()
            store.close()
    finally:
        folder.close()


def require_log(path: Path) -> None:
    """Raises NotFound without a log, unless there was one."""
    if not has_log(path) and find_loss(path) is None:
        raise NotFound(f"There is no event log in {path}. Name the folder with --data.")


def has_log(path: Path) -> bool:
    return log_place(path).exists()
