"""Calls of server-side tools, which are effects, and the decisions that they need."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from msgspec import json

from projections.warehouse.plan import ReadModel
from projections.warehouse.reader import PAGE_BYTES, Reader, Row, page_of, rfc3339
from schemas.api.approval import Approval
from schemas.api.effect import Effect

READ_MODEL = ReadModel(
    name="tool_call",
    tables=("call_changes",),
    indexes=("call_changes_by_turn",),
    views=("tool_calls", "approvals"),
    apply=("call_changes",),
    queries=("tool_calls_page", "approvals_page", "approvals_taken", "unknown_effects"),
)

_ROW_BYTES = 512
"""Estimated size of an effect or an approval without arguments, content and request, in bytes."""

T = TypeVar("T")


def effects(
    reader: Reader,
    status: str = "",
    start_index: int = 0,
    limit: int | None = None,
    max_bytes: int = PAGE_BYTES,
) -> tuple[list[Effect], bool]:
    """Returns effects (only those of `status` if given) from `start_index` on, oldest first, at most `limit` (None: all)
    and `max_bytes`, and whether more follow."""
    fixed = {"status": status, "key": ""}
    return _page(reader, "tool_calls_page", fixed, _effect, (start_index, limit, max_bytes))


def unknown_effects(reader: Reader) -> int:
    """Returns the number of effects whose outcome is unknown."""
    return int(reader.read("unknown_effects", {})[0][0])


def effect(reader: Reader, key: str) -> Effect | None:
    """Returns the effect, or None if there is none of this key."""
    found, _ = _page(reader, "tool_calls_page", {"status": "", "key": key}, _effect, (0, 1, PAGE_BYTES))
    return found[0] if found else None


def approvals(
    reader: Reader,
    status: str = "",
    start_index: int = 0,
    limit: int | None = None,
    max_bytes: int = PAGE_BYTES,
) -> tuple[list[Approval], bool]:
    """Like `effects`, for decisions."""
    fixed = {"status": status, "approval_id": ""}
    return _page(reader, "approvals_page", fixed, _approval, (start_index, limit, max_bytes))


def approval(reader: Reader, approval_id: str) -> Approval | None:
    """Returns the decision, or None if there is none of this id."""
    fixed = {"status": "", "approval_id": approval_id}
    found, _ = _page(reader, "approvals_page", fixed, _approval, (0, 1, PAGE_BYTES))
    return found[0] if found else None


def taken(reader: Reader, approval_ids: Sequence[str]) -> list[str]:
    """Returns those of these ids that decisions have."""
    return [id for (id,) in reader.read("approvals_taken", {"ids": list(approval_ids)})]


def _page(
    reader: Reader,
    query: str,
    fixed: dict[str, Any],
    make: Callable[[Reader, Row], tuple[T, int]],
    page: tuple[int, int | None, int],
) -> tuple[list[T], bool]:
    def fetch(offset: int, row_count: int, after: int) -> list[Row]:
        return reader.read(query, {**fixed, "start_index": offset, "row_count": row_count, "after": after})

    return page_of(fetch, lambda row: make(reader, row), *page)


def _effect(reader: Reader, row: Row) -> tuple[Effect, int]:
    content = None if row[13] is None else reader.hydrate(row[13].encode())
    effect = Effect(
        key=row[0],
        status=row[1],
        agent_id=row[2],
        session_id=row[3],
        turn_id=row[4],
        call_id=row[5],
        tool_name=row[6],
        toolgroup=row[7],
        arguments=row[8],
        repeatable=row[9],
        attempts=row[10],
        called_at=rfc3339(row[11]),
        returned_at=None if row[12] is None else rfc3339(row[12]),
        content=None if content is None else json.decode(content),
        parent=row[14],
        settled_at=None if row[15] is None else rfc3339(row[15]),
        settled_by=row[16],
        settled_reason=row[17],
    )
    return effect, len(row[8]) + len(content or b"") + _ROW_BYTES


def _approval(reader: Reader, row: Row) -> tuple[Approval, int]:
    request = None if row[11] is None else reader.hydrate(row[11].encode())
    approval = Approval(
        approval_id=row[0],
        kind=row[1],
        status=row[2],
        agent_id=row[3],
        session_id=row[4],
        turn_id=row[5],
        call_id=row[6],
        tool_name=row[7],
        toolgroup=row[8],
        arguments=row[9],
        digest=row[10],
        request=None if request is None else json.decode(request),
        requested_at=rfc3339(row[12]),
        deadline=rfc3339(row[13]),
        decided_at=None if row[14] is None else rfc3339(row[14]),
        decided_by=row[15],
        reason=row[16],
    )
    return approval, len(row[9]) + len(request or b"") + _ROW_BYTES
