"""The tables that will replace the served ones: built in a separate file, next to the current one.

They are built from the log, or from a copy of the current file if only a new file is needed.
"""

from __future__ import annotations

import logging
from typing import Any, Generic, TypeVar

from projections.warehouse.errors import OutOfMemory, StatementRefused, StorageFailed, ViewBehind
from projections.warehouse.file_copy import FileCopy
from projections.warehouse.fresh_file import SMALL_BYTES, FreshFile
from projections.warehouse.gc_tuning import without_collecting
from projections.warehouse.instance import FRESH_SHARE, Warehouse
from projections.warehouse.port import Source, Tables, Target
from projections.warehouse.rewrites import BUILD_AGAIN_S, BUSY_S, REPLACE_AGAIN_S, Rewrites

_log = logging.getLogger(__name__)

T = TypeVar("T", bound=Tables[Any])


class NextTables(Generic[T]):
    """Used by the follower's thread only. `tables` are those being built, if any; `is_from_log` is the source
    of these, or of the last ones."""

    def __init__(
        self, warehouse: Warehouse, source: Source[Any], target: Target[T], rewrites: Rewrites
    ) -> None:
        self._warehouse = warehouse
        self._source = source
        self._target = target
        self._rewrites = rewrites
        self._copy = FileCopy(warehouse, target.file)
        self._fresh: FreshFile | None = None
        self._share = FRESH_SHARE
        self.tables: T | None = None
        self.is_from_log = True

    def advance(self, serving: T, *, from_log: bool) -> T | None:
        """Advances by one batch. Returns the new tables once they have replaced `serving`; they are built
        from the log if `from_log`. Raises StorageFailed if the files of the warehouse failed."""
        if self.tables is None and not self._copy.is_begun:
            self.is_from_log = from_log or not serving.can_be_copied
        try:
            made = self._advance(serving)
        except (StorageFailed, StatementRefused, ViewBehind, OSError) as failure:
            # The served tables are not affected.
            _log.error("The %s could not be rewritten, which is tried again: %s", self._target.file, failure)
            if isinstance(failure, OutOfMemory):
                self._share = 1
            self.give_up()
            self._rewrites.put_off(BUILD_AGAIN_S)
            return None
        except BaseException:
            self.give_up()
            raise
        if made is None:
            return None
        tables, fresh = made
        if not self._warehouse.replace(fresh, lambda: self._target.answer(tables)):
            self._rewrites.put_off(REPLACE_AGAIN_S)
            return None
        self.tables = self._fresh = None
        self._rewrites.finish()
        return tables

    def give_up(self) -> None:
        self._copy.give_up()
        if self._fresh is not None:
            self._fresh.discard()
        self.tables = self._fresh = None

    def close(self) -> None:
        self.give_up()
        self._copy.close()

    def _advance(self, serving: T) -> tuple[T, FreshFile] | None:
        """Returns the new tables and their file once they contain what `serving` contains."""
        tables, fresh = self._in_new_file()
        if tables is None or fresh is None or fresh.is_busy():
            self._rewrites.put_off(BUSY_S)
            return None
        if tables.position < serving.position:
            with without_collecting():
                tables.apply(tables.prepare(self._source.read(tables.position, in_bulk=False)))
        if tables.position < serving.position:
            fresh.checkpoint_if_due()
            return None
        if fresh.checkpoint_if_due(SMALL_BYTES):
            return None
        self._target.finish(tables, fresh)
        return tables, fresh

    def _in_new_file(self) -> tuple[T | None, FreshFile | None]:
        """Returns None while the file is being copied."""
        if self._fresh is None:
            if self.is_from_log or not self._copy.is_begun:
                self._rewrites.begin()
            if self.is_from_log:
                self._fresh = self._warehouse.fresh(self._target.file, share=self._share)
            else:
                if not self._copy.is_begun:
                    self._copy.begin()
                self._fresh = self._copy.take()
        if self.tables is None and self._fresh is not None:
            self.tables = self._target.tables_in(self._fresh)
        return self.tables, self._fresh
