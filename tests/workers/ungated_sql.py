"""The SQL worker without its gate: any text is executed as it is, and only the confinement is left."""

from __future__ import annotations

from typing import Any

from stack.providers.sql.database import WARM_UP
from stack.providers.sql.gate import Gate, Statement
from stack.providers.sql.worker import answer

__all__ = ["answer"]


def _unchecked(gate: Gate, cursor: object, query: str, parameters: Any) -> Statement:
    return Statement(query, query != WARM_UP, ())


Gate.checked = _unchecked  # type: ignore[method-assign]
