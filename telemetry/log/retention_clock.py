"""The time used for retention: the wall clock, unless it has jumped.

A wrong wall clock could make all telemetry appear too old. Therefore this clock advances with monotonic time,
and follows the wall clock only in small steps. A larger difference has two causes that cannot be
distinguished, a changed clock and a server that was down: it is adopted after the server has run with it for
a while. The time is stored in the log's folder, so that a restart does not confirm a wrong clock.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import msgspec
from msgspec import Struct

from telemetry.log.log_files import replace

logger = logging.getLogger("replaystack.telemetry")

FILE = "clock"
CONFIRMED_AFTER_S = 86_400.0
"""How long the server must run before a jump of the clock is accepted, in seconds; less for a shorter
retention."""
MAX_STEP_S = 3 * 86_400.0
"""A step of the wall clock that is followed at once, in seconds; at most a tenth of the retention."""
_STEADY_S = 3_600.0
"""A wall clock that continues to jump by more than this, in seconds, is not confirmed."""


class Clocks(NamedTuple):
    wall_us: Callable[[], int]
    monotonic_s: Callable[[], float]


SYSTEM_CLOCKS = Clocks(lambda: time.time_ns() // 1_000, time.monotonic)


class _State(Struct):
    """`now_us` is the time of this clock. The wall clock has differed from it by `ahead_us` for `steady_s` of
    running."""

    now_us: int
    ahead_us: int = 0
    steady_s: float = 0.0


class RetentionClock:
    """The clock of one log. `kept_s` is the retention, `newest_us` the time at which the newest request was
    recorded, 0 if there is none. Not thread-safe."""

    def __init__(self, folder: Path, kept_s: float, newest_us: int, clocks: Clocks) -> None:
        self._file = folder / FILE
        self._clocks = clocks
        self._confirmed_after_s = min(CONFIRMED_AFTER_S, kept_s)
        self._max_step_us = int(min(MAX_STEP_S, kept_s / 10) * 1_000_000)
        self._seen_s = clocks.monotonic_s()
        self._waits = False
        self._state = self._read() or _State(newest_us or clocks.wall_us())

    def now_us(self) -> int:
        """Returns the time by which telemetry may be removed, in microseconds since 1970."""
        state, wall_us, monotonic_s = self._state, self._clocks.wall_us(), self._clocks.monotonic_s()
        passed_s, self._seen_s = max(0.0, monotonic_s - self._seen_s), monotonic_s
        state.now_us += int(passed_s * 1_000_000)
        ahead_us = wall_us - state.now_us
        if abs(ahead_us) <= self._max_step_us:
            self._state = _State(wall_us)
        elif abs(ahead_us - state.ahead_us) > _STEADY_S * 1_000_000:
            state.ahead_us, state.steady_s = ahead_us, 0.0
        else:
            state.steady_s += passed_s
            if state.steady_s >= self._confirmed_after_s:
                logger.warning("the clock is taken as right: it has been steady for %.0f s", state.steady_s)
                self._state = _State(wall_us)
        if bool(self.waits) != self._waits:
            self._waits = bool(self.waits)
            logger.warning("%s", self.waits or "Telemetry is removed by its age again.")
        return min(self._state.now_us, wall_us)

    @property
    def waits(self) -> str:
        """Returns why telemetry is not removed for its age; empty while the wall clock is followed."""
        ahead_s = self._state.ahead_us / 1_000_000
        if not ahead_s:
            return ""
        left_s = max(0.0, self._confirmed_after_s - self._state.steady_s)
        days = f"{abs(ahead_s) / 86_400:.1f} days {'ahead of' if ahead_s > 0 else 'behind'}"
        return (
            f"The clock is {days} what was seen last: it was set, or the server was down. Telemetry is not removed for "
            f"its age until the server has run with it for {left_s / 3600:.1f} h more."
        )

    def save(self) -> None:
        """Stores the time for the next start. Raises OSError."""
        replace(self._file, msgspec.json.encode(self._state).decode())

    def _read(self) -> _State | None:
        with suppress(OSError, msgspec.MsgspecError, UnicodeDecodeError):
            return msgspec.json.decode(self._file.read_bytes(), type=_State)
        return None
