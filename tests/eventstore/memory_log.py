"""An event log in memory: a second engine behind the port, so that the port holds nothing of SQLite."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from threading import RLock, Thread
from uuid import uuid4

from projections.warehouse.feed import Record
from stack.eventstore.appends import Appended, Command, CommandKnown
from stack.eventstore.blobs import BlobStore
from stack.eventstore.codec import REDACTED_STATE
from stack.eventstore.damage import Damage
from stack.eventstore.intake import Intake
from stack.eventstore.port import Commits, NamedRecords
from stack.eventstore.streams import category_of
from stack.eventstore.submission import Conflict, Submission, VersionTaken, deliver


class Kept:
    """The state that remains when the log is opened again."""

    def __init__(self) -> None:
        self.lock = RLock()
        self.epoch = uuid4().hex
        self.records: list[Record] = []
        self.commands: list[str] = []
        self.blobs: dict[str, set[int]] = {}


class MemoryLog:
    """Implements `EventLog`."""

    def __init__(self, kept: Kept, blobs: BlobStore, clock_us: Callable[[], int]) -> None:
        self.epoch = kept.epoch
        self.damage = Damage()
        self._kept = kept
        self._blobs = blobs
        self._clock_us = clock_us
        self._intake = Intake()
        self._thread: Thread | None = None

    def start(self, commits: Commits) -> None:
        self._thread = Thread(target=self._run, args=(commits,), daemon=True)
        self._thread.start()

    def submit(self, submission: Submission) -> None:
        self._intake.put(submission)

    def head(self) -> int:
        return len(self._kept.records)

    def position_at(self, time_us: int) -> int:
        with self._kept.lock:
            return sum(one.recorded_at <= time_us for one in self._kept.records)

    def after(self, position: int, limit: int) -> list[Record]:
        with self._kept.lock:
            return self._kept.records[position : position + limit]

    def selected(self, wanted: NamedRecords) -> list[Record]:
        with self._kept.lock:
            return wanted.of(self._kept.records)

    def stream(
        self,
        stream: str,
        after: int | None = None,
        until: int | None = None,
        *,
        as_of: int | None = None,
        newest_first: bool = False,
        limit: int | None = None,
    ) -> list[Record]:
        found = sorted(self._of([stream]), key=lambda one: one.version, reverse=newest_first)
        found = [one for one in found if as_of is None or one.position <= as_of]
        return [one for one in found if (after or 0) < one.version <= (until or one.version)][:limit]

    def streams(self, streams: Sequence[str]) -> list[Record]:
        return sorted(self._of(streams), key=lambda one: (one.stream, one.version))

    def names_in(self, streams: Sequence[str]) -> set[str]:
        return {one.name for one in self._of(streams)}

    def command(self, prefix: str, since_us: int) -> Command | None:
        with self._kept.lock:
            both = list(zip(self._kept.records, self._kept.commands, strict=True))
        newest = [id for one, id in both if id and id.startswith(prefix) and one.recorded_at >= since_us][-1:]
        own = [one for one, id in both if id in newest]
        if not own:
            return None
        streams = tuple(dict.fromkeys(one.stream for one in own))
        return Command(newest[0], own[0].position, own[0].recorded_at, streams)

    def held_by(self, streams: Sequence[str]) -> tuple[int, int]:
        held = {one.position for one in self._of(streams) if one.state != REDACTED_STATE}
        return len(held), sum(bool(held & named) for named in self._kept.blobs.values())

    def referenced(self, digest: str) -> bool:
        return bool(self._kept.blobs.get(digest))

    def category_head(self, category: str) -> int:
        with self._kept.lock:
            own = [one.position for one in self._kept.records if category_of(one.stream) == category]
        return max(own, default=0)

    def trouble(self) -> str:
        return ""

    def is_tidy(self) -> bool:
        return True

    def stop(self) -> None:
        self._intake.close()
        if self._thread is not None:
            self._thread.join()

    def close(self) -> None:
        """Holds nothing that has to be closed."""

    def _of(self, streams: Sequence[str]) -> list[Record]:
        wanted = set(streams)
        with self._kept.lock:
            return [one for one in self._kept.records if one.stream in wanted]

    def _run(self, commits: Commits) -> None:
        while (batch := self._intake.take()) is not None:
            before = self.head()
            with self._kept.lock:
                for one in batch:
                    one.outcome = self._outcome(one)
            for one in batch:
                self._blobs.release([digest for _, digest in one.blobs])
            redacted = any(one.redact and isinstance(one.outcome, Appended) for one in batch)
            commits.committed(batch, None if redacted else self._kept.records[before:])
            deliver(batch)
            commits.announce()

    def _outcome(self, one: Submission) -> Appended | Conflict | Exception:
        kept = self._kept
        if one.command and one.command in kept.commands:
            own = [
                record for record, id in zip(kept.records, kept.commands, strict=True) if id == one.command
            ]
            times = tuple(record.recorded_at for record in own)
            return CommandKnown(one.command, Appended(own[0].position, own[-1].position, times))
        for stream, version in one.expected or ():
            if len(self._of([stream])) != version:
                return Conflict(stream, version)
        taken = {(record.stream, record.version) for record in self._of([row.stream for row in one.rows])}
        new = [(row.stream, row.version) for row in one.rows]
        if taken & set(new) or len(set(new)) < len(new):
            return VersionTaken()
        self._redact(one.redact)
        return self._add(one)

    def _redact(self, streams: Sequence[str]) -> None:
        kept = self._kept
        for record in self._of(streams):
            kept.records[record.position - 1] = record._replace(state=REDACTED_STATE)
            for named in kept.blobs.values():
                named.discard(record.position)
        self._blobs.remove([digest for digest, named in kept.blobs.items() if not named], self.referenced)

    def _add(self, one: Submission) -> Appended:
        kept = self._kept
        first, times = len(kept.records) + 1, list(self._times(len(one.rows)))
        for position, (row, at) in enumerate(zip(one.rows, times, strict=True), first):
            kept.records.append(Record(position, row.stream, row.version, row.name, at, row.state))
            kept.commands.append(one.command)
        for index, digest in one.blobs:
            kept.blobs.setdefault(digest, set()).add(first + index)
        return Appended(first, len(kept.records), tuple(times))

    def _times(self, count: int) -> Iterator[int]:
        last = self._kept.records[-1].recorded_at if self._kept.records else 0
        for _ in range(count):
            last = max(last + 1, self._clock_us())
            yield last
