"""Scores rows in a worker process, because this may take long, hang or crash (see `stack.workers.child`)."""

from __future__ import annotations

import importlib
import logging
from typing import Any

import msgspec
from msgspec import Struct

from schemas.api.scoring_function import ScoringFnParams
from stack.providers.scoring.registry import definitions
from stack.providers.scoring.scored import scored
from stack.workers.limits import grant_cpu


class Task(Struct, frozen=True):
    """One row to be scored, in at most `cpu_s` seconds of CPU time."""

    function: str
    params: ScoringFnParams
    row: dict[str, Any]
    cpu_s: int


_tasks = msgspec.json.Decoder(Task)


def answer(body: bytes) -> bytes:
    """Returns the score row of a task; both are JSON."""
    if not logging.root.manager.disable:
        logging.disable(logging.CRITICAL)
    task = _tasks.decode(body)
    function = definitions()[task.function]
    for library in function.libraries:
        importlib.import_module(library)
    # The time for imports does not count.
    grant_cpu(task.cpu_s)
    return msgspec.json.encode(scored(function, task.params, task.row))
