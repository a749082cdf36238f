"""The server's state: log, view, providers, tasks, turns. It is shown by doctor and verify."""

from __future__ import annotations

import os
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import msgspec

from projections.warehouse.engine import Engine
from stack.eventstore import EventStore
from stack.providers.inference.registry import Models
from stack.runs.supervisor import Supervisor
from stack.services.turns.turn import TurnService
from stack.version import VERSION
from telemetry.store.store import TelemetryStore


class ServerState:
    def __init__(
        self,
        data: str,
        store: EventStore,
        engine: Engine,
        models: Models,
        supervisor: Supervisor,
        turns: TurnService,
        telemetry: TelemetryStore,
    ) -> None:
        self._data = data
        self._store = store
        self._engine = engine
        self._models = models
        self._supervisor = supervisor
        self._turns = turns
        self._telemetry = telemetry
        self._started_at = time.time()
        # Set by the serving process: its ports for telemetry.
        self.ports: Callable[[], Sequence[Any]] = tuple
        # Set by the composition root.
        self.unknown_effects: Callable[[], Awaitable[int]] | None = None
        # Set by the composition root: by the name of a part, the function that says what does not work there.
        self.problems: Mapping[str, Callable[[], Sequence[str]]] = {}

    def trouble(self) -> str:
        """Returns what the server currently cannot do, empty if there is no problem."""
        return self._store.trouble()

    async def read(self) -> dict[str, Any]:
        return {
            "version": VERSION,
            "pid": os.getpid(),
            "started_at": self._started_at,
            "data": self._data,
            "log": {
                "epoch": self._store.epoch,
                "head": self._store.head(),
                "damage": self._store.damage(),
                "trouble": self._store.trouble(),
            },
            "view": msgspec.to_builtins(self._engine.state()),
            "providers": msgspec.to_builtins(await self._models.state()),
            "tasks": msgspec.to_builtins(self._supervisor.state()),
            "turns": {"running": self._turns.running},
            "effects": {"unknown": await self.unknown_effects() if self.unknown_effects else 0},
            **{part: {"problems": list(found())} for part, found in self.problems.items()},
            "ports": msgspec.to_builtins(list(self.ports())),
            "telemetry": msgspec.to_builtins(self._telemetry.state()),
        }
