"""The requirements on any telemetry log. A log under test is opened by the fixture `open_log`, by name."""

from __future__ import annotations

import threading
from concurrent.futures import Future
from typing import Protocol

import pytest

from telemetry.log.port import CONTENTS, Content, LogFull, TelemetryLog


class OpenLog(Protocol):
    def __call__(self, name: str = "log") -> TelemetryLog:
        """Opens the log `name`; the same name again (after closing) opens the same log."""
        ...


def put(log: TelemetryLog, *bodies: bytes) -> list[int]:
    return [done.result(10) for done in [log.append(Content("traces"), body) for body in bodies]]


def bodies(log: TelemetryLog, after: int = 0) -> list[bytes]:
    found: list[bytes] = []
    while entries := log.read(after, 1_000):
        found += [entry.body for entry in entries]
        after = entries[-1].position
    return found


class LogContract:
    def test_requests_get_positions_in_order_and_come_back(self, open_log: OpenLog) -> None:
        log = open_log()
        assert (log.head(), log.first(), log.read(0, 100)) == (0, 1, [])
        assert put(log, b"one", b"", b"three") == [1, 2, 3]
        assert log.head() == 3
        entries = log.read(0, 100)
        assert [entry.position for entry in entries] == [1, 2, 3]
        assert [entry.body for entry in entries] == [b"one", b"", b"three"]
        assert [entry.recorded_at for entry in entries] == sorted(entry.recorded_at for entry in entries)
        assert [entry.body for entry in log.read(2, 100)] == [b"three"]
        assert log.read(3, 100) == []

    @pytest.mark.parametrize("content", CONTENTS)
    def test_the_kind_of_content_is_kept(self, open_log: OpenLog, content: str) -> None:
        log = open_log()
        log.append(content, b"x").result(10)  # type: ignore[arg-type]
        assert log.read(0, 10)[0].content == content

    def test_what_was_acknowledged_is_there_after_opening_again(self, open_log: OpenLog) -> None:
        log = open_log()
        put(log, b"a", b"b")
        epoch = log.epoch
        log.close()
        log.close()
        log = open_log()
        assert (log.epoch, log.head(), bodies(log)) == (epoch, 2, [b"a", b"b"])
        assert put(log, b"c") == [3]
        assert open_log("another").epoch != epoch

    def test_a_read_is_bounded_and_gives_at_least_one(self, open_log: OpenLog) -> None:
        log = open_log()
        put(log, *[bytes([number]) * 1_000 for number in range(50)])
        assert len(log.read(0, 1)) == 1
        assert 2 <= len(log.read(0, 5_000)) <= 5
        assert bodies(log) == [bytes([number]) * 1_000 for number in range(50)]

    def test_concurrent_appends_lose_nothing(self, open_log: OpenLog) -> None:
        log = open_log()
        positions: dict[int, bytes] = {}

        def append(client: int) -> None:
            for number in range(50):
                body = b"%d:%d" % (client, number)
                positions[log.append(Content("traces"), body).result(10)] = body

        threads = [threading.Thread(target=append, args=(client,)) for client in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(positions) == list(range(1, 401))
        assert bodies(log) == [positions[position] for position in range(1, 401)]

    def test_followers_are_woken_until_they_end(self, open_log: OpenLog) -> None:
        log = open_log()
        heads: list[int] = []
        end = log.subscribe(heads.append)
        put(log, b"a")
        put(log, b"b")
        log.close()
        assert heads[-1] == 2
        end()

    def test_a_full_intake_refuses_and_a_closed_log_too(self, open_log: OpenLog) -> None:
        log = open_log()
        large = b"x" * (40 * 2**20)
        accepted: list[Future[int]] = []
        with pytest.raises(LogFull):
            while len(accepted) < 50:
                accepted += [log.append(Content("traces"), large)]
        assert [one.result(60) for one in accepted] == list(range(1, len(accepted) + 1))
        log.close()
        with pytest.raises(LogFull):
            log.append(Content("traces"), b"late")

    def test_the_oldest_are_removed_once_they_are_too_many(self, open_log: OpenLog) -> None:
        log = open_log()
        put(log, *[bytes([number]) * 2_000 for number in range(40)])
        for _ in range(5):
            put(log, b"x" * 2_000)
        log.trim(0, 10**9, until=10**9)
        assert log.first() == 1
        log.trim(0, 20_000, until=0)
        assert log.first() == 1, "what no one has taken over yet is gone"
        log.trim(0, 20_000, until=10**9)
        assert 1 < log.first() <= 45
        left = log.read(0, 10**9)
        assert left[0].position == log.first() and left[-1].position == 45
        log.trim(2**62, 10**9, until=10**9)
        assert put(log, b"on") == [46]
        head, first = log.head(), log.first()
        log.close()
        log = open_log()
        assert (log.head(), log.first()) == (head, first)
        assert log.read(0, 10**9)[0].position == first
