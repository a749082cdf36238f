"""Garbage collection: excludes permanent objects from it."""

from __future__ import annotations

import atexit
import functools
import gc


def freeze_what_is_there() -> None:
    """Excludes all existing objects from collection. A full collection over the modules and classes of a
    running server blocked its event loop for 65-75 ms; without them it takes less than 10 ms."""
    _unfreeze_at_exit()
    gc.collect()
    gc.freeze()


@functools.cache
def _unfreeze_at_exit() -> None:
    # Otherwise extension modules report uncollected objects as leaks.
    atexit.register(gc.unfreeze)
