"""The only owner of DuckDB handles: one locked instance with two files, `views` and `telemetry`.

Reads run named queries on the served build; writes are transactions of one file. The handle itself never
leaves this module.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import duckdb
from msgspec import Struct

from projections.warehouse import files
from projections.warehouse.attachment import FULL_BYTES, attach, attach_again, attachment, quoted
from projections.warehouse.errors import StorageFailed, ViewBehind
from projections.warehouse.fresh_file import FreshFile
from projections.warehouse.reader import Row
from projections.warehouse.readers import Readers, Served
from projections.warehouse.sealed_files import FOLDER, SealedFiles, Users, attach_sealed
from projections.warehouse.snapshot import Snapshot
from projections.warehouse.transaction import FILES, File, Transaction, Writer, checkpoint, translated

_log = logging.getLogger(__name__)

# Automatic checkpoints are configured for all files of an instance together; telemetry needs few, large ones.
CHECKPOINT_BYTES = "256MB"
# Limits DuckDB's buffers, so that any rebuild uses little memory. It is not a limit on all memory. Servers
# have a setting.
MEMORY_BYTES = 192_000_000
# The share of the memory for a new file that is filled from the log next to the current one: a process that
# serves a million events then takes at most 255 MB, and 415 MB with all of 512 MB; filling takes 5 % more
# CPU.
FRESH_SHARE = 4
# With more free space than this, tables that were built in memory are moved back to their file.
ROOM_BYTES = 12 << 20

# The file name endings that a database may open.
_ENDINGS = ("", ".wal", ".wal.checkpoint", ".wal.recovery")
_ATTACHED_LATER = (files.database_path, files.next_path)


class Copyable(Struct, frozen=True):
    """A file of the warehouse that can be copied, with its `.wal`: the schema that it serves, such as `views.build_3`,
    and the position that is committed in it."""

    path: Path
    schema: str
    position: int


class Warehouse:
    """One warehouse per process. Reading is thread-safe; one transaction per file is open at a time."""

    def __init__(self, folder: Path, *, memory_bytes: int, threads: int) -> None:
        self._folder = folder
        self._memory_bytes = memory_bytes
        self._settings: dict[str, str | int | float | list[str]] = {
            "threads": threads,
            "memory_limit": _mebibytes(memory_bytes),
            "temp_directory": str(folder / "spill"),
            "max_temp_directory_size": "4GB",
            "checkpoint_threshold": CHECKPOINT_BYTES,
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
            "python_enable_replacements": False,
        }
        self._users = Users()
        self._readers = Readers(self._users)
        self._sealing = threading.Lock()
        self._reopening = threading.Lock()
        self._in_memory: frozenset[File] = frozenset()
        self._connect()

    @classmethod
    def open(cls, folder: Path, *, memory_bytes: int = MEMORY_BYTES, threads: int = 1) -> Warehouse:
        """Opens `<folder>/views.duckdb` and `<folder>/telemetry.duckdb`, creating missing files. A file that
        is not a database is set aside. Raises StorageFailed.

        `threads` share one statement; readers run concurrently anyway. With two, small statements take 10 %
        more CPU (2.2 ms instead of 1.9 ms, a rebuild 12 s instead of 10.7 s).
        """
        folder.mkdir(parents=True, exist_ok=True)
        left = [file for file in (folder / "spill").glob("*") if file.is_file()]
        warehouse = cls(folder, memory_bytes=memory_bytes, threads=threads)
        # Temporary and unfinished files of a killed process. The files belong to this process by now.
        for file in left:
            file.unlink(missing_ok=True)
        for name in FILES:
            FreshFile.remove_leftovers(folder, name)
        return warehouse

    # --- reading -----------------------------------------------------------------------------------------

    def read(self, query: str, params: Mapping[str, Any]) -> list[Row]:
        """Returns the rows of the query in `sql/queries/<query>.sql`. Blocks; thread-safe.

        Raises ViewBehind while no build is served, or while the served build does not support this query.
        """
        return self._readers.read("views", query, params)

    def snapshot(self) -> AbstractContextManager[Snapshot]:
        """Returns a consistent snapshot of telemetry, for several related statements. Blocks; thread-safe.
        Raises ViewBehind while no telemetry is served, or if its file failed."""
        return self._readers.snapshot("telemetry")

    def failure_of(self, file: File) -> StorageFailed | None:
        """Returns the failure that reads have found since the files were opened; the file's follower reopens
        them."""
        return self._readers.failures.get(file)

    @contextmanager
    def copying(self) -> Iterator[dict[File, Copyable]]:
        """Within the block another process can copy the files: they are not replaced, and not checkpointed by
        this process. (DuckDB checkpoints by itself after 256 MB: then the copy cannot be opened, or is older, and has to
        be repeated.) This process must not open the files: closing them would release DuckDB's locks. Blocks.
        Raises ViewBehind while one of the files cannot be read."""
        with ExitStack() as held:
            found: dict[File, Copyable] = {}
            for file in FILES:
                held.enter_context(self._readers.entered(file))
                held.enter_context(self._writers[file].without_checkpoints())
                if file in self._in_memory:
                    raise ViewBehind(f"The {file} are kept in memory: the disk is full.")
                schema, position = self._readers.progress(file)
                found[file] = Copyable(files.database_path(self._folder, file), schema, position)
            yield found

    def hydrate(self, content: bytes) -> bytes:
        """Returns the content unchanged: a warehouse that is read directly shows blob markers."""
        return content

    def serve(self, file: File, served: Served | None, reason: str = "") -> None:
        """Directs reads of the file to `served`; None refuses them with `reason`."""
        self._readers.serve(file, served, reason)

    # --- writing -----------------------------------------------------------------------------------------

    def write(self, file: File = "views") -> AbstractContextManager[Transaction]:
        """Starts a transaction of one file: committed at the end of the block, rolled back if it raises.
        Raises StatementRefused, StorageFailed."""
        self._readers.refuse_unless_open()
        return self._writers[file].transaction()

    def write_concurrently(self, file: File) -> AbstractContextManager[Transaction]:
        """Starts a second transaction of the file, for long work on other rows than those of `write`."""
        self._readers.refuse_unless_open()
        return self._concurrent[file].transaction()

    def checkpoint(self, file: File, *, due_bytes: int = 0) -> None:
        """Writes the log of the file back to it, if it has at least `due_bytes`. One that is due for its size is
        left to a later call while the file is being copied."""
        if due_bytes and not self._writers[file].can_checkpoint:
            return
        if files.wal_bytes(files.database_path(self._folder, file)) >= due_bytes:
            self._writers[file].checkpoint()

    # --- sealed files ------------------------------------------------------------------------------------

    @contextmanager
    def sealing(self) -> Iterator[SealedFiles]:
        """Within the block only the caller decides which sealed files there are. Blocks. Raises ViewBehind
        while the files are being opened again."""
        with self._sealing:
            self._readers.refuse_unless_open()
            is_copied = files.next_path(self._folder, "telemetry").exists()
            can_change = not is_copied and "telemetry" not in self._in_memory
            yield SealedFiles(self._folder, self, self._users, can_change=can_change)

    def attach_sealed(self, numbers: Collection[int]) -> None:
        """Attaches sealed files. Raises FileDamaged if one is missing or cannot be read."""
        cursor = self.sealed_cursor()
        try:
            with translated():
                attach_sealed(cursor, self._folder, numbers)
        finally:
            cursor.close()

    def keeping_sealed(self) -> AbstractContextManager[None]:
        """Within the block no sealed file is removed that the tables named when it was entered."""
        return self._users.entered()

    @property
    def sealed_folder(self) -> Path:
        """The folder of sealed files, which may not exist."""
        return self._folder / FOLDER

    def sealed_cursor(self) -> duckdb.DuckDBPyConnection:
        with translated():
            return self._root.cursor()

    def fill_sealed(self, fill: Callable[[Transaction], None]) -> None:
        with self.write_concurrently("telemetry") as transaction:
            fill(transaction)

    def writes_have_ended(self) -> None:
        for writer in (self._writers["telemetry"], self._concurrent["telemetry"]):
            with writer.exclusive():
                pass

    # --- a new file in place of one ----------------------------------------------------------------------

    def fresh(self, file: File, *, share: int = FRESH_SHARE) -> FreshFile:
        """Creates an empty file for `replace`, with 1/`share` of the memory. Raises StorageFailed."""
        settings = {**self._settings, "memory_limit": _mebibytes(self._memory_bytes // share)}
        return FreshFile(self._folder, file, settings)

    def copied(self, file: File) -> FreshFile:
        """Copies the current file for `replace`, without the content of unused blocks. Blocks until the copy
        is complete; reads and writes of the file continue. Raises StorageFailed, StatementRefused,
        ViewBehind."""
        FreshFile.remove_leftovers(self._folder, file)
        path, name = files.next_path(self._folder, file), f"{file}_copy"
        with self._readers.entered(file):
            cursor = self._readers.cursor()
            with translated():
                cursor.execute(attachment(path, file, name))
                try:
                    cursor.execute(f"COPY FROM DATABASE {file} TO {name}")
                    checkpoint(cursor, name)
                finally:
                    cursor.execute(f"DETACH {name}")
        return FreshFile(self._folder, file, self._settings, is_copied=True)

    def replace(self, fresh: FreshFile, answer: Callable[[], None]) -> bool:
        """Replaces the current file by a complete one and calls `answer`, which directs reads to it. New
        reads wait for some milliseconds. Returns False, without changes, if running reads do not end in time.
        Raises StorageFailed; then the current file must be reopened."""
        file = fresh.file
        with self._readers.without(file) as is_idle:
            if not is_idle:
                return False
            fresh.close()
            with self._writers[file].exclusive(), self._concurrent[file].exclusive():
                path = files.database_path(self._folder, file)
                with translated():
                    self._root.execute(f"DETACH {file}")
                files.replace(path, fresh.path)
                with translated():
                    attach_again(self._root, attachment(path, file))
            self._in_memory -= {file}
            answer()
            return True

    # --- opening and closing -----------------------------------------------------------------------------

    def close(self) -> None:
        """Waits for running reads and writes (interrupting reads after 5 s) and closes the files.
        Idempotent."""
        if self._readers.end(for_good=True):
            self._disconnect()

    def leave_memory(self) -> None:
        """Reopens the files if tables are kept in memory and there is enough disk space again."""
        if self._in_memory and files.free_bytes(self._folder) >= ROOM_BYTES:
            self.reopen(damaged=None, generation=self.generation)

    def reopen(self, *, damaged: File | None, generation: int, in_memory: File | None = None) -> None:
        """Closes and reopens the instance after a failure, unless this was done since `generation`; sets the
        `damaged` file aside. The tables of `in_memory` are built in memory, because the disk is full: their
        file is not changed."""
        with self._reopening:
            if generation != self.generation and damaged is None and in_memory is None:
                return
            self._readers.end()
            self._disconnect()
            if files.free_bytes(self._folder) >= ROOM_BYTES:
                self._in_memory = frozenset()
            elif in_memory is not None:
                self._in_memory |= {in_memory}
            if damaged and damaged not in self._in_memory:
                files.set_aside(files.database_path(self._folder, damaged))
            self._connect()

    @property
    def generation(self) -> int:
        """Changes whenever the files are reopened; after that, everything that was served must be registered
        again."""
        return self._readers.generation

    def _connect(self) -> None:
        root = duckdb.connect(":memory:", config=self._settings)
        try:
            for file in FILES:
                self._attach(root, file)
            # Allows attaching a file in place of another: only these paths. A copy is made in a file that is
            # attached later too.
            paths = [named(self._folder, file) for file in FILES for named in _ATTACHED_LATER]
            allowed = ", ".join(quoted(f"{path}{ending}") for path in paths for ending in _ENDINGS)
            root.execute(f"SET allowed_paths = [{allowed}]")
            root.execute(f"SET allowed_directories = [{quoted(str(self.sealed_folder))}]")
            root.execute("SET enable_external_access = false")
            root.execute("SET lock_configuration = true")
        except BaseException:
            root.close()
            raise
        self._root = root
        self._writers = {file: Writer(root.cursor(), file) for file in FILES}
        self._concurrent = {file: Writer(root.cursor(), file) for file in FILES}
        self._readers.begin(root)

    def _attach(self, root: duckdb.DuckDBPyConnection, file: File) -> None:
        if file not in self._in_memory:
            path = files.database_path(self._folder, file)
            is_new = not path.exists()
            try:
                attach(root, path, file)
                return
            except (StorageFailed, OSError):
                if files.free_bytes(self._folder) >= FULL_BYTES:
                    raise
            if is_new:
                path.unlink(missing_ok=True)
            with suppress(duckdb.Error):
                root.execute(f"DETACH {file}")
            _log.error("No disk space is left to open the %s: they are built in memory.", file)
            self._in_memory |= {file}
        root.execute(f"ATTACH ':memory:' AS {file}")

    def _disconnect(self) -> None:
        for writer in (*self._writers.values(), *self._concurrent.values()):
            writer.close()
        self._root.close()


def _mebibytes(size: int) -> str:
    return f"{size >> 20}MiB"
