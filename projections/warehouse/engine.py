"""The engine: applies the event log to the views."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from projections.warehouse.build import Build
from projections.warehouse.feed import Feed, Record
from projections.warehouse.follower import Follower
from projections.warehouse.instance import Warehouse
from projections.warehouse.linger import Linger
from projections.warehouse.plan import Plan
from projections.warehouse.state import EngineState
from projections.warehouse.view_file import ViewFile


class Engine(Follower[Build]):
    """Applies `feed` to the views of `warehouse`, which are defined by `plan`.

    `batch_serving` and `batch_offline` are the maximum numbers of records in a transaction while reads are
    served and while they are not. Offline, 50,000 take 8 % less CPU than 20,000 and 35 MB more memory.
    """

    def __init__(
        self,
        warehouse: Warehouse,
        feed: Feed,
        plan: Plan,
        *,
        linger_ms: float = 25,
        linger_max_ms: float = 100,
        batch_serving: int = 2000,
        batch_offline: int = 50000,
    ) -> None:
        records = _Records(feed, Linger(linger_ms, linger_max_ms), batch_serving, batch_offline)
        super().__init__(warehouse, records, ViewFile(warehouse, feed, plan))
        self._epoch = feed.epoch
        self._plan = plan

    def start(self) -> None:
        """Opens the view and starts to follow. Returns when reads are served, or when it is known that they
        are not yet: a long log is being rebuilt, or the file cannot be used."""
        super().start()
        self.opened()

    def failed_streams(self) -> frozenset[str]:
        """Returns the streams with events that could not be applied: what is served of them is incomplete.
        Cheap."""
        build = self.tables
        return frozenset([event.stream for event in build.failed] if build is not None else ())

    def state(self) -> EngineState:
        """Returns the state of the engine, for health and doctor. Cheap."""
        state, build = self.follower_state(), self.tables
        failed = list(build.failed) if build is not None else []
        return EngineState(
            **msgspec.structs.asdict(state),
            degraded=bool(failed) or state.last_error is not None,
            failed_events=failed,
            schema_hash=build.plan.hash if build is not None else self._plan.hash,
            epoch=build.epoch if build is not None else self._epoch,
        )


class _Records:
    """The feed as a follower's source: in batches, which are due at once when they are full."""

    def __init__(self, feed: Feed, linger: Linger, batch_serving: int, batch_offline: int) -> None:
        self._feed = feed
        self._linger = linger
        self._batch_serving = batch_serving
        self._batch_offline = batch_offline
        self._position = 0

    def head(self) -> int:
        return self._feed.head()

    def subscribe(self, wake: Callable[[int], None]) -> Callable[[], None]:
        return self._feed.subscribe(wake)

    def due(self, position: int, since: float, *, is_awaited: bool) -> float:
        is_full = self._feed.head() - position >= self._batch_serving
        return 0.0 if is_awaited or is_full else since + self._linger.linger_s

    def read(self, after: int, *, in_bulk: bool) -> Sequence[Record]:
        return self._feed.read(after, self._batch_offline if in_bulk else self._batch_serving)

    def applied(self, position: int, took_s: float) -> None:
        self._linger.applied(position - self._position, took_s)
        self._position = position
