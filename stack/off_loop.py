"""Keeps long work off the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

LARGE_JSON_BYTES = 256 * 1024
"""JSON above this is read and written in a thread."""


async def off_loop_if(is_large: bool, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """The result of `work`: in a thread if there is much to do, otherwise here, since a thread costs 50-100 us."""
    return await asyncio.to_thread(work, *args, **kwargs) if is_large else work(*args, **kwargs)
