"""The test cases that the `eventsourcing` library ships, over our classes."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from eventsourcing.application import Application
from eventsourcing.domain import Aggregate, event
from eventsourcing.persistence import InfrastructureFactoryError, IntegrityError, ProgrammingError, Tracking
from eventsourcing.tests.persistence import (
    ApplicationRecorderTestCase,
    NonInterleavingNotificationIDsBaseCase,
    TrackingRecorderTestCase,
)

from projections.warehouse.instance import Warehouse
from projections.warehouse.positions import Positions
from stack.event_log import log_place, open_store
from stack.eventsourcing_adapter.recorder import Recorder
from stack.eventsourcing_adapter.tracking import EngineTracking
from stack.eventstore import BlobStore, EventStore
from tests.eventstore.memory_log import Kept, MemoryLog


class _Log:
    def setUp(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.store = open_store(Path(self.folder.name))

    def tearDown(self) -> None:
        self.store.close()
        self.folder.cleanup()

    def create_recorder(self) -> Any:
        return Recorder(self.store)

    def new_originator_id(self) -> str:
        return str(uuid4())


class TestRecorder(_Log, ApplicationRecorderTestCase[Recorder]):
    def test_insert_subscribe(self) -> None:
        self.optional_test_insert_subscribe()


class TestRecorderOfAnotherLog(TestRecorder):
    def setUp(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        blobs = BlobStore(Path(self.folder.name) / "blobs")
        log = MemoryLog(Kept(), blobs, lambda: time.time_ns() // 1_000)
        self.store = EventStore(log, blobs, 2**20, keep_unnamed_blobs=False)


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


class Ship(Aggregate):
    @event("Named")
    def __init__(self, name: str) -> None:
        self.name = name

    @event("Renamed")
    def rename(self, name: str) -> None:
        self.name = name


def harbour(folder: Path, **env: str) -> Application[UUID]:
    persistence = {"PERSISTENCE_MODULE": "stack.eventsourcing_adapter", "LOG_FOLDER": str(folder)}
    return Application({**persistence, **env})


def test_an_application_saves_and_gets(tmp_path: Path) -> None:
    with harbour(tmp_path) as application:
        ship, name = Ship("Ann"), "s" * 300_000
        ship.rename(name)
        recordings = application.save(ship)
        assert [recording.notification.id for recording in recordings] == [1, 2]
        mine, theirs = (application.repository.get(ship.id) for _ in range(2))
        assert (mine.name, mine.version, mine.id) == (name, 2, ship.id)
        mine.rename("Bea")
        theirs.rename("Cid")
        application.save(mine)
        with pytest.raises(IntegrityError):
            application.save(theirs)
        with pytest.raises(ProgrammingError):
            application.recorder.insert_events([], tracking=Tracking("a", 1))
        names = [
            notification.topic.rpartition(".")[2]
            for notification in application.recorder.select_notifications(1, 9)
        ]
        assert names == ["Named", "Renamed", "Renamed"]
    report = log_place(tmp_path).verify()
    assert (report.events, report.blobs, report.problems) == (3, 1, ())
    with harbour(tmp_path) as application:
        assert application.repository.get(ship.id).name == "Bea"


def test_a_state_that_is_not_json_is_stored_as_it_is(tmp_path: Path) -> None:
    with harbour(tmp_path, COMPRESSOR_TOPIC="eventsourcing.compressor:ZlibCompressor") as application:
        ship = Ship('{"$blob":"x"}' * 100_000)
        application.save(ship)
        assert application.repository.get(ship.id).name == ship.name
    assert log_place(tmp_path).verify().problems == ()


@pytest.mark.parametrize("text", ['{"$blob":"%s","bytes":3}' % ("0" * 64), "$blob", '"'])
def test_text_that_looks_like_a_marker_is_only_text(tmp_path: Path, text: str) -> None:
    with harbour(tmp_path) as application:
        ship = Ship(text)
        application.save(ship)
        assert application.repository.get(ship.id).name == text
    assert log_place(tmp_path).verify().problems == ()


def test_what_the_log_does_not_store_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InfrastructureFactoryError, match="LOG_FOLDER is not set"):
        Application({"PERSISTENCE_MODULE": "stack.eventsourcing_adapter"})
    with pytest.raises(InfrastructureFactoryError, match="does not store snapshots"):
        harbour(tmp_path, IS_SNAPSHOTTING_ENABLED="yes")
