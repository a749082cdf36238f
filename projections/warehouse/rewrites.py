"""Rewrites of a file that were asked for: which are done, and when the next one is due."""

from __future__ import annotations

import time
from threading import Condition

BUILD_AGAIN_S = 30.0
"""After a new file could not be written, such as on a full disk."""
BUSY_S = 0.02
"""While a checkpoint of the new file is under way."""
REPLACE_AGAIN_S = 1.0
"""After readers of the old file did not end."""


class Rewrites:
    """Rewrites are numbered as they are asked for. One is done by a file that was begun after that: such a file holds
    nothing that the log did not hold any more. `not_before` is when the next step is due, on the monotonic clock. `changed` is the condition of its owner; those who wait hold it."""

    def __init__(self, changed: Condition) -> None:
        self._changed = changed
        self._asked = self._begun = self._done = 0
        self.not_before = 0.0
        self._ended = False

    @property
    def wanted(self) -> bool:
        return self._asked > self._done

    def is_due(self) -> bool:
        """Whether the next step may be taken now."""
        return time.monotonic() >= self.not_before

    def ask(self) -> int:
        """The number of a new rewrite."""
        with self._changed:
            self._asked += 1
            self._changed.notify_all()
            return self._asked

    def wait(self, number: int) -> bool:
        """Blocks until that rewrite is done, and is true; or false, once its owner has ended."""
        with self._changed:
            self._changed.wait_for(lambda: self._done >= number or self._ended)
            return self._done >= number

    def begin(self) -> None:
        """A new file was begun."""
        self._begun = self._asked

    def finish(self) -> None:
        """The file that was begun has taken its place. The owner notifies `changed` afterwards."""
        self._done = self._begun

    def put_off(self, pause_s: float) -> None:
        self.not_before = time.monotonic() + pause_s

    def end(self) -> None:
        """Nothing is rewritten any more. The owner notifies `changed` afterwards."""
        self._ended = True
