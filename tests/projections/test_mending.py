"""How long a follower pauses, and when it takes a file for damaged."""

from __future__ import annotations

import pytest

from projections.warehouse.errors import FileDamaged, StorageFailed
from projections.warehouse.recovery import is_damage, pause_s


def test_pauses_double_and_stay_bounded_for_ever() -> None:
    assert [pause_s(failures) for failures in (1, 2, 3)] == [0.1, 0.2, 0.4]
    assert pause_s(7) == pause_s(10_000) == 5.0  # Hours of failures: 2**10000 is no float.


@pytest.mark.parametrize(
    ("failure", "failures", "damaged"),
    [
        (StorageFailed("I/O error"), 1, False),
        (StorageFailed("I/O error"), 2, False),
        (StorageFailed("I/O error"), 3, True),
        (FileDamaged("Corrupt block"), 1, True),
        (StorageFailed("No space left on device"), 50, False),
    ],
)
def test_what_counts_as_damage(failure: StorageFailed, failures: int, damaged: bool) -> None:
    assert is_damage(failure, failures) is damaged
