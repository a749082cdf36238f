"""The known problems of an open log: found at its start, or by readers."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from threading import Lock

from stack.errors import ContentDamaged

_log = logging.getLogger(__name__)

_KEPT = 100
_TEXT_PREFIX = "[Content damaged: "


def damaged_text(digest: str) -> str:
    """Returns the text that replaces one whose blob is missing or damaged."""
    return (
        f"{_TEXT_PREFIX}the stored content {digest} is missing or was changed. Restore blobs/{digest[:2]}/{digest} in the "
        "data folder from a backup and restart the server. `replaystack verify` lists all damage.]"
    )


def is_damaged_text(text: str) -> bool:
    """Returns whether a text is a `damaged_text` instead of the recorded one."""
    return text.startswith(_TEXT_PREFIX)


NOT_RECORDED = "its content is not what was recorded"


def event_damaged(position: int, stream: str, name: str, reason: str) -> ContentDamaged:
    return ContentDamaged(
        f"Event {position} of the log ({name} of {stream}) is damaged: {reason}. `replaystack verify` lists all damage; "
        "restore a backup."
    )


class Damage:
    """Thread-safe. Each problem is logged once; at most 100 are kept, for `replaystack doctor`."""

    def __init__(self, problems: Iterable[str] = ()) -> None:
        self._lock = Lock()
        self._problems: dict[str, None] = {}
        for problem in problems:
            self.note(problem)

    def note(self, problem: str) -> None:
        with self._lock:
            if problem in self._problems or len(self._problems) >= _KEPT:
                return
            self._problems[problem] = None
        _log.error("The event log is damaged: %s. `replaystack verify` lists all damage.", problem)

    def problems(self) -> tuple[str, ...]:
        with self._lock:
            return tuple(self._problems)
