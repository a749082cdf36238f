"""An application of the `eventsourcing` library that keeps its events in Replaystack's log.

It needs no server: it opens a log of its own in the folder that LOG_FOLDER names. `replaystack backup` and
`replaystack verify` work on that folder.
"""

import os
import tempfile

from eventsourcing.application import Application
from eventsourcing.domain import Aggregate, event


class Berth(Aggregate):
    @event("Opened")
    def __init__(self, name: str) -> None:
        self.name = name
        self.ships: list[str] = []

    @event("Moored")
    def moor(self, ship: str) -> None:
        self.ships.append(ship)


class Harbour(Application):
    def open_berth(self, name: str):
        berth = Berth(name)
        self.save(berth)
        return berth.id

    def moor(self, berth_id, ship: str) -> None:
        berth = self.repository.get(berth_id)
        berth.moor(ship)
        self.save(berth)


folder = os.environ.get("LOG_FOLDER") or tempfile.mkdtemp()
persistence = {"PERSISTENCE_MODULE": "stack.eventsourcing_adapter", "LOG_FOLDER": folder}

with Harbour(env=persistence) as harbour:
    berth_id = harbour.open_berth("north quay")
    harbour.moor(berth_id, "Mary Ann")

# Opened again, the log still has it all; a follower reads every event in order.
with Harbour(env=persistence) as harbour:
    harbour.moor(berth_id, "Curlew")
    for notification in harbour.recorder.select_notifications(start=1, limit=10):
        print(notification.id, notification.topic)
    print("ships:", ", ".join(harbour.repository.get(berth_id).ships))
