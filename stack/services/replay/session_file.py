"""Reads and writes session files. Needs no server, no read models and no model."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from hashlib import sha256
from typing import Any, TypeVar

import msgspec
from msgspec import Raw, Struct

from schemas.events.base import Event, Redacted, Unknown
from schemas.session_file import (
    FORMAT,
    FORMAT_VERSION,
    Redaction,
    SessionFileBlob,
    SessionFileEvent,
    SessionFileHeader,
    Tolerance,
)
from stack.errors import InternalError, Invalid, TooLarge
from stack.eventstore import Recorded, split_stream
from stack.eventstore.blob_markers import dehydrate, hydrate, may_need_markers
from stack.eventstore.codec import Codec
from stack.services.replay.session_lines import AGAIN, Lines, changed_end, checked_lines
from stack.services.replay.session_record import SessionRecord, check_record

MAX_LINE_BYTES = 128 * 2**20

T = TypeVar("T")

UnknownField = tuple[tuple[str, ...], Any]
"""The path of a field of the header, and its value."""

_codec = Codec()
_header = msgspec.json.Decoder(SessionFileHeader)
_line = msgspec.json.Decoder(SessionFileEvent | SessionFileBlob)
_encode = msgspec.json.Encoder().encode


class Kept(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The fields of a header that an import keeps for the next export."""

    forked_from: str = ""
    tolerance: Tolerance | None = None
    redaction: Redaction | None = None

    @classmethod
    def of(cls, header: SessionFileHeader) -> Kept:
        return cls(forked_from=header.forked_from, tolerance=header.tolerance, redaction=header.redaction)


class SessionFile(Struct, frozen=True, kw_only=True):
    """A session file that was read and checked. `unknown` holds the fields of its header that this version does not know,
    in their places; `digest` is the SHA-256 (hex) of the file."""

    header: SessionFileHeader
    record: SessionRecord
    digest: str
    unknown: Sequence[UnknownField] = ()


def read_session_file(content: bytes) -> SessionFile:
    """Raises Invalid for a file that is not a session file, was written by a newer version, is truncated or was changed,
    TooLarge for a line above 128 MiB."""
    header = _read_header(content)
    lines, end = checked_lines(content)
    events: list[tuple[int, SessionFileEvent]] = []
    blobs: dict[str, bytes] = {}
    for number, text in enumerate(lines[1:], 2):
        if len(text) > MAX_LINE_BYTES:
            raise TooLarge(
                f"Line {number} of the session file has {len(text)} bytes; at most {MAX_LINE_BYTES} are accepted."
            )
        line = _decoded(_line, text, number)
        if isinstance(line, SessionFileEvent):
            events.append((number, line))
        else:
            blobs[line.sha256] = _checked_blob(line, number)
    if (len(events), len(lines) - 1 - len(events)) != (end.events, end.blobs):
        raise changed_end()
    streams = _recorded(events, blobs, header)
    record = SessionRecord(
        agent_id=header.agent_id,
        session_id=header.session_id,
        agents=streams["agent"],
        session=streams["session"].pop(header.session_id, ()),
        turns=streams["turn"],
    )
    if other := next(iter(streams["session"]), None):
        raise Invalid(f"The session file holds events of another session, {other!r}. {AGAIN}")
    check_record(record)
    unknown = tuple(_unknown_fields(msgspec.json.decode(lines[0]), SessionFileHeader))
    return SessionFile(header=header, record=record, digest=sha256(content).hexdigest(), unknown=unknown)


def written(file: SessionFile) -> Iterator[bytes]:
    """Yields the lines of a file with the header, and with the events, of `file`: of one that was read, with changes.
    Names of events and the digest are made again."""
    record = file.record
    streams: list[tuple[str, Sequence[Recorded]]] = [
        *((f"agent/{id}", events) for id, events in record.agents.items()),
        (f"session/{record.session_id}", record.session),
        *((f"turn/{id}", events) for id, events in record.turns.items()),
    ]
    rows = [(stream, one, *_codec.encode(plain(one.event))) for stream, events in streams for one in events]
    header = msgspec.structs.replace(file.header, events=sorted({name for _, _, name, _ in rows}))
    yield from file_lines(
        header,
        (
            SessionFileEvent(
                stream=stream,
                version=one.version,
                name=name,
                position=one.position,
                recorded_at=one.recorded_at,
                state=Raw(state),
            )
            for stream, one, name, state in rows
        ),
        file.unknown,
    )


def file_lines(
    header: SessionFileHeader, events: Iterable[SessionFileEvent], unknown: Iterable[UnknownField] = ()
) -> Iterator[bytes]:
    """Yields the lines of a file. Long texts in the states of `events` become blobs."""
    blobs: dict[str, bytes] = {}

    def store(content: bytes) -> str:
        digest = sha256(content).hexdigest()
        blobs[digest] = content
        return digest

    lines = Lines()
    yield lines.line(header_line(header, unknown))
    for event in events:
        state = bytes(event.state)
        if may_need_markers(state):
            event = msgspec.structs.replace(event, state=Raw(dehydrate(state, store)))
        yield lines.line(event)
    for digest, content in blobs.items():
        yield lines.line(SessionFileBlob(sha256=digest, content=content.decode()))
    yield lines.closing()


def header_line(header: SessionFileHeader, unknown: Iterable[UnknownField] = ()) -> bytes:
    return _encode(_with_unknown(msgspec.to_builtins(header), unknown))


def plain(event: Event) -> Event:
    """Returns an event as it was recorded first: its time is not part of it."""
    return msgspec.structs.replace(event, occurred_at=0) if event.occurred_at else event


class _Beginning(Struct, tag="header", tag_field="line"):
    """The fields that the header of every version has."""

    format: str
    format_version: int
    environment: Any = None


_beginning = msgspec.json.Decoder(_Beginning)


def _read_header(content: bytes) -> SessionFileHeader:
    text = content[: content.find(b"\n")] if b"\n" in content else content
    if len(text) > MAX_LINE_BYTES:
        raise TooLarge(f"The first line of the session file has {len(text)} bytes.")
    try:
        beginning = _beginning.decode(text)
    except RecursionError:
        raise Invalid("The first line of the session file is nested too deeply.") from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        beginning = None
    if beginning is None or beginning.format != FORMAT:
        raise Invalid(
            "This is not a session file: its first line is not the header that `replaystack export` writes."
        )
    if beginning.format_version > FORMAT_VERSION:
        raise Invalid(
            f"The session file has format version {beginning.format_version}, written by {_writer(beginning.environment)}; "
            f"this version reads up to {FORMAT_VERSION}. Use a newer version of Replaystack."
        )
    return _decoded(_header, text, 1)


def _writer(environment: Any) -> str:
    version = environment.get("version") if isinstance(environment, dict) else None
    return f"Replaystack {version}"[:60] if isinstance(version, str) else "a newer version"


def _decoded(decoder: msgspec.json.Decoder[T], text: bytes, number: int) -> T:
    try:
        return decoder.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Invalid(f"Line {number} of the session file: {error}. {AGAIN}") from None
    except RecursionError:
        raise Invalid(f"Line {number} of the session file is nested too deeply.") from None


def _checked_blob(line: SessionFileBlob, number: int) -> bytes:
    content = line.content.encode()
    if sha256(content).hexdigest() != line.sha256:
        raise Invalid(
            f"Line {number} of the session file holds a text whose SHA-256 is not {line.sha256[:64]!r}, by which events "
            f"refer to it. {AGAIN}"
        )
    return content


def _recorded(
    lines: Sequence[tuple[int, SessionFileEvent]], blobs: Mapping[str, bytes], header: SessionFileHeader
) -> dict[str, dict[str, list[Recorded]]]:
    """Returns the events by category and id. Raises Invalid."""
    found: dict[str, dict[str, list[Recorded]]] = {"agent": {}, "session": {}, "turn": {}}
    unknown: set[str] = set()
    for number, line in lines:
        where = f"Line {number} of the session file"
        category, id = _stream_of(line, where)
        event = _event(line, where, _loading(blobs, where))
        if isinstance(event, Unknown):
            unknown.add(line.name)
        events = found[category].setdefault(id, [])
        if line.version != len(events) + 1:
            raise Invalid(
                f"{where} is event {line.version} of {line.stream!r}, where event {len(events) + 1} belongs. {AGAIN}"
            )
        events.append(Recorded(line.position, line.version, line.recorded_at, event))
    if unknown:
        raise Invalid(
            f"The session file holds events that this version does not know: {', '.join(sorted(unknown))[:500]}. It was "
            f"written by {_writer({'version': header.environment.version})}; use that version, or a newer one."
        )
    return found


def _stream_of(line: SessionFileEvent, where: str) -> tuple[str, str]:
    try:
        _, category, id = split_stream(f"default/{line.stream}")
    except ValueError:
        category = id = ""
    if category not in ("agent", "session", "turn"):
        raise Invalid(
            f"{where} names the stream {line.stream[:100]!r}; a session file holds agent/, session/ and turn/."
        )
    if line.name.partition(".")[0] != category:
        raise Invalid(
            f"{where} has the event {line.name[:100]!r} in the stream {line.stream[:100]!r}. {AGAIN}"
        )
    return category, id


def _event(line: SessionFileEvent, where: str, load: Callable[[str], bytes]) -> Event:
    try:
        event = _codec.decode(line.name, bytes(line.state), lambda state: hydrate(state, load))
    except InternalError as error:
        raise Invalid(f"{where}: {error.detail}") from None
    except RecursionError:
        raise Invalid(f"{where} is nested too deeply.") from None
    if isinstance(event, Redacted):
        raise Invalid(f"{where} is an event whose content was erased.")
    return event


def _loading(blobs: Mapping[str, bytes], where: str) -> Callable[[str], bytes]:
    def load(digest: str) -> bytes:
        if digest not in blobs:
            raise Invalid(f"{where} refers to the text {digest}, which is missing. {AGAIN}")
        return blobs[digest]

    return load


def _unknown_fields(given: Any, kind: type[Struct], at: tuple[str, ...] = ()) -> Iterator[UnknownField]:
    """Yields the fields of a JSON object that a Struct does not have, at any depth of Structs in Structs."""
    fields = {field.encode_name: field.type for field in msgspec.inspect.type_info(kind).fields}  # type: ignore[attr-defined]
    for name, value in given.items():
        if name not in fields and name != "line":
            yield (*at, name), value
        elif isinstance(value, dict) and (inner := _struct_in(fields[name])) is not None:
            yield from _unknown_fields(value, inner, (*at, name))


def _struct_in(info: msgspec.inspect.Type) -> type[Struct] | None:
    kinds = info.types if isinstance(info, msgspec.inspect.UnionType) else (info,)
    return next((one.cls for one in kinds if isinstance(one, msgspec.inspect.StructType)), None)


def _with_unknown(known: dict[str, Any], unknown: Iterable[UnknownField]) -> dict[str, Any]:
    """Adds unknown fields at their places; those of an object that was removed are not added."""
    for (*at, name), value in unknown:
        place: Any = known
        for one in at:
            place = place.get(one) if isinstance(place, dict) else None
        if isinstance(place, dict):
            place[name] = value
    return known
