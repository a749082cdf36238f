"""Requested rewrites of a file: which are done, and when the next step is due."""

from __future__ import annotations

import time
from threading import Condition

BUILD_AGAIN_S = 30.0
"""Delay in seconds after a new file could not be written, for example on a full disk."""
BUSY_S = 0.02
"""Delay in seconds while a checkpoint of the new file is running."""
REPLACE_AGAIN_S = 1.0
"""Delay in seconds after running reads of the old file did not end."""


class Rewrites:
    """Rewrites are numbered in the order of requests. A request is fulfilled by a file that was started after
    it: such a file contains nothing that had been removed from the log. `not_before` is when the next step is
    due, on the monotonic clock. `changed` is the owner's condition; waiting callers hold it."""

    def __init__(self, changed: Condition) -> None:
        self._changed = changed
        self._asked = self._begun = self._done = 0
        self.not_before = 0.0
        self._ended = False

    @property
    def wanted(self) -> bool:
        return self._asked > self._done

    def is_due(self) -> bool:
        """Returns whether the next step may be taken now."""
        return time.monotonic() >= self.not_before

    def ask(self) -> int:
        """Requests a rewrite and returns its number."""
        with self._changed:
            self._asked += 1
            self._changed.notify_all()
            return self._asked

    def wait(self, number: int) -> bool:
        """Blocks until that rewrite is done, and returns True; returns False once the owner has ended."""
        with self._changed:
            self._changed.wait_for(lambda: self._done >= number or self._ended)
            return self._done >= number

    def begin(self) -> None:
        """Called when a new file was started."""
        self._begun = self._asked

    def finish(self) -> None:
        """Called when the started file has replaced the old one. The owner notifies `changed` afterwards."""
        self._done = self._begun

    def put_off(self, pause_s: float) -> None:
        self.not_before = time.monotonic() + pause_s

    def end(self) -> None:
        """Ends all rewrites. The owner notifies `changed` afterwards."""
        self._ended = True
