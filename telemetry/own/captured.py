"""What the server itself captured of messages on its spans, and how that is taken out of stored requests again."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from telemetry.log.port import Content, Entry
from telemetry.own.message_content import ATTRIBUTES
from telemetry.own.tracing import SERVICE_NAME

LABELS = {"agent": "agent_id", "session": "session_id", "dataset": "dataset_id", "benchmark": "benchmark_id"}
"""The attribute that says whose a span is, by the kind of what was deleted."""

_IN_BODIES = tuple([name.encode() for name in ATTRIBUTES])
_OWN = Content("traces")
# An unknown field, number 2047 with bytes, and a length in five bytes: fills a request up to the length it had.
_FILLER_TAG = b"\xfa\x7f"
_FILLER_BYTES = len(_FILLER_TAG) + 5


class Erasable(NamedTuple):
    """Something that was deleted at `deleted_us` (microseconds since 1970). `kind` is a key of `LABELS`."""

    kind: str
    id: str
    deleted_us: int


class Erased(NamedTuple):
    """The number of spans that lost content, by the id of what was deleted; and texts that name what was removed whole
    because no one can say whose content it held."""

    spans: dict[str, int]
    removed: list[str]


class Eraser:
    """Takes captured content of `deleted` out of requests. An id that is used again keeps what came after it."""

    def __init__(self, deleted: Iterable[Erasable]) -> None:
        self._deleted_ns = {(LABELS[one.kind], one.id): one.deleted_us * 1000 for one in deleted}

    def owner(self, labels: Iterable[tuple[str, str | None]], start_ns: int) -> str:
        """The id of the deleted thing that a span with these labels belongs to; empty if there is none."""
        for key, value in labels:
            deleted_ns = self._deleted_ns.get((key, value or ""))
            if deleted_ns is not None and start_ns <= deleted_ns:
                return value or ""
        return ""

    def without_content(self, entry: Entry) -> bytes | None:
        """The body of a request of the server's own spans without that content, of the same length; None where it has
        none. Requests of others are left alone: what they hold is theirs."""
        body = entry.body
        if entry.content != _OWN or not any(name in body for name in _IN_BODIES):
            return None
        from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

        request = ExportTraceServiceRequest.FromString(body)
        changed = False
        for resource_spans in request.resource_spans:
            for scope_spans in resource_spans.scope_spans:
                if scope_spans.scope.name == SERVICE_NAME:
                    for span in scope_spans.spans:
                        changed |= self._clean(span)
        return _filled(request.SerializeToString(), len(body)) if changed else None

    def _clean(self, span: Any) -> bool:
        labels = [(one.key, one.value.string_value) for one in span.attributes]
        if not self.owner(labels, span.start_time_unix_nano):
            return False
        kept = [one for one in span.attributes if one.key not in ATTRIBUTES]
        if len(kept) == len(span.attributes):
            return False
        del span.attributes[:]
        span.attributes.extend(kept)
        return True


def _filled(body: bytes, size: int) -> bytes:
    """`body`, an encoded message, with a field added that readers skip, so that it has `size` bytes."""
    filler = size - len(body) - _FILLER_BYTES
    assert filler >= 0, "an attribute is longer than the filler's head"
    length = bytes([filler >> shift & 0x7F | (0x80 if shift < 28 else 0) for shift in range(0, 35, 7)])
    return b"".join((body, _FILLER_TAG, length, bytes(filler)))
