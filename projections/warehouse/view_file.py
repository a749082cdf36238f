"""The file of the views as a follower's target: the build that it serves, and its replacement."""

from __future__ import annotations

import logging

from msgspec import MsgspecError

from projections.warehouse.build import Build
from projections.warehouse.errors import StatementRefused
from projections.warehouse.feed import Feed
from projections.warehouse.fresh_file import FreshFile
from projections.warehouse.instance import Warehouse
from projections.warehouse.plan import Plan
from projections.warehouse.port import Opened
from projections.warehouse.positions import carry_positions
from projections.warehouse.transaction import File

# What remains in the file's log is replayed at the next start.
CHECKPOINT_BYTES = 32 << 20
# While nothing is served: a rebuild of a million events spent 2.4 of 12 s in checkpoints at 32 MB.
IN_BULK_CHECKPOINT_BYTES = 192 << 20

_log = logging.getLogger(__name__)


class ViewFile:
    """Implements `Target`. A build must belong to this copy of the log; one of another plan is served until
    the new one is ready."""

    file: File = "views"

    def __init__(self, warehouse: Warehouse, feed: Feed, plan: Plan) -> None:
        self._warehouse = warehouse
        self._feed = feed
        self._plan = plan

    def open(self) -> Opened[Build]:
        build, reason = self._find_served(), "The view is being built from the log."
        if build is not None and not build.is_of(self._feed):
            build, reason = None, "The view was built from another copy of the log and is being rebuilt."
        if build is None:
            self._warehouse.serve("views", None, reason)
            return Opened(
                Build.create(self._warehouse, self._plan, self._feed.epoch), is_whole=False, is_outdated=False
            )
        self.answer(build)
        return Opened(build, is_whole=True, is_outdated=build.plan.hash != self._plan.hash)

    def tables_in(self, fresh: FreshFile) -> Build:
        return Build.served(fresh, self._plan) or Build.create(fresh, self._plan, self._feed.epoch)

    def finish(self, tables: Build, fresh: FreshFile | None) -> None:
        tables.store_position()
        tables.become_served()
        if fresh is not None:
            carry_positions(self._warehouse, fresh)
        else:
            # The build's DDL, 70 KB, is in the log by now: no start should have to replay it.
            self._warehouse.checkpoint("views")

    def answer(self, tables: Build) -> None:
        tables.answer_reads(self._warehouse, self._plan)

    def tidy(self, *, in_bulk: bool) -> None:
        self._warehouse.checkpoint(
            "views", due_bytes=IN_BULK_CHECKPOINT_BYTES if in_bulk else CHECKPOINT_BYTES
        )

    def _find_served(self) -> Build | None:
        try:
            return Build.served(self._warehouse, self._plan)
        except (StatementRefused, MsgspecError, ValueError) as error:
            _log.warning("The view's own records are not readable (%s); it is rebuilt", error)
            return None
