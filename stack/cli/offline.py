"""Work on a data folder that no server uses: log, warehouse and engine in this process, under the lock."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from msgspec import Struct

from projections.build import Build
from projections.engine import Engine
from projections.files import database_path
from projections.reader import HydratingReader, Reader
from projections.warehouse import Warehouse
from stack.data_folder import DataFolder
from stack.errors import NotFound
from stack.eventstore import EventStore
from stack.eventstore.sqlite_schema import FILE_NAME


class Offline(Struct, frozen=True):
    """The parts of an opened folder. The engine follows the log."""

    store: EventStore
    engine: Engine
    reader: Reader


class ViewPosition(Struct, frozen=True):
    """Up to where the read models on disk hold the log, and of which copy of it."""

    position: int
    epoch: str
    schema_hash: str


@contextmanager
def opened(path: Path) -> Iterator[Offline]:
    """Raises NotFound without a log, FolderInUse while a server has the folder."""
    if not has_log(path):
        raise NotFound(f"There is no event log in {path}. Name the folder with --data.")
    folder = DataFolder(path)
    try:
        store = EventStore.open(folder.path)
        try:
            warehouse = Warehouse.open(folder.path)
            engine = Engine(warehouse, store.feed)
            try:
                engine.start()
                yield Offline(store, engine, HydratingReader(warehouse, store.hydrate))
            finally:
                engine.stop()
                warehouse.close()
        finally:
            store.close()
    finally:
        folder.close()


def has_log(path: Path) -> bool:
    return (path / FILE_NAME).is_file()


def view_position(path: Path) -> ViewPosition | None:
    """Where the read models of a folder that is not served stand; None when there are none. Changes nothing."""
    if not database_path(path, "views").is_file():
        return None
    warehouse = Warehouse.open(path)
    try:
        build = Build.served(warehouse)
        return None if build is None else ViewPosition(build.position, build.epoch, build.plan.hash)
    finally:
        warehouse.close()
