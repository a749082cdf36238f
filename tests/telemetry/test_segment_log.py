"""The telemetry log in segment files: the contract of every log, and what is about files and crashes."""

from __future__ import annotations

import os
import random
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from telemetry.log.segment import ENDING
from telemetry.log.segment_log import SegmentLog
from tests.telemetry.log_contract import LogContract, OpenLog, bodies, put

ROOT = Path(__file__).parents[2]
KILLS = 12
DAY_US = 86_400_000_000


@pytest.fixture
def open_log(tmp_path: Path) -> Iterator[OpenLog]:
    opened: list[SegmentLog] = []

    def open_(name: str = "log") -> SegmentLog:
        opened.append(SegmentLog(tmp_path / name, segment_bytes=10_000))
        return opened[-1]

    yield open_
    for log in opened:
        log.close()


class TestSegmentLog(LogContract):
    pass


def last_file(folder: Path) -> Path:
    return max(folder.glob(f"*{ENDING}"))


@pytest.mark.parametrize("lost", [1, 4, 8, 20, 25, 30])
def test_a_torn_end_is_cut_off(tmp_path: Path, open_log: OpenLog, lost: int) -> None:
    log = open_log()
    put(log, b"a" * 10, b"b" * 10)
    log.close()
    file = last_file(tmp_path / "log")
    with file.open("r+b") as torn:
        torn.truncate(file.stat().st_size - lost)
    log = open_log()
    assert bodies(log) == [b"a" * 10]
    assert put(log, b"c") == [2]
    log.close()
    assert bodies(open_log()) == [b"a" * 10, b"c"]


def test_a_changed_byte_ends_what_can_be_read(tmp_path: Path, open_log: OpenLog) -> None:
    log = open_log()
    put(log, b"a" * 100, b"b" * 100)
    log.close()
    file = last_file(tmp_path / "log")
    content = bytearray(file.read_bytes())
    content[-50] ^= 1
    file.write_bytes(content)
    assert bodies(open_log()) == [b"a" * 100]


def test_damage_while_the_log_is_open_is_reported(tmp_path: Path, open_log: OpenLog) -> None:
    log = open_log()
    for _ in range(30):
        put(log, b"x" * 1_000)
    log.close()
    files = sorted((tmp_path / "log").glob(f"*{ENDING}"))
    assert len(files) > 2
    log = open_log()
    assert len(log.read(0, 100)) == 1
    content = bytearray(files[0].read_bytes())
    content[1_500] ^= 1
    files[0].write_bytes(content)
    assert bodies(log) == [b"x" * 1_000] * 29
    [damage] = log.damages()
    assert (damage.first, damage.last, damage.file) == (2, 2, files[0].name)


def test_a_file_takes_no_more_after_a_day_and_goes_when_it_is_too_old(tmp_path: Path) -> None:
    now = 1_000_000_000_000
    log = SegmentLog(tmp_path / "log", clock_us=lambda: now)
    for _ in range(4):
        put(log, b"a", b"b")
        now += DAY_US * 3 // 4
    files = sorted((tmp_path / "log").glob(f"*{ENDING}"))
    assert [int(file.stem) for file in files] == [1, 5]
    log.trim(now - 2 * DAY_US, 2**40, 8)
    assert log.first() == 5 and bodies(log) == [b"a", b"b"] * 2
    log.trim(now + DAY_US, 2**40, 8)
    assert log.first() == 5  # The newest file stays.
    log.close()
    log = SegmentLog(tmp_path / "log", clock_us=lambda: now)
    put(log, b"c")
    assert len(list((tmp_path / "log").glob(f"*{ENDING}"))) == 2
    log.close()


def test_a_full_disk_refuses_and_keeps_nothing_of_it(tmp_path: Path) -> None:
    script = """
import resource, signal, sys
from pathlib import Path
from telemetry.log.port import Content
from telemetry.log.segment_log import SegmentLog
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
log = SegmentLog(Path(sys.argv[1]))
print(log.append(Content("traces"), b"a" * 1000).result(10))
resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, resource.RLIM_INFINITY))
try:
    log.append(Content("traces"), b"b" * 100_000).result(10)
except Exception as error:
    print(type(error).__name__)
print(log.append(Content("traces"), b"c" * 1000).result(10))
log.close()
"""
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "log")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == ["1", "LogFailed", "2"]
    log = SegmentLog(tmp_path / "log")
    assert bodies(log) == [b"a" * 1000, b"c" * 1000]
    log.close()
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] == resource.RLIM_INFINITY


@pytest.mark.slow
def test_what_was_acknowledged_survives_kill_9(tmp_path: Path) -> None:
    """A process appends and reports what was acknowledged, until it is killed; then another one continues."""
    script = """
import os, sys
from pathlib import Path
from telemetry.log.port import Content
from telemetry.log.segment_log import SegmentLog
log = SegmentLog(Path(sys.argv[1]), segment_bytes=50_000)
while True:
    body = os.urandom(8).hex().encode() * (1 + os.urandom(1)[0])
    for done in [log.append(Content("traces"), body) for _ in range(3)]:
        position = done.result(10)
    os.write(1, b"%d %d\\n" % (position, len(body)))
"""
    chance = random.Random(os.urandom(8))
    acknowledged: dict[int, int] = {}
    for _ in range(KILLS):
        process = subprocess.Popen(
            [sys.executable, "-c", script, str(tmp_path / "log")], cwd=ROOT, stdout=subprocess.PIPE
        )
        assert process.stdout is not None
        lines = [process.stdout.readline()]
        time.sleep(chance.uniform(0.0, 0.1))
        process.send_signal(signal.SIGKILL)
        lines += process.stdout.read().splitlines()
        process.wait()
        process.stdout.close()
        for line in lines:
            if len(parts := line.split()) == 2:
                acknowledged[int(parts[0])] = int(parts[1])
    log = SegmentLog(tmp_path / "log", segment_bytes=50_000)
    found = {}
    after = 0
    while entries := log.read(after, 10**6):
        found |= {entry.position: len(entry.body) for entry in entries}
        after = entries[-1].position
    log.close()
    assert list(found) == list(range(1, len(found) + 1))
    assert acknowledged and acknowledged.items() <= found.items()
