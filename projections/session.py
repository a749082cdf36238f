"""Existing sessions, with their turns."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from operator import itemgetter

from msgspec import Struct
from msgspec.json import Encoder

from projections.turn import TurnView, fold_turns
from projections.warehouse.plan import ReadModel
from projections.warehouse.reader import NOW, PAGE_BYTES, Reader, Row, page_of, rfc3339
from schemas.api.session import Session
from schemas.api.turn import Turn

# Runs after the turns' statements: a deletion must also cover what the same batch has just written.
READ_MODEL = ReadModel(
    name="session",
    tables=("sessions", "shared_turns", "session_deletions"),
    indexes=("sessions_by_id", "shared_turns_by_session"),
    apply=(
        "session_created",
        "session_forked_turns",
        "session_deletion",
        "session_deleted_sessions",
        "session_deleted_shared_turns",
        "session_deleted_turn_changes",
        "session_deleted_call_changes",
    ),
    queries=(
        "session_with_turns",
        "shared_turn_rows",
        "session_remains",
        "sessions_page",
        "session_ids_of_agent",
        "sessions_by_turns",
        "agents_with_orphans",
    ),
)

_encode = Encoder().encode
_position = itemgetter(-1)
_SESSION_BYTES = 128
"""Estimated size of a listed session without its name, in bytes."""


def get(
    reader: Reader,
    agent_id: str,
    session_id: str,
    turn_ids: Sequence[str] | None = None,
    as_of: int | None = None,
) -> Session | None:
    """Returns the session with its turns (only `turn_ids` if given) in the order of opening, including a
    running one.

    Returns None if the session is unknown, deleted, or not one of `agent_id`, or if that agent was deleted.
    """
    found = part(reader, agent_id, session_id, turn_ids, as_of=as_of)
    return None if found is None else found[0]


def part(
    reader: Reader,
    agent_id: str,
    session_id: str,
    turn_ids: Sequence[str] | None = None,
    start_index: int = 0,
    limit: int | None = None,
    max_bytes: int = NOW,
    as_of: int | None = None,
) -> tuple[Session, bool] | None:
    """As `get`, with the turns from `start_index` on, at most `limit` (None: all) and about `max_bytes` of JSON, at least
    one; and whether more follow."""
    wanted = {
        "session_id": session_id,
        "turn_ids": None if turn_ids is None else list(turn_ids),
        "as_of": NOW if as_of is None else as_of,
    }
    rows = sorted(reader.read("session_with_turns", {**wanted, "agent_id": agent_id}), key=_position)
    # The session's row has the lowest position of all, so it is the first one if it exists.
    if not rows or rows[0][0] != "session":
        return None
    parent, started_us, session_name = rows[0][2], rows[0][4], rows[0][6]
    shared = reader.read("shared_turn_rows", wanted) if parent else []
    views = fold_turns(reader, session_id, [*shared, *rows[1:]], start_index)
    turns, has_more = _fitting(views, limit, max_bytes)
    return Session(session_id, session_name, turns, rfc3339(started_us)), has_more


def _fitting(views: Iterable[TurnView], limit: int | None, max_bytes: int) -> tuple[list[Turn], bool]:
    turns: list[Turn] = []
    size, is_exact = 0, False
    for view in views:
        if limit is not None and len(turns) >= limit:
            return turns, True
        size += len(_encode(view.turn)) if is_exact else view.stored_bytes
        if size > max_bytes and not is_exact:
            # Events also hold what is not shown, such as documents.
            size, is_exact = sum(len(_encode(turn)) for turn in (*turns, view.turn)), True
        if turns and size > max_bytes:
            return turns, True
        turns.append(view.turn)
    return turns, False


class Remains(Struct, frozen=True, kw_only=True):
    """The known data of a session with damaged events; empty fields are unknown. `turns` are ids in the order
    of opening, without the `shared` ones; `forks` are the sessions of which it is the root."""

    agent_id: str
    name: str
    parent: str
    root: str
    turns: list[str]
    shared: list[str]
    forks: list[str]


def remains(reader: Reader, session_id: str, as_of: int | None = None) -> Remains:
    rows = reader.read(
        "session_remains", {"session_id": session_id, "as_of": NOW if as_of is None else as_of}
    )

    def first(column: int) -> str:
        return next((row[column] for row in rows if row[column]), "")

    return Remains(
        agent_id=first(0),
        name=first(1),
        parent=first(2),
        root=first(3),
        turns=[row[4] for row in rows if row[4] and not row[5]],
        shared=[row[4] for row in rows if row[5]],
        forks=[row[6] for row in rows if row[6]],
    )


def page(
    reader: Reader,
    agent_id: str,
    start_index: int = 0,
    limit: int | None = None,
    as_of: int | None = None,
    max_bytes: int = PAGE_BYTES,
) -> tuple[list[Session], bool]:
    """Returns sessions of the agent from `start_index` on, in the order of creation, at most `limit` (None:
    all) and `max_bytes`, and whether more follow. Their `turns` are left empty. Returns no sessions if the
    agent is unknown or deleted."""

    def fetch(offset: int, row_count: int, after: int) -> list[Row]:
        return reader.read(
            "sessions_page",
            {
                "agent_id": agent_id,
                "start_index": offset,
                "row_count": row_count,
                "after": after,
                "as_of": NOW if as_of is None else as_of,
            },
        )

    def make(row: Row) -> tuple[Session, int]:
        session_id, name, started_us, _ = row
        return Session(session_id, name, [], rfc3339(started_us)), len(name.encode()) + _SESSION_BYTES

    return page_of(fetch, make, start_index, limit, max_bytes)


def ids_of_agent(
    reader: Reader,
    agent_id: str,
    include_deleted_agent: bool = True,
    as_of: int | None = None,
) -> list[str]:
    """Returns the ids of the agent's existing sessions, in the order of creation. Sessions of a deleted agent
    are listed until each of them is deleted, because deleting them requires their ids."""
    rows = reader.read(
        "session_ids_of_agent", {"agent_id": agent_id, "as_of": NOW if as_of is None else as_of}
    )
    return [session_id for session_id, agent_exists in rows if agent_exists or include_deleted_agent]


def ids_by_turns(reader: Reader, agent_id: str) -> list[str]:
    """Ids of the sessions in which the agent has turns, including sessions whose creation is damaged in the log."""
    return [session_id for (session_id,) in reader.read("sessions_by_turns", {"agent_id": agent_id})]


def agents_with_orphans(reader: Reader) -> list[str]:
    """Returns the ids of deleted agents that still have sessions, because a deletion was interrupted."""
    return [agent_id for (agent_id,) in reader.read("agents_with_orphans", {})]
