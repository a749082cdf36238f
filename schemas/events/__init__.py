"""Event payloads, one tagged union per category, and the registry: stored name -> payload type.

A name is `<category>.<event>.<schema version>` and is permanent: released events must remain decodable. A
change of shape is a new version with an upcast in `schemas/upcasts`. The stream of an event, its version in
the stream and the time at which it was recorded are columns of the log, not fields here.
"""

from __future__ import annotations

from schemas.events import agent, benchmark, dataset, erasure, evaljob, session, trainjob, turn
from schemas.events.base import Event, Redacted

REGISTRY: dict[str, type[Event]] = {
    event.__struct_config__.tag: event
    for category in (agent, session, turn, dataset, benchmark, evaljob, trainjob, erasure)
    for event in category.EVENTS
}

__all__ = ["REGISTRY", "Event", "Redacted"]
