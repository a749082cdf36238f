"""Our events as the `eventsourcing` library's mapper, recorder rows and domain events see them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from eventsourcing.persistence import JSONTranscoder, Mapper, StoredEvent

from schemas.events.base import Event
from stack.eventstore.blob_markers import dehydrate, hydrated_bytes, may_need_markers
from stack.eventstore.codec import Codec

if TYPE_CHECKING:
    from eventsourcing.domain import DomainEventProtocol


@dataclass(frozen=True)
class LoggedEvent:
    """An event with its place: the library's domain event. `recorded_at` is microseconds since 1970, `size`
    the bytes of its JSON; both are 0 before it is recorded."""

    originator_id: str
    originator_version: int
    event: Event
    recorded_at: int = 0
    size: int = 0


@dataclass(frozen=True)
class StoredRecord(StoredEvent):
    """A row of the log: the library's stored event and when it was recorded."""

    recorded_at: int = 0


class EventMapper(Mapper[str]):
    """msgspec JSON and our own event names in place of pickled paths of modules; long strings go to blobs."""

    def __init__(
        self, codec: Codec, store: Callable[[bytes], str], hydrate: Callable[[bytes], bytes]
    ) -> None:
        super().__init__(transcoder=JSONTranscoder())
        self._codec = codec
        self._store = store
        self._hydrate = hydrate

    def to_stored_event(self, domain_event: DomainEventProtocol[str]) -> StoredEvent:
        logged = cast("LoggedEvent", domain_event)
        name, state = self._codec.encode(logged.event)
        if may_need_markers(state):
            state = dehydrate(state, self._store)
        return StoredEvent(logged.originator_id, logged.originator_version, name, state)

    def to_domain_event(self, stored_event: StoredEvent) -> DomainEventProtocol[str]:
        state = stored_event.state
        event = self._codec.decode(stored_event.topic, state, self._hydrate)
        recorded_at = stored_event.recorded_at if isinstance(stored_event, StoredRecord) else 0
        version = stored_event.originator_version
        logged = LoggedEvent(
            str(stored_event.originator_id), version, event, recorded_at, hydrated_bytes(state)
        )
        return cast("DomainEventProtocol[str]", logged)
