"""Losses of a telemetry log that the operator has accepted: they are reported, but no longer as problems."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec

from telemetry.log.log_files import write_synced
from telemetry.log.port import Accepted, Damage

logger = logging.getLogger("replaystack.telemetry")

ACCEPTED = "accepted"
_MAX_TOLD = 20


def not_accepted(damages: Iterable[Damage], accepted: Sequence[Accepted]) -> list[Damage]:
    return [damage for damage in damages if not any(one.covers(damage) for one in accepted)]


def descriptions(accepted: Iterable[Accepted]) -> list[str]:
    """Describes what was accepted, and when, in at most 20 lines."""
    lines = [f"{damage} (accepted {one.at})" for one in accepted for damage in one.damages]
    more = len(lines) - _MAX_TOLD
    return lines if more <= 0 else [*lines[: _MAX_TOLD - 1], f"and {more + 1} more"]


def read_accepted(folder: Path) -> tuple[Accepted, ...]:
    """Reads the accepted losses; returns none if the file cannot be read."""
    try:
        return msgspec.json.decode((folder / ACCEPTED).read_bytes(), type=tuple[Accepted, ...])
    except FileNotFoundError:
        return ()
    except (OSError, msgspec.DecodeError) as error:
        logger.warning("the accepted losses of the telemetry log cannot be read: %s", error)
        return ()


def write_accepted(folder: Path, accepted: Sequence[Accepted]) -> None:
    """Writes the accepted losses; durable on return. Raises OSError."""
    write_synced(folder / ACCEPTED, msgspec.json.encode(accepted).decode())
