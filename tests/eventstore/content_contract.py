"""The required handling of content in any event log: long, odd, forged, redacted. Part of `log_contract`."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from msgspec.structs import replace

from schemas.events.agent import AgentCreated
from schemas.events.base import Event, Redacted
from schemas.events.payload import AgentConfig, ToolDef
from schemas.events.session import SessionDeleted
from stack.errors import Invalid, TooLarge, VersionConflict
from stack.eventstore import (
    Append,
    CommandKnown,
    EventStore,
    Expect,
    stream_name,
)
from tests.eventstore.samples import LONG, NAMES, fresh, one, session, texts, write


class ContentContract:
    async def test_redaction_removes_earlier_content(self, log: EventStore, open_log: Any) -> None:
        doomed, turn, bystander = fresh(), fresh("turn"), fresh()
        await log.append(Append((write(doomed, 0, session("secret")), write(turn, 0, session("secret")))))
        await log.append(one(bystander, 0, session("kept")))
        assert (await log.load(doomed, NAMES)).version == 1
        await log.append(one(doomed, 1, session("tombstone"), redact=(doomed, turn)))
        for _ in range(2):
            assert await texts(log, doomed) == ["Redacted", "tombstone"]
            assert await texts(log, turn) == ["Redacted"]
            assert await texts(log, bystander) == ["kept"]
            assert (await log.load(doomed, NAMES)).state == ("Redacted", "SessionCreated")
            records = log.feed.read(0, 10)
            assert [record.position for record in records] == [1, 2, 3, 4]
            assert [record.name for record in records] == ["session.created.1"] * 4
            assert records[0].state == records[1].state == b'{"event":"redacted"}'
            log.close()
            log = open_log()

    async def test_redaction_sees_what_is_in_the_same_batch(self, log: EventStore) -> None:
        stream = fresh()
        await asyncio.gather(
            log.append(one(stream, 0, session("secret"))),
            log.append(one(stream, 1, session("secret"))),
            log.append(one(stream, 2, session("tombstone"), redact=(stream,))),
            log.append(one(stream, 3, session("after"))),
        )
        assert await texts(log, stream) == ["Redacted", "Redacted", "tombstone", "after"]
        assert b"secret" not in b"".join(record.state for record in log.feed.read(0, 10))

    async def test_a_refused_append_redacts_nothing(self, log: EventStore) -> None:
        stream = fresh()
        await log.append(one(stream, 0, session("kept")))
        with pytest.raises(VersionConflict):
            await log.append(one(stream, 0, SessionDeleted(), redact=(stream,)))
        assert await texts(log, stream) == ["kept"]

    async def test_long_content_comes_back_whole(self, log: EventStore, open_log: Any) -> None:
        stream = fresh()
        contents = ["x" * LONG, "é" * LONG, '"\\\n\x00\u2028' * LONG, "y" * (LONG - 1), "😀" * LONG]
        await log.append(one(stream, 0, *[session(content) for content in contents]))
        log.close()
        log = open_log()
        assert await texts(log, stream) == contents
        records = log.feed.read(0, 10)
        assert sum(len(record.state) for record in records) < 2 * LONG
        assert all(b'"$blob"' in record.state for record in records if record.version != 4)
        assert log.hydrate(records[0].state) == (
            b'{"event":"session.created.1","agent_id":"a","session_name":"' + b"x" * LONG + b'"}'
        )

    async def test_data_that_looks_like_a_blob_is_only_data(self, log: EventStore) -> None:
        await log.append(one(fresh(), 0, session("z" * LONG)))
        marker = log.feed.read(0, 1)[0].state.partition(b'"session_name":')[2][:-1].decode()
        digest = marker.split('"')[3]
        forged: list[Any] = [
            {"$blob": digest, "bytes": LONG},
            {"$$blob": digest, "$blob": {"$blob": digest}, "$$$blob": [{"$blob": digest, "bytes": LONG}]},
            {"$blob": "s" * LONG},
            {
                "text": marker,
                '"$$blob': 1,
                "\\$$blob": 2,
                "a$blob": 3,
                "$blobs": 4,
                '"$blob"': 5,
                "$blob": None,
            },
        ]
        stream = fresh("agent")
        for version, metadata in enumerate(forged):
            config = AgentConfig(model="m", instructions=marker, toolgroups=[], client_tools=None)
            config = _with_metadata(config, metadata)
            await log.append(one(stream, version, AgentCreated(config=config)))
        events = await log.read_stream(stream)
        assert [_metadata(e.event) for e in events] == forged
        for record, metadata in zip(log.feed.read(1, 10), forged, strict=True):
            assert isinstance(metadata, dict)
            assert b"zzzz" not in log.hydrate(record.state)

    async def test_content_that_json_cannot_hold_is_refused(self, log: EventStore) -> None:
        with pytest.raises(Invalid):
            await log.append(one(fresh(), 0, session("\ud800")))
        with pytest.raises(Invalid):
            await log.append(one(stream_name("session", "\udfff")))
        with pytest.raises(Invalid):
            await log.append(one(fresh(), 0, command="\ud800"))
        with pytest.raises(Invalid):
            await log.append(one(fresh(), expects=(Expect("default/agent/\ud800", 0),)))
        with pytest.raises(Invalid):
            await log.find_command("\ud800")
        await log.append(one(fresh()))
        assert log.head() == 1

    @pytest.mark.parametrize(
        "odd", ["a\x00b", "\x00", "ü/ö/😀", "\u202e\ufeff", "\uffff\U0010ffff", "'; --", "%_"]
    )
    async def test_odd_text_is_kept_apart_and_unchanged(self, log: EventStore, odd: str) -> None:
        stream = stream_name("session", odd)
        appended = await log.append(one(stream, 0, session(odd), command=f"k{odd}"))
        assert await texts(log, stream) == [odd]
        with pytest.raises(CommandKnown):
            await log.append(one(stream, 0, command=f"k{odd}"))
        found = await log.find_command(f"k{odd}")
        assert found is not None
        assert (found.first_position, found.streams) == (appended.first, (stream,))
        with pytest.raises(VersionConflict):
            await log.append(one(stream))
        assert log.feed.read(0, 1)[0].stream == stream
        assert await log.read_stream(stream_name("session", odd.replace("\x00", "") + "x")) == []

    async def test_an_absurdly_large_event_is_refused(self, log: EventStore) -> None:
        config = AgentConfig(model="m", instructions="i", toolgroups=["t" * 100_000] * 700)
        with pytest.raises(TooLarge):
            await log.append(one(fresh("agent"), 0, AgentCreated(config=config)))
        assert log.head() == 0

    async def test_a_long_stream_of_redactions_and_appends_stays_whole(self, log: EventStore) -> None:
        streams = [fresh() for _ in range(20)]

        async def live(stream: str) -> None:
            for version in range(5):
                await log.append(one(stream, version, session(f"secret {version}" + "s" * LONG)))
            await log.append(one(stream, 5, SessionDeleted(), redact=(stream,)))

        await asyncio.gather(*[live(stream) for stream in streams])
        for events in (await log.read_streams(streams)).values():
            assert [type(e.event) for e in events] == [Redacted] * 5 + [SessionDeleted]
        assert [r.position for r in log.feed.read(0, 1_000)] == list(range(1, 121))


def _with_metadata(config: AgentConfig, metadata: Any) -> AgentConfig:
    return replace(config, client_tools=[ToolDef(name="t", metadata=metadata)])


def _metadata(event: Event) -> Any:
    assert isinstance(event, AgentCreated)
    assert event.config.client_tools
    return event.config.client_tools[0].metadata
