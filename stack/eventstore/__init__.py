"""The event log: append, load, read and follow streams of events. The only importer of `eventsourcing`."""

from stack.eventstore.appends import (
    Append,
    Appended,
    Command,
    CommandKnown,
    Expect,
    Fold,
    Folded,
    Recorded,
    StreamWrite,
)
from stack.eventstore.blobs import BlobStore
from stack.eventstore.damage import is_damaged_text
from stack.eventstore.store import EventStore
from stack.eventstore.stream_reader import StreamReader
from stack.eventstore.streams import split_stream, stream_name

__all__ = [
    "Append",
    "Appended",
    "BlobStore",
    "Command",
    "CommandKnown",
    "EventStore",
    "Expect",
    "Fold",
    "Folded",
    "Recorded",
    "StreamReader",
    "StreamWrite",
    "is_damaged_text",
    "split_stream",
    "stream_name",
]
