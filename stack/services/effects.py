"""The port through which a turn reaches the world: models, the clock, new ids.

The runner (`turn_runner.py`) has no other way out, so whatever influenced a turn came through here and is in
its events, and a run from the record needs only another implementation of this protocol.
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Mapping
from typing import Protocol

import uuid_utils

from stack.providers.inference.port import InferenceEvent, InferenceProvider, InferenceRequest


class Effects(Protocol):
    def now_ms(self) -> float:
        """Milliseconds of a clock that only goes forward; differences count, not values."""
        ...

    def new_id(self) -> str: ...

    def infer(
        self, provider: InferenceProvider, request: InferenceRequest, headers: Mapping[str, str]
    ) -> AsyncGenerator[InferenceEvent, None]: ...


class RealEffects:
    """The world itself."""

    def now_ms(self) -> float:
        return time.monotonic() * 1000.0

    def new_id(self) -> str:
        return new_id()

    def infer(
        self, provider: InferenceProvider, request: InferenceRequest, headers: Mapping[str, str]
    ) -> AsyncGenerator[InferenceEvent, None]:
        return provider.infer(request, headers=headers)


def new_id() -> str:
    """A UUIDv7: unique, and ordered by time, which keeps neighbours in time together on disk."""
    return str(uuid_utils.uuid7())
