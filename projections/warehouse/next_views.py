"""The build of the views that will take the place of the one that serves.

While one serves, the next is made in a file of its own. Where nothing is served it is made in the file that is there.
"""

from __future__ import annotations

import logging

from projections.warehouse.build import Build
from projections.warehouse.errors import StorageFailed
from projections.warehouse.feed import Feed
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
        self._fresh: FreshFile | None = None
        self.build: Build | None = None

    def advance(self, serving: Build | None) -> Build | None:
        """Takes one batch further. Returns the new build once it has taken the place of `serving`. Raises
        StorageFailed where the files of the warehouse failed."""
        return self._advance_first() if serving is None else self._advance_next(serving)

    def give_up(self) -> None:
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
            if fresh.is_busy():
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
        except StorageFailed as failure:
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

    def _in_new_file(self) -> tuple[Build, FreshFile]:
        if self.build is None or self._fresh is None:
            self._fresh = self._warehouse.fresh("views")
            self._rewrites.begin()
            self.build = Build.create(self._fresh, self._plan, self._feed.epoch)
        return self.build, self._fresh
