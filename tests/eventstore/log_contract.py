"""The requirements on any event log. A log is tested by subclassing `LogContract` and giving a fixture `open_log`.

`open_log(name="log", *, clock_us=None)` opens a log that the fixture closes; `log` is one freshly opened.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import pytest

from schemas.events.agent import AgentDeleted
from schemas.events.session import SessionDeleted, SessionTurnOpened
from stack.errors import Unavailable, VersionConflict
from stack.eventstore import (
    Append,
    Appended,
    CommandKnown,
    EventStore,
    Expect,
    Fold,
    split_stream,
    stream_name,
)
from tests.eventstore.content_contract import ContentContract
from tests.eventstore.samples import NAMES, fresh, one, session, texts, write
from tests.eventstore.selection_contract import SelectionContract


class LogContract(ContentContract, SelectionContract):
    async def test_an_append_is_read_back(self, log: EventStore) -> None:
        stream = fresh()
        first = await log.append(one(stream, 0, session("one"), SessionTurnOpened(turn_id="t", actor="me")))
        second = await log.append(one(stream, 2, SessionDeleted()))
        assert (first.first, first.last) == (1, 2)
        assert (second.first, second.last) == (3, 3)
        events = await log.read_stream(stream)
        assert [e.position for e in events] == [1, 2, 3]
        assert [e.version for e in events] == [1, 2, 3]
        assert [e.recorded_at for e in events] == [*first.recorded_at, *second.recorded_at]
        assert [e.event for e in events] == [
            session("one"),
            SessionTurnOpened(turn_id="t", actor="me"),
            SessionDeleted(),
        ]
        assert await log.read_stream(stream, after_version=2) == events[2:]
        assert log.head() == 3

    async def test_an_unknown_stream_is_empty(self, log: EventStore) -> None:
        assert await log.read_stream(fresh()) == []
        assert await log.load(fresh(), NAMES) == ((), 0)
        assert log.head() == 0
        assert log.feed.read(0, 10) == []

    async def test_many_streams_are_read_together(self, log: EventStore) -> None:
        streams = [fresh() for _ in range(450)]
        await asyncio.gather(*[log.append(one(s, 0, session(s), SessionDeleted())) for s in streams])
        missing = fresh()
        found = await log.read_streams([*streams, missing])
        assert list(found) == [*streams, missing]
        assert found.pop(missing) == []
        assert all([e.version for e in events] == [1, 2] for events in found.values())
        assert all(events[0].event == session(stream) for stream, events in found.items())
        assert await log.read_streams([]) == {}
        stored = await log.stored_streams([*streams, missing])
        assert sorted((one.stream, one.version) for one in stored) == sorted(
            (s, v) for s in streams for v in (1, 2)
        )
        assert all(one.state.startswith(b'{"event":"session.') for one in stored)
        assert await log.names_in([*streams, missing]) == {"session.created.1", "session.deleted.1"}
        assert await log.names_in([missing]) == set() and await log.names_in([]) == set()

    async def test_one_append_over_two_streams_is_one(self, log: EventStore) -> None:
        a, b = fresh(), fresh("turn")
        await log.append(one(a))
        with pytest.raises(VersionConflict) as conflict:
            await log.append(Append((write(b, 0), write(a, 0))))
        assert (conflict.value.stream, conflict.value.expected) == (a, 0)
        assert await log.read_stream(b) == []
        appended = await log.append(Append((write(b, 0), write(a, 1, session(), session()))))
        assert (appended.first, appended.last, len(appended.recorded_at)) == (2, 4, 3)

    async def test_a_conflict_leaves_its_neighbours_alone(self, log: EventStore) -> None:
        taken = fresh()
        await log.append(one(taken))
        streams = [fresh() for _ in range(40)]
        outcomes = await asyncio.gather(
            *[log.append(one(taken if n % 2 else stream)) for n, stream in enumerate(streams)],
            return_exceptions=True,
        )
        good, bad = outcomes[::2], outcomes[1::2]
        assert all(isinstance(outcome, VersionConflict) for outcome in bad)
        positions = [outcome.first for outcome in good if isinstance(outcome, Appended)]
        assert sorted(positions) == list(range(2, 22))

    async def test_of_two_appends_in_flight_on_one_stream_one_wins(self, log: EventStore) -> None:
        for _ in range(20):
            stream = fresh()
            outcomes = await asyncio.gather(
                log.append(one(stream, 0, session("a"))),
                log.append(one(stream, 0, session("b"))),
                return_exceptions=True,
            )
            assert sorted(type(outcome).__name__ for outcome in outcomes) == ["Appended", "VersionConflict"]
            assert len(await log.read_stream(stream)) == 1

    async def test_appends_may_follow_each_other_without_waiting(self, log: EventStore) -> None:
        stream = fresh()
        await asyncio.gather(*[log.append(one(stream, version)) for version in range(50)])
        assert [e.version for e in await log.read_stream(stream)] == list(range(1, 51))

    @pytest.mark.parametrize("version", [1, 7, -1])
    async def test_a_stream_begins_at_version_one(self, log: EventStore, version: int) -> None:
        with pytest.raises(VersionConflict):
            await log.append(one(fresh(), version))
        assert log.head() == 0

    async def test_expectations_hold_or_nothing_is_written(self, log: EventStore) -> None:
        agent, other = fresh("agent"), fresh()
        await log.append(one(agent))
        for version in (0, 2):
            with pytest.raises(VersionConflict) as conflict:
                await log.append(one(fresh(), expects=(Expect(agent, version),)))
            assert (conflict.value.stream, conflict.value.expected) == (agent, version)
        await log.append(one(fresh(), expects=(Expect(agent, 1), Expect(other, 0))))
        assert log.head() == 2

    async def test_an_expectation_races_with_a_write(self, log: EventStore) -> None:
        for _ in range(20):
            agent = fresh("agent")
            await log.append(one(agent))
            deleted, created = await asyncio.gather(
                log.append(one(agent, 1, AgentDeleted())),
                log.append(one(fresh(), expects=(Expect(agent, 1),))),
                return_exceptions=True,
            )
            if isinstance(created, Appended):
                assert isinstance(deleted, Appended)
                assert created.last < deleted.first
            else:
                assert isinstance(created, VersionConflict)

    async def test_a_command_is_recorded_once(self, log: EventStore, open_log: Any) -> None:
        stream = fresh()
        command = Append((write(stream, 0, session(), session()), write(fresh(), 0)), command="k1")
        first = await log.append(command)
        # Whatever else the append says, the command is done.
        for append in (command, one(fresh(), 9, command="k1")):
            with pytest.raises(CommandKnown) as known:
                await log.append(append)
            assert (known.value.command, known.value.appended) == ("k1", first)
        log.close()
        with pytest.raises(CommandKnown) as known:
            await open_log().append(command)
        assert known.value.appended == first

    async def test_one_command_many_times_at_once_is_done_once(self, log: EventStore) -> None:
        outcomes = await asyncio.gather(
            *[log.append(one(fresh(), command="k")) for _ in range(30)], return_exceptions=True
        )
        [done] = [outcome for outcome in outcomes if isinstance(outcome, Appended)]
        known = [outcome.appended for outcome in outcomes if isinstance(outcome, CommandKnown)]
        assert known == [done] * 29
        assert log.head() == 1

    async def test_a_refused_command_may_try_again(self, log: EventStore) -> None:
        stream = fresh()
        with pytest.raises(VersionConflict):
            await log.append(one(stream, 4, command="k"))
        assert (await log.append(one(stream, 0, command="k"))).first == 1

    async def test_commands_are_found_by_prefix(self, log: EventStore) -> None:
        streams = (fresh(), fresh("turn"))
        await log.append(one(fresh(), command="a:1"))
        newest = await log.append(
            Append((write(streams[0], 0, session(), session()), write(streams[1], 0)), command="a:2")
        )
        await log.append(one(fresh(), command="b:1"))
        found = await log.find_command("a:")
        assert found is not None
        assert found == ("a:2", newest.first, newest.recorded_at[0], streams)
        assert await log.find_command("a:", since_us=newest.recorded_at[-1] + 1) is None
        assert await log.find_command("a:1", since_us=0) is not None
        assert await log.find_command("c") is None
        for wildcard in ("%", "_", "a%", "*"):
            assert await log.find_command(wildcard) is None

    async def test_concurrent_appends_get_contiguous_positions(self, log: EventStore) -> None:
        async def client(number: int) -> list[int]:
            got = []
            for version in range(20):
                appended = await log.append(one(stream_name("session", f"{number}"), version))
                got.append(appended.first)
            return got

        positions = await asyncio.gather(*[client(number) for number in range(50)])
        assert all(mine == sorted(mine) for mine in positions)
        assert sorted(position for mine in positions for position in mine) == list(range(1, 1_001))

    async def test_recorded_at_rises_whatever_the_clock_does(self, open_log: Any) -> None:
        now = iter([5_000_000, 5_000_000, 4_000_000, 9_000_000])
        clock: Callable[[], int] = lambda: next(now, 1_000)  # noqa: E731
        log = open_log(clock_us=clock)
        times: list[int] = []
        for _ in range(6):
            times += (await log.append(one(fresh(), 0, session(), session()))).recorded_at
        log.close()
        log = open_log(clock_us=clock)
        times += (await log.append(one(fresh(), 0, session(), session()))).recorded_at
        assert all(earlier < later for earlier, later in pairwise(times))
        assert 9_000_000 in times
        assert [record.recorded_at for record in log.feed.read(0, 100)] == times

    async def test_a_position_is_found_by_its_time(self, log: EventStore) -> None:
        assert await log.position_at(2**62) == 0
        times: list[int] = []
        for count in (1, 3, 2):
            times += (await log.append(one(fresh(), 0, *[session()] * count))).recorded_at
        for position, at in enumerate(times, 1):
            assert [await log.position_at(at + off) for off in (-1, 0)] == [position - 1, position]
        assert [await log.position_at(at) for at in (-1, 0, 2**62)] == [0, 0, 6]

    async def test_a_state_as_of_a_position(self, log: EventStore) -> None:
        stream, last = fresh(), Fold("", lambda _, event, at, version: f"{version}", last_only=True)
        await log.append(one(stream))
        await log.append(one(fresh()))
        await log.append(one(stream, 1, SessionTurnOpened(turn_id="t"), SessionDeleted()))
        names = [await log.load_fresh(stream, NAMES, position) for position in range(6)]
        assert [version for _, version in names] == [0, 1, 1, 2, 3, 3]
        assert names[3].state == ("SessionCreated", "SessionTurnOpened")
        states = [await log.load_fresh(stream, last, position) for position in range(6)]
        assert states == [("", 0), ("1", 1), ("1", 1), ("2", 2), ("3", 3), ("3", 3)]
        assert (await log.load(stream, NAMES)).version == 3

    async def test_positions_and_the_epoch_survive_reopening(self, log: EventStore, open_log: Any) -> None:
        stream = fresh()
        await log.append(one(stream, 0, session(), session()))
        epoch = log.epoch
        log.close()
        log = open_log()
        assert (log.epoch, log.feed.epoch, log.head()) == (epoch, epoch, 2)
        assert log.category_head("session") == 2
        assert (await log.append(one(stream, 2))).first == 3
        assert open_log("another").epoch != epoch

    async def test_category_heads(self, log: EventStore) -> None:
        assert log.category_head("agent") == 0
        await log.append(Append((write(fresh("agent"), 0), write(fresh(), 0, session(), session()))))
        assert (log.category_head("agent"), log.category_head("session")) == (1, 3)
        assert log.category_head("turn") == 0

    async def test_a_load_follows_appends(self, log: EventStore) -> None:
        stream = fresh()
        assert await log.load(stream, NAMES) == ((), 0)
        await log.append(one(stream))
        assert await log.load(stream, NAMES) == (("SessionCreated",), 1)
        await log.append(one(stream, 1, SessionTurnOpened(turn_id="t"), SessionDeleted()))
        expected = (("SessionCreated", "SessionTurnOpened", "SessionDeleted"), 3)
        assert await log.load(stream, NAMES) == expected
        assert await log.load_fresh(stream, NAMES) == expected

    async def test_evolve_sees_times_and_versions(self, log: EventStore) -> None:
        seen = Fold[tuple[tuple[int, int], ...]]((), lambda state, _, at, version: (*state, (version, at)))
        stream = fresh()
        await log.load(stream, seen)
        first = await log.append(one(stream, 0, session(), session()))
        second = await log.append(one(stream, 2))
        expected = tuple(enumerate([*first.recorded_at, *second.recorded_at], 1))
        assert (await log.load(stream, seen)).state == expected
        assert (await log.load_fresh(stream, seen)).state == expected

    async def test_loads_during_appends_never_go_back(self, log: EventStore) -> None:
        stream = fresh()
        versions: list[int] = []

        async def loads() -> None:
            while not versions or versions[-1] < 100:
                versions.append((await log.load(stream, NAMES)).version)
                await asyncio.sleep(0)

        async def appends() -> None:
            for version in range(100):
                await log.append(one(stream, version))
                assert (await log.load(stream, NAMES)).version >= version + 1

        await asyncio.gather(loads(), loads(), appends())
        assert (await log.load(stream, NAMES)).version == 100

    async def test_tenants_are_apart(self, log: EventStore) -> None:
        mine, yours = (stream_name("session", "a/b", tenant) for tenant in ("me", "you"))
        await log.append(one(mine, 0, session("mine")))
        await log.append(one(yours, 0, session("yours")))
        assert (await texts(log, mine), await texts(log, yours)) == (["mine"], ["yours"])
        assert split_stream(mine) == ("me", "session", "a/b")

    async def test_a_subscriber_is_woken_by_a_commit(self, log: EventStore) -> None:
        woken, heads = threading.Event(), []

        def wake(head: int) -> None:
            heads.append(head)
            woken.set()

        end = log.feed.subscribe(wake)
        await log.append(one(fresh()))
        assert await asyncio.to_thread(woken.wait, 5)
        assert heads[-1] == log.head() == log.feed.head() == 1
        end()
        end()
        woken.clear()
        await log.append(one(fresh()))
        assert not woken.is_set()

    async def test_a_failing_subscriber_disturbs_nobody(self, log: EventStore) -> None:
        woken = threading.Event()

        def fail(_: int) -> None:
            raise RuntimeError

        log.feed.subscribe(fail)
        log.feed.subscribe(lambda _: woken.set())
        await log.append(one(fresh()))
        assert await asyncio.to_thread(woken.wait, 5)

    async def test_a_follower_sees_everything_once(self, log: EventStore) -> None:
        seen: list[int] = []
        wake = threading.Event()
        log.feed.subscribe(lambda _: wake.set())

        def follow() -> None:
            while len(seen) < 500:
                records: Sequence[Any] = log.feed.read(seen[-1] if seen else 0, 7)
                seen.extend(record.position for record in records)
                if not records:
                    wake.wait(5)
                    wake.clear()

        follower = asyncio.create_task(asyncio.to_thread(follow))
        await asyncio.gather(*[log.append(one(fresh())) for _ in range(500)])
        await follower
        assert seen == list(range(1, 501))
        assert [r.position for r in log.feed.read(490, 5)] == [491, 492, 493, 494, 495]
        assert log.feed.read(500, 5) == []

    def test_a_loop_that_closes_early_harms_nobody(self, log: EventStore) -> None:
        streams = [fresh() for _ in range(30)]

        async def leave() -> None:
            for stream in streams:
                asyncio.ensure_future(log.append(one(stream)))  # noqa: RUF006
            await asyncio.sleep(0)

        asyncio.run(leave())

        async def after() -> int:
            await log.append(one(fresh()))
            return sum([len(await log.read_stream(stream)) for stream in streams])

        assert asyncio.run(after()) == 30

    def test_many_loops_at_once(self, log: EventStore) -> None:
        async def appends() -> list[int]:
            return [(await log.append(one(fresh()))).first for _ in range(50)]

        positions: list[int] = []
        threads = [
            threading.Thread(target=lambda: positions.extend(asyncio.run(appends()))) for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(positions) == list(range(1, 201))

    async def test_a_cancelled_append_leaves_the_log_in_order(self, log: EventStore) -> None:
        stream = fresh()
        await log.load(stream, NAMES)
        task = asyncio.create_task(log.append(one(stream)))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await log.append(one(fresh()))
        assert (await log.load(stream, NAMES)).version == len(await log.read_stream(stream))

    async def test_closing_records_what_was_accepted(self, log: EventStore, open_log: Any) -> None:
        streams = [fresh() for _ in range(100)]
        appends = [asyncio.create_task(log.append(one(stream))) for stream in streams]
        await asyncio.sleep(0)
        await asyncio.to_thread(log.close)
        assert all([(await append).first for append in appends])
        for refused in (log.append(one(fresh())), log.read_stream(fresh()), log.load(fresh(), NAMES)):
            with pytest.raises(Unavailable):
                await refused
        log.close()
        assert open_log().head() == 100
