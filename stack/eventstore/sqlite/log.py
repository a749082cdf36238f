"""An open SQLite log: reads on a connection per thread, writes in one thread."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from projections.warehouse.feed import Record
from stack.eventstore.appends import Appended
from stack.eventstore.blobs import BlobStore
from stack.eventstore.damage import Damage
from stack.eventstore.intake import Intake
from stack.eventstore.port import Commits
from stack.eventstore.sqlite import schema
from stack.eventstore.sqlite.log_reader import LogReader
from stack.eventstore.sqlite.readers import Readers
from stack.eventstore.sqlite.reserve import FULL as DISK_FULL
from stack.eventstore.sqlite.reserve import Reserve
from stack.eventstore.sqlite.writer import Writer
from stack.eventstore.streams import category_of
from stack.eventstore.submission import Submission


class SqliteLog(LogReader):
    """Implements `EventLog`; `LogReader` implements the reading methods. One per process and folder. Raises
    Unavailable if the file cannot be opened."""

    def __init__(self, folder: Path, blobs: BlobStore, clock_us: Callable[[], int]) -> None:
        path = folder / schema.FILE_NAME
        self._reserve = Reserve(folder)
        self._reserve.is_full(now=True)
        self.epoch, problems = schema.create(path)
        damage = Damage(problems)
        super().__init__(Readers(path, damage), damage)
        self._path = path
        self._blobs = blobs
        self._clock_us = clock_us
        self._intake = Intake()
        self._opened_at_head = self.head()
        self._category_heads: dict[str, int] = {}
        self._writer: Writer | None = None

    def start(self, commits: Commits) -> None:
        def committed(submissions: Sequence[Submission], records: Sequence[Record] | None) -> None:
            self._note_categories(submissions)
            commits.committed(submissions, records)

        self._writer = Writer(
            self._path,
            self._intake,
            self._blobs,
            clock_us=self._clock_us,
            committed=committed,
            announce=commits.announce,
            others_wrote=commits.others_wrote,
        )
        self._writer.start()

    def submit(self, submission: Submission) -> None:
        self._intake.put(submission)

    def category_head(self, category: str) -> int:
        """Returns the head found at opening for a category that this process has not written."""
        return self._category_heads.get(category, self._opened_at_head)

    def trouble(self) -> str:
        """Checks the disk at most once per second."""
        return DISK_FULL if self._reserve.is_full() else ""

    def is_tidy(self) -> bool:
        return self._writer is not None and self._writer.is_tidy()

    def stop(self) -> None:
        self._intake.close()
        if self._writer is not None:
            self._writer.join()

    def close(self) -> None:
        self._readers.close()

    def _note_categories(self, submissions: Sequence[Submission]) -> None:
        for submission in submissions:
            if isinstance(submission.outcome, Appended):
                for position, row in enumerate(submission.rows, submission.outcome.first):
                    self._category_heads[category_of(row.stream)] = position
