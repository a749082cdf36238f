"""Searches and classifies texts in a worker process (see `stack.workers.child`)."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from typing import Any

import msgspec

from stack.providers.shields.injection import Threat
from stack.providers.shields.pattern import matching
from stack.providers.shields.workers import Task

PIECE_WORDS = 240
"""The classifier ignores what follows the first 300 spans of a text; this many words are fewer."""
OVERLAP_WORDS = 24
"""The classifier's window: an attack at the seam of two pieces is whole in one of them."""

_WORD = re.compile(r"\S+")
_COMMENT = re.compile(r"<!--|-->")

_tasks = msgspec.json.Decoder(Task)


def answer(body: bytes) -> bytes:
    """Returns the answer to a task; both are JSON."""
    task = _tasks.decode(body)
    if task.patterns:
        return msgspec.json.encode(matching(task.patterns, task.texts))
    return msgspec.json.encode(_severest(task))


def _severest(task: Task) -> Threat | None:
    classifier = _classifier()
    classifier.threshold = classifier.calibrated if task.threshold is None else task.threshold
    least = (
        max(classifier.threshold, classifier.window_min_score) if task.threshold is None else task.threshold
    )
    found = [
        threat
        for text in task.texts
        for piece in pieces(text)
        if (threat := _classified(classifier, piece, least)) is not None
        and threat.category not in task.excluded
    ]
    return max(found, key=lambda one: one.score, default=None)


def _classified(classifier: Any, text: str, least: float) -> Threat | None:
    from svguardian.window import predict_windowed  # type: ignore[import-not-found,import-untyped,unused-ignore]

    said = predict_windowed(classifier, text, least)
    if said["verdict"] != "malicious":
        return None
    return Threat(said["category"], said["malicious_score"])


@functools.cache
def _classifier() -> Any:
    from svguardian import resolve_runtime  # type: ignore[import-not-found,import-untyped,unused-ignore]
    from svguardian.model.pure_infer import PureGuardian  # type: ignore[import-not-found,import-untyped,unused-ignore]

    classifier = PureGuardian.load(resolve_runtime(download=False))
    classifier.calibrated = classifier.threshold
    return classifier


def pieces(text: str) -> Iterator[str]:
    """Yields the text in overlapping pieces that the classifier reads completely."""
    # The classifier splits spans at these, also within a word.
    text = _COMMENT.sub("\n", text)
    words = [found.span() for found in _WORD.finditer(text)]
    step = PIECE_WORDS - OVERLAP_WORDS
    for first in range(0, max(1, len(words) - OVERLAP_WORDS), step):
        part = words[first : first + PIECE_WORDS]
        yield text[part[0][0] : part[-1][1]] if part else text
