"""The required selections of records by position, name and stream. Part of `log_contract`."""

from __future__ import annotations

from typing import Any

import pytest

from schemas.events.session import SessionDeleted
from stack.eventstore import EventStore
from stack.eventstore.port import NamedRecords
from tests.eventstore.samples import fresh, one, session


class SelectionContract:
    @pytest.mark.parametrize("is_recent", [True, False])
    async def test_selections(self, log: EventStore, is_recent: bool) -> None:
        a, b, other = fresh(), fresh("turn"), fresh()
        for stream in (a, b, other, a, b):
            version = len(await log.read_stream(stream))
            await log.append(one(stream, version, SessionDeleted() if version else session(stream)))
        if not is_recent:
            log.others_wrote()

        def found(**wanted: Any) -> list[int]:
            selection = NamedRecords(**{"first": 1, "last": 5, "limit": 9, **wanted})
            assert (log.feed.recent(selection) is not None) == is_recent
            return [record.position for record in log.feed.selected(selection)]

        assert found() == [1, 2, 3, 4, 5]
        assert found(first=2, last=4) == [2, 3, 4] and found(limit=2) == [1, 2]
        assert found(names=["session.deleted.1"]) == [4, 5]
        assert found(names=["session.created.1", "session.deleted.1"], first=3) == [3, 4, 5]
        assert found(stream=a) == [1, 4] and found(stream=a, last=3) == [1] and found(stream=fresh()) == []
        assert found(stream=a, names=["session.deleted.1"]) == [4]
        assert found(prefix="default/turn/") == [2, 5]
        assert found(prefix="default/session/", names=["session.deleted.1"]) == [4]
        assert found(max_bytes=1) == [1], "the one with which the limit is reached"
