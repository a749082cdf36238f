"""Copies a file of the warehouse in a separate thread while the file is used.

The copy contains the rows of the tables and nothing that was deleted from them. It takes five seconds for a
million rows.
"""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor

from projections.warehouse.fresh_file import FreshFile
from projections.warehouse.instance import Warehouse
from projections.warehouse.transaction import File


class FileCopy:
    """Call `take` until it returns the copy. Not thread-safe."""

    def __init__(self, warehouse: Warehouse, file: File) -> None:
        self._warehouse = warehouse
        self._file = file
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=f"{file} copy")
        self._copying: Future[FreshFile] | None = None

    @property
    def is_begun(self) -> bool:
        return self._copying is not None

    def begin(self) -> None:
        self._copying = self._thread.submit(self._warehouse.copied, self._file)

    def take(self) -> FreshFile | None:
        """Returns the copy that was started; None while it is being made. Raises the errors of
        `Warehouse.copied`."""
        copying = self._copying
        if copying is None or not copying.done():
            return None
        self._copying = None
        return copying.result()

    def give_up(self) -> None:
        """Abandons a running copy without waiting for it: it is removed once it is complete."""
        if self._copying is not None:
            self._copying.add_done_callback(_discard)
        self._copying = None

    def close(self) -> None:
        """Waits; closing the warehouse interrupts a running copy."""
        self.give_up()
        self._thread.shutdown(wait=False, cancel_futures=True)


def _discard(copying: Future[FreshFile]) -> None:
    if not copying.cancelled() and copying.exception() is None:
        copying.result().discard()
