"""The reaction of followers to failures of the warehouse: how long to pause, and whether a file is
damaged."""

from __future__ import annotations

from projections.warehouse.errors import FileDamaged, StorageFailed
from projections.warehouse.transaction import File

_FAILURES_OF_A_DAMAGED_FILE = 3
"""Number of consecutive failures, each after reopening the file, after which it is considered damaged."""
_PAUSE_MAX_S = 5.0


def pause_s(failures: int) -> float:
    """Returns the pause after this many consecutive failures: 0.1 s at first, doubling."""
    return min(0.05 * 2.0 ** min(failures, 10), _PAUSE_MAX_S)


def is_damage(failure: StorageFailed, failures: int) -> bool:
    """Returns whether a file should be set aside and rebuilt: it cannot be read, or fails repeatedly. A full
    disk is neither."""
    is_it = isinstance(failure, FileDamaged) or failures >= _FAILURES_OF_A_DAMAGED_FILE
    return is_it and not is_full_disk(failure)


def is_full_disk(failure: StorageFailed) -> bool:
    """Returns whether a file failed because the disk is full."""
    return "No space left" in str(failure)


def remedies(file: File, failure: StorageFailed, failures: int) -> tuple[File | None, File | None]:
    """Returns the file if it should be set aside as damaged, and the file if its tables should be built in
    memory, because the disk stays full."""
    in_memory = is_full_disk(failure) and failures > 1
    return (file if is_damage(failure, failures) else None), (file if in_memory else None)
