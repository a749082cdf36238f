"""The plan of a build: the SQL of all read models, in order, with a hash that identifies it.

SQL is written for the placeholder schema `now`; `in_schema` replaces it by the schema of a build. A build
stores its plan with its tables, so that newer code can continue to follow it until its own build is ready.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from functools import cache, cached_property
from importlib.resources import files

from msgspec import Struct, json

from projections.warehouse.feed import unversioned
from projections.warehouse.resolver import Resolver
from schemas.events import REGISTRY

_PLACEHOLDER = re.compile(r"\bnow\.(?=[a-z_])")
_EVENTS = re.compile(r"\A-- on: (.+)\n")
_EVERY = "*"
ERASED = "erased"
"""The name in a batch of an event whose content is gone from the log, or belongs to something deleted; its `state` is the
name that it had."""


class ReadModel(Struct, frozen=True, kw_only=True):
    """The SQL files of one read model, by name. `apply` runs in this order. A new `version` forces a rebuild
    if a change of meaning is not visible in the SQL text. At most one of the models of a plan has a
    `resolver`."""

    name: str
    tables: tuple[str, ...] = ()
    indexes: tuple[str, ...] = ()
    views: tuple[str, ...] = ()
    apply: tuple[str, ...] = ()
    queries: tuple[str, ...] = ()
    version: int = 1
    resolver: type[Resolver] | None = None


class Statement(Struct, frozen=True):
    """Runs once per batch that contains one of `events`, which are names without versions, and may be ERASED. In the file
    `*` means all of them."""

    name: str
    events: tuple[str, ...]
    sql: str


class _Stored(Struct, frozen=True):
    versions: dict[str, int]
    ddl: tuple[str, ...]
    statements: tuple[Statement, ...]
    queries: dict[str, str]


class Plan(Struct, frozen=True, dict=True):
    """The SQL of a build: DDL in order, statements in order, queries by name; and the resolver that its
    statements require. Only the SQL is stored with the tables."""

    versions: dict[str, int]
    ddl: tuple[str, ...]
    statements: tuple[Statement, ...]
    queries: dict[str, str]
    resolver: type[Resolver] | None = None

    @cached_property
    def events(self) -> frozenset[str]:
        """Names of the events that any statement reads; all others are skipped before loading."""
        return frozenset(event for statement in self.statements for event in statement.events)

    @cached_property
    def encoded(self) -> str:
        stored = _Stored(self.versions, self.ddl, self.statements, self.queries)
        return json.encode(stored).decode()

    @cached_property
    def hash(self) -> str:
        """32 hex digits that change with any of the SQL or with a version."""
        return hashlib.sha256(self.encoded.encode()).hexdigest()[:32]

    def decode(self, encoded: str) -> Plan:
        """Returns the plan stored as `encoded`, possibly by an earlier version, with the resolver of this
        one."""
        stored = json.decode(encoded, type=_Stored)
        return Plan(stored.versions, stored.ddl, stored.statements, stored.queries, self.resolver)


def in_schema(sql: str, schema: str) -> str:
    """Returns `sql` with `schema` (such as `views.build_3`) in place of the placeholder schema."""
    return _PLACEHOLDER.sub(f"{schema}.", sql)


def compile_plan(models: Sequence[ReadModel]) -> Plan:
    """Reads the SQL files of `models`. Tables precede views, so that views may join read models."""
    tables = [_sql("tables", name) for model in models for name in model.tables]
    indexes = [_sql("indexes", name) for model in models for name in model.indexes]
    views = [_sql("views", name) for model in models for name in model.views]
    resolvers = [model.resolver for model in models if model.resolver is not None]
    if len(resolvers) > 1:
        raise ValueError("More than one read model of a plan has a resolver; a batch has the columns of one.")
    return Plan(
        versions={model.name: model.version for model in models},
        ddl=(*tables, *indexes, *views),
        statements=tuple(_statement(name) for model in models for name in model.apply),
        queries={name: _sql("queries", name) for model in models for name in model.queries},
        resolver=resolvers[0] if resolvers else None,
    )


def _statement(name: str) -> Statement:
    sql = _sql("apply", name)
    found = _EVENTS.match(sql)
    if found is None:
        raise ValueError(
            f"apply/{name}.sql does not say on its first line which events it is for: '-- on: ...'"
        )
    events = tuple(event.strip() for event in found[1].split(","))
    if events == (_EVERY,):
        return Statement(name, (*sorted(event_names()), ERASED), sql)
    if unknown := sorted(set(events) - event_names()):
        raise ValueError(f"apply/{name}.sql is for events that do not exist: {', '.join(unknown)}")
    return Statement(name, events, sql)


@cache
def event_names() -> frozenset[str]:
    """Returns the names of all events, without their versions."""
    return frozenset(map(unversioned, REGISTRY))


@cache
def query_text(name: str) -> str:
    """Returns the text of a query that runs on a snapshot."""
    return _sql("queries", name)


def _sql(kind: str, name: str) -> str:
    return (files("projections") / "sql" / kind / f"{name}.sql").read_text(encoding="utf-8")
