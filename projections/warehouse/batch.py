"""Converts records to a batch: the columns that the statements of a plan read, without irrelevant records.

`logged_at` is when an event was recorded, `recorded_at` when it occurred: of copied events they differ.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from msgspec import DecodeError, Struct, json

from projections.warehouse.feed import Record, unversioned
from projections.warehouse.plan import ERASED, Plan
from projections.warehouse.resolver import Resolver, Values
from projections.warehouse.transaction import Columns

# A redacted event has at most an actor and a trace id.
_REDACTED_BYTES = 512
_COLUMNS = ("position", "stream", "id", "version", "name", "recorded_at", "state", "logged_at")


class Batch(NamedTuple):
    """The relevant columns of records up to `last`; `columns` is empty if no statement reads any of the
    records."""

    last: int
    columns: Columns


class _Bare(Struct):
    event: str = ""
    occurred_at: int = 0


class Batches:
    """Used by one thread at a time, with all records of a build in order."""

    def __init__(self, plan: Plan, resolver: Resolver | None) -> None:
        self._known = plan.events
        self._needs_erased = ERASED in plan.events
        self._resolver = resolver
        self._names: dict[str, tuple[str, str] | None] = {}
        self._columns = _COLUMNS if resolver is None else (*_COLUMNS, *resolver.columns)

    def of(self, records: Sequence[Record]) -> Batch:
        """Returns the records that any statement reads. The redacted ones, and those that the resolver leaves out, are
        ERASED. Values that cannot be parsed or read are null, which the tables refuse."""
        rows: list[tuple[Any, ...]] = []
        names = self._names
        resolve = self._resolver.resolve if self._resolver is not None else None
        none: Values = () if self._resolver is None else (None,) * len(self._resolver.columns)
        for position, stream, version, stored_name, logged_at, state in records:
            try:
                known = names[stored_name]
            except KeyError:
                known = names[stored_name] = self._known_names(stored_name)
            if known is None:
                continue
            name, plain = known
            parts = stream.split("/", 2)
            id = parts[2] if len(parts) == 3 else None  # It may contain slashes.
            is_left, values = True, none
            if len(state) <= _REDACTED_BYTES and _is_redacted(state):
                is_left = False
            elif resolve is not None:
                is_left, values = resolve(plain, id, state)
            if not is_left:
                if self._needs_erased:
                    rows.append((position, stream, id, version, ERASED, logged_at, plain, logged_at, *none))
                continue
            try:
                text = state.decode()
            except UnicodeDecodeError:
                text = None
            recorded_at = logged_at
            if b'"occurred_at":' in state:
                recorded_at = _occurred_at(state) or logged_at
            rows.append((position, stream, id, version, name, recorded_at, text, logged_at, *values))
        if not rows:
            return Batch(records[-1].position, {})
        return Batch(
            records[-1].position,
            dict(zip(self._columns, zip(*rows, strict=True), strict=True)),
        )

    def _known_names(self, stored: str) -> tuple[str, str] | None:
        """Returns the plan's name of an event, and its name without a version; None if the plan does not use
        it."""
        plain = unversioned(stored)
        if plain in self._known:
            return plain, plain
        # A plan of version 0.1.0, whose SQL contains versioned names, is followed until it is replaced.
        return (stored, plain) if stored in self._known else None


def _is_redacted(state: bytes) -> bool:
    # The text is searched first: decoding each event would double the cost of following.
    if b'"redacted"' not in state:
        return False
    try:
        return json.decode(state, type=_Bare).event == "redacted"
    except DecodeError:
        return False


def _occurred_at(state: bytes) -> int:
    """Returns the time at which a copied event occurred, 0 for any other event."""
    try:
        return json.decode(state, type=_Bare).occurred_at
    except DecodeError:
        return 0
