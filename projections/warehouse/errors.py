"""Errors of the read side.

ProjectionError
├── ViewBehind          the view does not contain the requested data yet; retry after `retry_after_s`
├── PositionNotAhead    a tracked position is not greater than the recorded one
├── StatementRefused    the database refused a statement or its data; the transaction is rolled back
│   └── OutOfMemory         the statement takes more memory than the database may use
├── StorageFailed       the file or the instance failed (disk, damage, memory); open it again
│   ├── FileDamaged         the file cannot be read as a database
│   └── FileInUse           another process uses the file
├── LogBehindView       the log ends before the position of a view that was built from it: it lost events
└── WarehouseClosed     the warehouse was closed
"""

from __future__ import annotations


class ProjectionError(Exception):
    """The root of all errors of this package."""


class ViewBehind(ProjectionError):
    """The view has not reached the requested position. `retry_after_s` is an estimate, at least 1."""

    def __init__(self, reason: str, *, retry_after_s: int = 1) -> None:
        super().__init__(reason)
        self.reason = reason
        self.retry_after_s = retry_after_s


class PositionNotAhead(ProjectionError):
    """`position` of `name` is not greater than the recorded one."""

    def __init__(self, name: str, position: int) -> None:
        super().__init__(f"{name}: position {position} is not ahead of the recorded one")
        self.name = name
        self.position = position


class StatementRefused(ProjectionError):
    """The database refused a statement or its data."""


class OutOfMemory(StatementRefused):
    """The statement takes more memory than the database may use."""


class StorageFailed(ProjectionError):
    """The file or the database instance failed."""


class FileDamaged(StorageFailed):
    """The file cannot be read as a database."""


class FileInUse(StorageFailed):
    """Another process uses the file."""


class LogBehindView(ProjectionError):
    """The log lost events, and the view may be their only copy."""

    def __init__(self, head: int, position: int) -> None:
        super().__init__(
            f"The log ends at position {head}, and the view holds its events up to position {position}. The view is left "
            "as it is. Start the server again: it says what can be done."
        )


class WarehouseClosed(ProjectionError):
    """The warehouse was closed."""
