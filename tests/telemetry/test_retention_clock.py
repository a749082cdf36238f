"""Retention goes by a clock that has not jumped, whatever the wall clock says."""

from __future__ import annotations

from pathlib import Path

import pytest

from telemetry.log.retention_clock import Clocks, RetentionClock

DAY_S = 86_400.0
DAY_US = 86_400_000_000
START_US = 1_700_000_000_000_000


class Machine:
    """A machine whose clocks are set by the test, and the telemetry log's folder on it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.wall_us = START_US
        self.monotonic_s = 1_000.0
        self.clock = self.started()

    def started(self, newest_us: int = START_US, kept_days: float = 30.0) -> RetentionClock:
        clocks = Clocks(lambda: self.wall_us, lambda: self.monotonic_s)
        self.clock = RetentionClock(self.folder, kept_days * DAY_S, newest_us, clocks)
        return self.clock

    def jump(self, days: float) -> None:
        self.wall_us += int(days * DAY_US)

    def run(self, days: float, step_s: float = 60.0) -> int:
        """Runs for so long, with a look at the clock at each step; returns what it shows then."""
        now_us = self.clock.now_us()
        for _ in range(int(days * DAY_S / step_s)):
            self.monotonic_s += step_s
            self.wall_us += int(step_s * 1_000_000)
            now_us = self.clock.now_us()
            self.clock.save()
        return now_us


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


@pytest.mark.slow
def test_it_is_the_wall_clock_while_nothing_jumps(machine: Machine) -> None:
    assert machine.run(2.0) == machine.wall_us and not machine.clock.waits


@pytest.mark.parametrize("days", [40.0, 20 * 365.0])
def test_a_clock_that_is_ahead_at_start_removes_nothing(machine: Machine, days: float) -> None:
    machine.run(0.1)
    machine.jump(days)
    for _ in range(3):  # A restart does not confirm it, whatever was recorded meanwhile.
        machine.started(newest_us=machine.wall_us)
        assert machine.run(0.1) < START_US + DAY_US
        assert "days ahead" in machine.clock.waits
    machine.jump(-days)
    machine.started(newest_us=machine.wall_us + int(days * DAY_US))
    assert machine.run(0.01) == machine.wall_us and not machine.clock.waits


def test_a_clock_that_jumps_while_the_server_runs_removes_nothing(machine: Machine) -> None:
    machine.run(0.1)
    machine.jump(40.0)
    assert machine.run(0.1) < START_US + DAY_US
    machine.jump(-40.0)
    assert machine.run(0.01) == machine.wall_us


@pytest.mark.parametrize("days", [-400.0, -2.0])
def test_a_clock_that_is_set_back_removes_nothing(machine: Machine, days: float) -> None:
    machine.run(0.1)
    machine.jump(days)
    assert machine.run(0.1) <= machine.wall_us
    machine.jump(-days)
    assert machine.run(0.1) <= machine.wall_us


def test_after_a_fresh_start_with_a_clock_that_was_behind_nothing_is_removed(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    machine.jump(-400.0)
    machine.started(newest_us=0)
    machine.run(0.1)
    machine.jump(400.0)
    machine.started(newest_us=machine.wall_us - 400 * DAY_US)
    assert machine.run(0.1) < START_US - 300 * DAY_US


@pytest.mark.slow
def test_a_server_that_was_down_for_long_removes_again_after_a_day(machine: Machine) -> None:
    machine.run(0.1)
    machine.jump(40.0)
    machine.started()
    machine.run(0.9)
    assert machine.clock.waits
    assert machine.run(0.2) == machine.wall_us and not machine.clock.waits


@pytest.mark.slow
def test_a_clock_that_goes_on_jumping_is_not_confirmed(machine: Machine) -> None:
    machine.jump(40.0)
    for _ in range(5):
        machine.run(0.5)
        machine.jump(1.0)
    assert machine.clock.now_us() < START_US + 4 * DAY_US


def test_a_short_stop_is_followed_at_once(machine: Machine) -> None:
    machine.run(0.1)
    machine.jump(2.0)
    machine.started()
    assert machine.run(0.01) == machine.wall_us


@pytest.mark.slow
def test_the_step_is_small_where_little_is_kept(machine: Machine) -> None:
    machine.started(kept_days=1.0)
    machine.run(0.1)
    machine.jump(1.0)
    assert machine.run(0.1) < START_US + DAY_US
    assert machine.run(1.0) == machine.wall_us


def test_a_damaged_file_falls_back_to_the_newest_request(machine: Machine) -> None:
    machine.run(0.1)
    (machine.folder / "clock").write_bytes(b"\xff")
    machine.jump(40.0)
    machine.started(newest_us=START_US)
    assert machine.run(0.1) < START_US + DAY_US
