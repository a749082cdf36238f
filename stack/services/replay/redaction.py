"""Redacts session files: values are replaced by placeholders, and what was computed from them is computed again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from schemas.events.base import Event
from schemas.events.payload import AgentConfig, AgentToolGroup, CompletionMessage, Document, ImageSource
from schemas.events.turn import (
    FetchedContent,
    RetrievedChunk,
    StreamTrace,
    TurnStarted,
    TurnStepCompleted,
    TurnStepFailed,
    TurnToolSuspended,
)
from schemas.session_file import Redaction
from stack.domain.json_path import Keys
from stack.eventstore import Recorded
from stack.services.replay.redacted_text import PLACEHOLDER, Edits, Placeholders, TextRedaction
from stack.services.replay.redaction_rules import Rules
from stack.services.replay.redigest import redigested
from stack.services.replay.session_file import SessionFile, written
from stack.services.turns.document import DOCUMENT

T = TypeVar("T", bound=Struct)

STRUCTURE = frozenset(
    [
        "agent_id",
        "call_id",
        "collection",
        "decision",
        "digest",
        "format",
        "input_shields",
        "key",
        "kind",
        "level",
        "media_type",
        "mime_type",
        "model",
        "output_shields",
        "owner",
        "parent",
        "request_digest",
        "request_id",
        "response_id",
        "response_model",
        "role",
        "root",
        "same_as",
        "session_id",
        "source",
        "status",
        "step_id",
        "step_type",
        "stop_reason",
        "title",
        "tool",
        "tool_choice",
        "tool_name",
        "tool_prompt_format",
        "toolgroup",
        "toolgroup_id",
        "touchpoint",
        "trace_id",
        "turn_id",
        "turns",
        "type",
        "vector_db_ids",
    ]
)
"""Fields of stored types that are never redacted: ids, names and kinds, by which events refer to each other."""
SCHEMAS = frozenset(
    ("approval", "bnf", "input_schema", "json_schema", "output_schema", "question", "request")
)
"""Fields with JSON schemas: a path names values of documents, and would destroy a schema with such a property."""
_TOOLGROUPS = "toolgroups"


async def redacted(file: SessionFile, rules: Rules) -> SessionFile:
    """Returns the file with what the rules select replaced by placeholders such as `[email:1]`, the same for the same
    value. The header counts the replaced values of each rule."""
    content = b"".join(written(file)).decode()
    taken = [(name, int(number)) for name, number in PLACEHOLDER.findall(content)]
    texts = TextRedaction(rules, Placeholders(taken))
    if rules.paths:
        # What a path selects is replaced everywhere, also before its place.
        _record(file, texts)
        texts.begin_again()
    record = await redigested(file.record, _record(file, texts))
    before = file.header.redaction.rules if file.header.redaction else {}
    counts = {name: before.get(name, 0) + texts.counts.get(name, 0) for name in (*before, *texts.counts)}
    header = replace(file.header, redaction=Redaction(counts))
    return replace(file, header=header, record=record)


def _record(file: SessionFile, texts: TextRedaction) -> Any:
    record = file.record
    return replace(
        record,
        agents={id: _Events(texts).of(events) for id, events in record.agents.items()},
        session=_Events(texts).of(record.session),
        turns={id: _Events(texts).of(events) for id, events in record.turns.items()},
    )


class _Events:
    """Redacts the events of one stream, in order."""

    def __init__(self, texts: TextRedaction) -> None:
        self._texts = texts
        self._documents: dict[str, Edits] = {}
        """The changes of the turn's documents, by id and by number from 1."""

    def of(self, events: Sequence[Recorded]) -> list[Recorded]:
        return [one._replace(event=self._event(one.event)) for one in events]

    def _event(self, event: Event) -> Event:
        if isinstance(event, TurnStarted):
            event = _without_files(event)
            self._note_documents(event)
        changed: Any = self._value(event, (), free=False, plain=False)
        if isinstance(event, TurnToolSuspended) and event.state:
            # Only the tool understands it, and it may hold anything, encoded.
            changed = replace(changed, state="[state]")
        if isinstance(event, TurnStepCompleted | TurnStepFailed) and event.trace is not None:
            withheld = event.withheld if isinstance(event, TurnStepCompleted) else None
            if (output := withheld or event.output) is not None:
                changed = replace(
                    changed, trace=self._trace(event.trace, output, "withheld" if withheld else "output")
                )
        if isinstance(event, TurnStepCompleted) and event.sources:
            changed = replace(
                changed,
                sources=[
                    self._source(old, new) for old, new in zip(event.sources, changed.sources, strict=True)
                ],
            )
        return changed  # type: ignore[no-any-return]

    def _value(self, value: Any, keys: tuple[str | int, ...], *, free: bool, plain: bool) -> Any:
        """Returns the value with its texts replaced. `free` JSON is not a stored type; in a `plain` part only patterns
        apply."""
        if isinstance(value, Struct):
            return self._struct(value, keys, plain)
        if isinstance(value, str):
            return self._texts.text(value, () if plain else (keys,))
        if isinstance(value, bool) or value is None:
            return value
        if isinstance(value, int | float):
            digits = msgspec.json.encode(value).decode()
            number = self._texts.number(digits, () if plain else (keys,), free=free)
            return value if number is None else number
        if isinstance(value, Mapping):
            return {
                self._texts.text(name): self._value(one, (*keys, name), free=True, plain=plain)
                for name, one in value.items()
            }
        if isinstance(value, Sequence):
            return [
                self._value(one, (*keys, index), free=free, plain=plain) for index, one in enumerate(value)
            ]
        return value

    def _struct(self, value: T, keys: tuple[str | int, ...], plain: bool) -> T:
        changes: dict[str, Any] = {}
        for name in value.__struct_fields__:
            old = getattr(value, name)
            if old is None or name == "occurred_at" or _is_structure(value, name):
                continue
            if name == _TOOLGROUPS:
                new: Any = [self._toolgroup(one, (*keys, name, index)) for index, one in enumerate(old)]
            else:
                new = self._value(old, (*keys, name), free=False, plain=plain or name in SCHEMAS)
            if new != old:
                changes[name] = new
        return replace(value, **changes) if changes else value

    def _toolgroup(self, group: str | AgentToolGroup, keys: Keys) -> str | AgentToolGroup:
        return group if isinstance(group, str) else self._struct(group, tuple(keys), False)

    def _note_documents(self, started: TurnStarted) -> None:
        fetched = {one.uri: one.data for one in started.fetched or ()}
        for number, document in enumerate(started.documents or (), 1):
            edits = self._document(document, number, fetched)
            self._documents[str(number)] = edits
            if document.document_id:
                self._documents[document.document_id] = edits

    def _document(self, document: Document, number: int, fetched: Mapping[str, str]) -> Edits:
        content, keys = document.content, ("documents", number - 1, "content")
        own = content.get("uri") if isinstance(content, dict) else content
        for index, (uri, text) in enumerate(fetched.items()):
            if uri == f"{DOCUMENT}{number}" or (isinstance(own, str) and uri == own.strip()):
                return self._texts.edits(text, (("fetched", index, "data"),), counts=False)
        return self._texts.edits(content if isinstance(content, str) else "", (keys,), counts=False)

    def _source(self, old: RetrievedChunk, new: RetrievedChunk) -> RetrievedChunk:
        """Returns a passage whose place in the document is that in the redacted text."""
        edits = self._documents.get(old.document_id)
        if old.collection or not edits:
            return new
        return replace(new, start=edits.moved(old.start), end=edits.moved(old.end))

    def _trace(self, trace: StreamTrace, output: CompletionMessage, field: str) -> StreamTrace:
        """Returns the chunks of the redacted answer. A chunk of which nothing is left is left out, and the next one
        comes later by its delay."""
        content = output.content if isinstance(output.content, str) else ""
        edits = [self._texts.edits(content, ((field, "content"),), counts=False)]
        for index, call in enumerate(output.tool_calls or ()):
            places = ((field, "tool_calls", index, "arguments"),)
            edits.append(self._texts.edits(call.arguments, places, counts=False))
        if not any(edits):
            return trace
        sources = trace.calls or [-1] * len(trace.lengths)
        at = [0] * len(edits)
        lengths: list[int] = []
        delays: list[int] = []
        calls: list[int] = []
        delayed = 0
        begun = {-1}
        for length, delay, source in zip(trace.lengths, trace.delays_ms, sources, strict=True):
            new = length
            if length > 0 and source + 1 < len(edits):
                start = at[source + 1]
                at[source + 1] = start + length
                moved = edits[source + 1].moved
                new = moved(start + length) - moved(start)
                if new == 0 and source in begun:
                    delayed += delay
                    continue
            lengths.append(new)
            delays.append(delay + delayed)
            calls.append(source)
            delayed = 0
            begun.add(source)
        return StreamTrace(lengths, delays, calls if trace.calls is not None else None)


def _without_files(started: TurnStarted) -> TurnStarted:
    """Returns the event without the PDF and HTML that was posted in documents, which no pattern can look into: the text
    that was extracted from it is what the turn uses."""
    extracted = {one.uri for one in started.fetched or ()}
    documents = [
        replace(document, content="") if f"{DOCUMENT}{number}" in extracted else document
        for number, document in enumerate(started.documents or (), 1)
    ]
    return replace(started, documents=documents or None)


def _is_structure(value: Any, name: str) -> bool:
    """Returns whether a field of a stored type is never redacted."""
    if name in STRUCTURE:
        return True
    if name == "uri":
        return isinstance(value, FetchedContent) and value.uri.startswith(DOCUMENT)
    if name == "name":
        return not isinstance(value, AgentConfig)
    if name == "data":
        # Pixels: no pattern has a meaning in them.
        return isinstance(value, ImageSource) or (
            isinstance(value, FetchedContent) and value.media_type.startswith("image/")
        )
    return False
