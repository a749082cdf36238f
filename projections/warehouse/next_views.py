"""The build of the views that will take the place of the one that serves.

While one serves, the next is made in a file of its own: from the log, or from a copy of the file that is there, where
nothing but a new file is needed. Where nothing is served it is made in the file that is there.
"""

from __future__ import annotations

import logging

from projections.warehouse.build import Build
from projections.warehouse.errors import StatementRefused, StorageFailed, ViewBehind
from projections.warehouse.feed import Feed
from projections.warehouse.file_copy import FileCopy
from projections.warehouse.fresh_file import SMALL_BYTES, FreshFile
from projections.warehouse.gc_tuning import without_collecting
from projections.warehouse.instance import Warehouse
from projections.warehouse.plan import Plan
from projections.warehouse.positions import carry_positions
from projections.warehouse.rewrites import BUILD_AGAIN_S, BUSY_S, REPLACE_AGAIN_S, Rewrites

_log = logging.getLogger(__name__)


class NextViews:
    """Used by the engine's thread alone. `build` is the one that is made at the moment, if any."""

    def __init__(
        self,
        warehouse: Warehouse,
        feed: Feed,
        plan: Plan,
        rewrites: Rewrites,
        batch_serving: int,
        batch_offline: int,
    ) -> None:
        self._warehouse = warehouse
        self._feed = feed
        self._plan = plan
        self._rewrites = rewrites
        self._batch_serving = batch_serving
        self._batch_offline = batch_offline
        self._copy = FileCopy(warehouse, "views")
        self._fresh: FreshFile | None = None
        self.build: Build | None = None
        self.is_from_log = True

    def advance(self, serving: Build | None, *, from_log: bool) -> Build | None:
        """Takes one batch further. Returns the new build once it has taken the place of `serving`; `is_from_log` says
        then whether it was made from the log, which it is with `from_log`. Raises StorageFailed where the files of the
        warehouse failed."""
        if serving is None:
            self.is_from_log = True
            return self._advance_first()
        if self.build is None and not self._copy.is_begun:
            # What a failed event says may be content, which is not there any more when the log is read again.
            self.is_from_log = from_log or bool(serving.failed)
        return self._advance_next(serving)

    def close(self) -> None:
        self.give_up()
        self._copy.close()

    def give_up(self) -> None:
        self._copy.give_up()
        if self._fresh is not None:
            self._fresh.discard()
        self.build = self._fresh = None

    def _advance_first(self) -> Build | None:
        build = self.build = self.build or Build.create(self._warehouse, self._plan, self._feed.epoch)
        head = self._feed.head()
        with without_collecting():
            build.apply(self._feed.read(build.position, self._batch_offline))
        if build.position < head:
            return None
        build.become_served()
        build.answer_reads(self._warehouse, self._plan)
        # All of a build's DDL is in the log by now, 70 KB of it: no start has to replay that.
        self._warehouse.checkpoint_views()
        self.build = None
        return build

    def _advance_next(self, serving: Build) -> Build | None:
        try:
            build, fresh = self._in_new_file()
            if build is None or fresh is None or fresh.is_busy():
                self._rewrites.put_off(BUSY_S)
                return None
            head = self._feed.head()
            with without_collecting():
                build.apply(self._feed.read(build.position, self._batch_serving))
            if build.position < max(head, serving.position):
                fresh.checkpoint_if_due()
                return None
            if fresh.checkpoint_if_due(SMALL_BYTES):
                return None
            build.store_position()
            build.become_served()
            carry_positions(self._warehouse, fresh)
        except (StorageFailed, StatementRefused, ViewBehind) as failure:
            # The views that are served have nothing to do with it.
            _log.error("The views could not be rebuilt, which is tried again: %s", failure)
            self.give_up()
            self._rewrites.put_off(BUILD_AGAIN_S)
            return None
        if not self._warehouse.replace(fresh, lambda: build.answer_reads(self._warehouse, self._plan)):
            self._rewrites.put_off(REPLACE_AGAIN_S)
            return None
        self.build = self._fresh = None
        self._rewrites.finish()
        return build

    def _in_new_file(self) -> tuple[Build | None, FreshFile | None]:
        """None while the file is being copied."""
        if self.build is None or self._fresh is None:
            if self.is_from_log:
                self._fresh = self._warehouse.fresh("views")
                self._rewrites.begin()
                self.build = Build.create(self._fresh, self._plan, self._feed.epoch)
            else:
                if not self._copy.is_begun:
                    self._rewrites.begin()
                    self._copy.begin()
                self._fresh = self._copy.take()
                self.build = Build.served(self._fresh, self._plan) if self._fresh is not None else None
        return self.build, self._fresh
