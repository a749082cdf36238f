"""Keeps long work off the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

LARGE_JSON_BYTES = 256 * 1024
"""Larger JSON texts, in bytes, are parsed and written in a thread."""


async def off_loop_if(is_large: bool, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Returns the result of `work`, executed in a thread if `is_large`, otherwise directly: a thread costs
    50-100 us."""
    return await asyncio.to_thread(work, *args, **kwargs) if is_large else work(*args, **kwargs)
