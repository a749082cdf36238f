"""The test cases that the `eventsourcing` library ships, over our classes."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from eventsourcing.persistence import IntegrityError, ProgrammingError, Tracking
from eventsourcing.tests.persistence import (
    ApplicationRecorderTestCase,
    NonInterleavingNotificationIDsBaseCase,
    TrackingRecorderTestCase,
)

from projections.warehouse.instance import Warehouse
from projections.warehouse.positions import Positions
from schemas.events.session import SessionCreated, SessionDeleted
from stack.eventstore import EventStore
from stack.eventstore.mapper import LoggedEvent
from stack.eventstore.recorder import Recorder
from stack.eventstore.tracking import EngineTracking


class _Log:
    def setUp(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.store = EventStore.open(Path(self.folder.name))

    def tearDown(self) -> None:
        self.store.close()
        self.folder.cleanup()

    def create_recorder(self) -> Any:
        recorder = self.store._application.recorder
        assert isinstance(recorder, Recorder)
        return recorder

    def new_originator_id(self) -> str:
        return str(uuid4())


class TestRecorder(_Log, ApplicationRecorderTestCase[Recorder]):
    def test_insert_subscribe(self) -> None:
        self.optional_test_insert_subscribe()


class TestNonInterleaving(_Log, NonInterleavingNotificationIDsBaseCase):
    pass


class TestTracking(TrackingRecorderTestCase):
    def setUp(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.warehouse = Warehouse.open(Path(self.folder.name))

    def tearDown(self) -> None:
        self.warehouse.close()
        self.folder.cleanup()

    def create_recorder(self) -> EngineTracking:
        return EngineTracking(Positions(self.warehouse))


# Imported base classes are not tests themselves.
del ApplicationRecorderTestCase, NonInterleavingNotificationIDsBaseCase, TrackingRecorderTestCase


def test_the_application_saves_and_gets(tmp_path: Path) -> None:
    store = EventStore.open(tmp_path)
    application = store._application
    created, deleted = SessionCreated(agent_id="a", session_name="s" * 300_000), SessionDeleted()
    recordings = application.save(
        LoggedEvent("default/session/1", 1, created), LoggedEvent("default/session/1", 2, deleted)
    )
    assert [recording.notification.id for recording in recordings] == [1, 2]

    def project(_: Any, events: Iterable[LoggedEvent]) -> list[LoggedEvent]:
        return list(events)

    events: list[LoggedEvent] = application.repository.get("default/session/1", projector_func=project)
    assert [(e.originator_version, e.event) for e in events] == [(1, created), (2, deleted)]
    assert events[0].recorded_at < events[1].recorded_at
    with pytest.raises(IntegrityError):
        application.save(LoggedEvent("default/session/1", 2, deleted))
    with pytest.raises(ProgrammingError):
        application.recorder.insert_events([], tracking=Tracking("a", 1))
    assert (store.head(), store.category_head("session")) == (2, 2)
    assert not store.blobs._held
    store.close()
