"""Pure functions that convert an older version of an event to the next: stored name -> (next name, function).

A function takes the decoded JSON object of the older payload and returns that of the next version. Steps are
chained until a name is in `schemas.events.REGISTRY`. No event has a second version yet.

To make a second version of an event: increment the number in the tag of its class in `schemas/events`, change
its fields, add the upcast here, and keep the golden file of the older version. Read models need no change:
their SQL names events without versions.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Upcast = Callable[[dict[str, Any]], dict[str, Any]]

UPCASTS: dict[str, tuple[str, Upcast]] = {}
