"""The `eventsourcing` application: the library's repository and `save` over our mapper and our log."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Generic, NamedTuple, TypeVar

from eventsourcing.application import Application
from eventsourcing.persistence import ApplicationRecorder, Mapper
from eventsourcing.utils import Environment, EnvType

from stack.eventstore.appends import Fold, Folded
from stack.eventstore.mapper import EventMapper, LoggedEvent
from stack.eventstore.recorder import Recorder

S = TypeVar("S")


class FoldedStream(NamedTuple, Generic[S]):
    """What the repository returns: an immutable aggregate. `size` is the bytes of the events' JSON."""

    id: str
    folded: Folded[S]
    size: int

    @property
    def version(self) -> int:
        return self.folded.version


class LogApplication(Application[str]):
    """Reads no process environment: nothing outside may switch on snapshots or caches of the library."""

    name = "replaystack"

    def __init__(self, mapper: EventMapper, recorder: Recorder) -> None:
        self._given_mapper = mapper
        self._given_recorder = recorder
        super().__init__()

    def construct_env(self, name: str, env: EnvType | None = None) -> Environment:
        return Environment(name, {})

    def construct_mapper(self) -> Mapper[str]:
        return self._given_mapper

    def construct_recorder(self) -> ApplicationRecorder:
        return self._given_recorder

    def fold(self, stream: str, fold: Fold[S]) -> FoldedStream[S]:
        """The stream's present state; `fold.initial` at version 0 where it does not exist. Blocks."""

        def project(_: FoldedStream[S] | None, events: Iterable[LoggedEvent]) -> FoldedStream[S]:
            state, version, size, evolve = fold.initial, 0, 0, fold.evolve
            for logged in events:
                version = logged.originator_version
                size += logged.size
                state = evolve(state, logged.event, logged.recorded_at, version)
            return FoldedStream(stream, Folded(state, version), size)

        projector: Any = project
        found: FoldedStream[S] = self.repository.get(stream, projector_func=projector)
        return found
