"""Message content that the server itself captured on its spans, and its removal from stored requests."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any, NamedTuple

from telemetry.log.port import Content, Entry
from telemetry.own.message_content import ATTRIBUTES
from telemetry.own.tracing import SERVICE_NAME

LABELS = {
    "agent": "agent_id",
    "session": "session_id",
    "turn": "turn_id",
    "dataset": "dataset_id",
    "benchmark": "benchmark_id",
}
"""The attribute that identifies the owner of a span, by the kind of the deleted thing."""

_IN_BODIES = tuple([name.encode() for name in ATTRIBUTES])
_OWN = Content("traces")
# An unknown field, number 2047 of type bytes, with a five-byte length: pads a request to its previous length.
_FILLER_TAG = b"\xfa\x7f"
_FILLER_BYTES = len(_FILLER_TAG) + 5


class Erasable(NamedTuple):
    """Something that was deleted at `deleted_us` (microseconds since 1970). `kind` is a key of `LABELS`. `by` is the id whose
    deletion included it, if it is another one."""

    kind: str
    id: str
    deleted_us: int
    by: str = ""


class Erased(NamedTuple):
    """The number of spans that lost content, by deleted id; and texts that name what was removed completely
    because its owner is unknown."""

    spans: dict[str, int]
    removed: list[str]


class Eraser:
    """Removes captured content of `deleted` from requests. If an id was used again, later content is kept. The turns in
    `kept` are not deleted with their session, but with their agent, whose instructions are in their content."""

    def __init__(self, deleted: Iterable[Erasable], kept: Collection[str] = ()) -> None:
        self._kept = frozenset(kept)
        self._deleted_ns = {(LABELS[one.kind], one.id): one.deleted_us * 1000 for one in deleted}

    def owner(self, labels: Iterable[tuple[str, str | None]], start_ns: int) -> str:
        """Returns the id of the deleted thing that a span with these labels belongs to; empty if there is
        none."""
        labels = list(labels)
        is_kept = any(key == LABELS["turn"] and value in self._kept for key, value in labels)
        for key, value in labels:
            if is_kept and key == LABELS["session"]:
                continue
            deleted_ns = self._deleted_ns.get((key, value or ""))
            if deleted_ns is not None and start_ns <= deleted_ns:
                return value or ""
        return ""

    def without_content(self, entry: Entry) -> bytes | None:
        """Returns the body of a request of the server's own spans without that content, with unchanged
        length; None if it contains none. Requests of other senders are not changed: their content is
        theirs."""
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
    """Pads `body`, an encoded message, to `size` bytes with a field that readers skip."""
    filler = size - len(body) - _FILLER_BYTES
    assert filler >= 0, "an attribute is longer than the filler's head"
    length = bytes([filler >> shift & 0x7F | (0x80 if shift < 28 else 0) for shift in range(0, 35, 7)])
    return b"".join((body, _FILLER_TAG, length, bytes(filler)))
