"""A decoded and validated request: rows by table, and the number and reason of rejected ones."""

from __future__ import annotations

import sys
from hashlib import blake2b
from typing import Any
from uuid import UUID

from msgspec import Struct

from projections.telemetry_columns import SPANS
from projections.warehouse.column_batch import Batch, numbers, texts
from telemetry.wire.attribute_json import joined
from telemetry.wire.dialects import Dialect, dialect_of
from telemetry.wire.form import Form

MAX_TIME_NS = 2**63 - 1
MAX_COUNT = 2**32 - 1

_TRACES, _SPANS = list(SPANS).index("trace_id"), list(SPANS).index("span_id")


class ReadScope(Struct, frozen=True):
    """The data that a reader will read: the spans of a trace, those with an id, or metrics."""

    trace: UUID | None = None
    span: int | None = None
    metrics: bool = False


class Decoded(Struct, array_like=True):
    """`batches` maps tables to rows. `reason` is why `rejected` spans, points or records are not among
    them."""

    accepted: int
    rejected: int
    reason: str
    batches: dict[str, Batch]

    def size(self) -> int:
        """The approximate size in bytes."""
        return sum([batch.size() for batch in self.batches.values()])

    def holds(self, scope: ReadScope) -> bool:
        """Returns whether it contains any rows in the scope."""
        if scope.metrics and "streams" in self.batches:
            return True
        batch = self.batches.get("spans")
        if batch is None:
            return False
        traces, spans = batch.buffers[_TRACES], batch.buffers[_SPANS]
        if scope.trace is not None and _has(traces, scope.trace.bytes):
            return True
        return scope.span is not None and _has(spans, scope.span.to_bytes(8, sys.byteorder))


class Rejections:
    """The number of rejected rows, and the first reasons."""

    MAX_REASONS = 4

    def __init__(self) -> None:
        self.count = 0
        self._reasons: dict[str, int] = {}

    def add(self, reason: str, count: int = 1) -> None:
        self.count += count
        if reason in self._reasons or len(self._reasons) < self.MAX_REASONS:
            self._reasons[reason] = self._reasons.get(reason, 0) + count

    @property
    def reason(self) -> str:
        return "; ".join(f"{count} because {reason}" for reason, count in self._reasons.items())


class Origins:
    """The resources and scopes to which the rows of a request refer. Their ids are hashes of their content,
    so that no id has to be looked up."""

    def __init__(self, form: Form) -> None:
        self._form = form
        self._resources: dict[int, tuple[bytes, bytes, int]] = {}
        self._scopes: dict[int, tuple[bytes, bytes, bytes, bytes, int]] = {}

    def resource(self, resource: Any, schema_url: str | None) -> int:
        """Adds the resource and returns its id."""
        attributes, dropped = self._form.resource(resource)
        made = (joined(attributes), (schema_url or "").encode(), dropped)
        return _remembered(self._resources, made)

    def scope(self, scope: Any, schema_url: str | None) -> int:
        name, version, attributes, dropped = self._form.scope(scope)
        text = joined(attributes) if attributes else b""
        made = (name.encode(), version.encode(), text, (schema_url or "").encode(), dropped)
        return _remembered(self._scopes, made)

    def scope_name(self, scope: Any) -> str:
        return self._form.scope(scope)[0]

    def batches(self) -> dict[str, Batch]:
        found = {}
        if self._resources:
            attributes, urls, dropped = zip(*self._resources.values(), strict=True)
            buffers = [
                *numbers("u64", self._resources),
                *texts(attributes),
                *texts(urls),
                *numbers("u32", dropped),
            ]
            found["resources"] = Batch(len(dropped), buffers)
        if self._scopes:
            names, versions, attributes, urls, dropped = zip(*self._scopes.values(), strict=True)
            buffers = [
                *numbers("u64", self._scopes),
                *texts(names),
                *texts(versions),
                *texts(attributes),
                *texts(urls),
                *numbers("u32", dropped),
            ]
            found["scopes"] = Batch(len(dropped), buffers)
        return found


class Origin:
    """The origin of rows: a resource and a scope. Both are decoded only when a row is kept, and only once,
    because they may be as large as a request."""

    def __init__(self, origins: Origins, of_resource: Any) -> None:
        self._origins = origins
        self._of_resource = of_resource
        self._of_scope: Any = None
        self._resource_id: int | None = None
        self._scope_id = 0

    def ids(self, of_scope: Any) -> tuple[int, int]:
        """Returns the ids of the resource and of the scope."""
        if self._resource_id is None:
            self._resource_id = self._origins.resource(
                self._of_resource.resource, self._of_resource.schema_url
            )
        if of_scope is not self._of_scope:
            self._scope_id = self._origins.scope(of_scope.scope, of_scope.schema_url)
            self._of_scope = of_scope
        return self._resource_id, self._scope_id

    def dialect(self, of_scope: Any) -> Dialect:
        """Returns the convention that the scope declares."""
        scope = self._origins.scope_name(of_scope.scope)
        return dialect_of(scope, of_scope.schema_url or self._of_resource.schema_url or "")


def identity(parts: Any) -> int:
    """Returns a 64-bit hash of bytes and numbers."""
    digest = blake2b(digest_size=8)
    for part in parts:
        content = part if isinstance(part, bytes) else b"%d" % part
        digest.update(b"%d:" % len(content) + content)
    return int.from_bytes(digest.digest(), "little")


def _has(ids: bytes, wanted: bytes) -> bool:
    """Returns whether `wanted` is one of `ids`, which are concatenated."""
    at = ids.find(wanted)
    while at >= 0 and at % len(wanted):
        at = ids.find(wanted, at + 1)
    return at >= 0


def _remembered(known: dict[int, Any], made: tuple[Any, ...]) -> int:
    own = identity(made)
    known[own] = made
    return own
