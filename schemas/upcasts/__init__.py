"""Pure functions that lift an older version of an event to the next: stored name -> (next name, function).

A function takes the decoded JSON object of the older payload and returns that of the next version. Steps
chain until a name is in `schemas.events.REGISTRY`. No event has had a second version yet.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Upcast = Callable[[dict[str, Any]], dict[str, Any]]

UPCASTS: dict[str, tuple[str, Upcast]] = {}
