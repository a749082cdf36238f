"""Pure functions that lift an older version of an event to the next: stored name -> (next name, function).

A function takes the decoded JSON object of the older payload and returns that of the next version. Steps chain until a
name is in `schemas.events.REGISTRY`. No event has had a second version yet.

To make a second version of an event: give its class in `schemas/events` the next number in its tag, change its fields,
add the upcast here, and keep the golden file of the older version. Read models need no change for it: their SQL goes
by names without versions.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Upcast = Callable[[dict[str, Any]], dict[str, Any]]

UPCASTS: dict[str, tuple[str, Upcast]] = {}
