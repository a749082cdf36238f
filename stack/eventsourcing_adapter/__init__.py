"""Runs applications of the `eventsourcing` library on the event log. The only importer of that library.

An application is configured by its environment: `PERSISTENCE_MODULE` is `stack.eventsourcing_adapter`, and
`LOG_FOLDER` a separate folder. The server's own events do not use this adapter.
"""

from __future__ import annotations

from pathlib import Path

from eventsourcing.persistence import (
    AggregateRecorder,
    ApplicationRecorder,
    InfrastructureFactory,
    InfrastructureFactoryError,
    ProcessRecorder,
    TrackingRecorder,
)
from eventsourcing.utils import Environment, EnvType

from stack.event_log import open_store
from stack.eventsourcing_adapter.recorder import Recorder

__all__ = ["Factory"]

LOG_FOLDER = "LOG_FOLDER"


class Factory(InfrastructureFactory[TrackingRecorder]):
    """Opens the log of the application's folder, and closes it with the application. Raises
    InfrastructureFactoryError without a folder, and for recorders that the log does not provide: snapshots,
    and positions of followers."""

    def __init__(self, env: Environment | EnvType | None) -> None:
        super().__init__(env)
        folder = self.env.get(LOG_FOLDER)
        if not folder:
            raise InfrastructureFactoryError(f"{LOG_FOLDER} is not set: name a folder for the event log")
        self._store = open_store(Path(folder))

    def application_recorder(self) -> ApplicationRecorder:
        return Recorder(self._store)

    def aggregate_recorder(self, purpose: str = "events") -> AggregateRecorder:
        if purpose != "events":
            raise InfrastructureFactoryError(f"the event log does not store {purpose}: disable snapshots")
        return Recorder(self._store)

    def tracking_recorder(
        self, tracking_recorder_class: type[TrackingRecorder] | None = None
    ) -> TrackingRecorder:
        raise InfrastructureFactoryError(
            "the event log records no tracking: a follower keeps its own position"
        )

    def process_recorder(self) -> ProcessRecorder:
        raise InfrastructureFactoryError(
            "the event log records no tracking: a follower keeps its own position"
        )

    def close(self) -> None:
        self._store.close()
