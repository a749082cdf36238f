"""The functions that a query may use."""

from __future__ import annotations

from functools import cache
from importlib.resources import files


@cache
def functions() -> frozenset[str]:
    """Returns their names. They are read from their file once."""
    text = (files("stack.providers.sql") / "functions.txt").read_text(encoding="utf-8")
    return frozenset(line for line in text.splitlines() if line and not line.startswith("# "))
