"""What the followers of a log go by when the warehouse fails: how long to pause, and whether a file is damaged."""

from __future__ import annotations

from projections.warehouse.errors import FileDamaged, StorageFailed
from projections.warehouse.transaction import File

_FAILURES_OF_A_DAMAGED_FILE = 3
"""In a row, each after opening the file again."""
_PAUSE_MAX_S = 5.0


def pause_s(failures: int) -> float:
    """After so many failures in a row: 0.1 s at first, doubling."""
    return min(0.05 * 2.0 ** min(failures, 10), _PAUSE_MAX_S)


def is_damage(failure: StorageFailed, failures: int) -> bool:
    """Whether a file is to be set aside and built again: it cannot be read, or goes on failing. A full disk is neither."""
    is_it = isinstance(failure, FileDamaged) or failures >= _FAILURES_OF_A_DAMAGED_FILE
    return is_it and not is_full_disk(failure)


def is_full_disk(failure: StorageFailed) -> bool:
    """Whether a file failed because there is no space for it."""
    return "No space left" in str(failure)


def remedies(file: File, failure: StorageFailed, failures: int) -> tuple[File | None, File | None]:
    """The file if it is to be set aside as damaged, and the file if its tables are to be built in memory, because the
    disk goes on being full."""
    in_memory = is_full_disk(failure) and failures > 1
    return (file if is_damage(failure, failures) else None), (file if in_memory else None)
