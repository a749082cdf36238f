"""Reads sessions with the outcomes of their turns from a server, and lets it score their answers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import click
import msgspec
from msgspec.structs import replace

from stack.cli.connection import Connection
from stack.cli.session_diff import Shown, text_of_answer, text_of_input
from stack.cli.session_path import session_path


class Scoring(NamedTuple):
    """`expected` are the expected answers of the turns in order, "" for none; None scores B against A."""

    function: str
    expected: Sequence[str] | None


def shown(server: Connection, session_id: str) -> Shown:
    """Returns a session with all of its turns. Raises AnswerError, OSError."""
    path = session_path(server, session_id)
    turns: list[dict[str, Any]] = []
    while True:
        headers, body = server.fetch(f"{path}?start_index={len(turns)}")
        session = msgspec.json.decode(body)
        turns += session["turns"]
        if headers.get("x-truncated") != "true":
            break
    ids = [turn["turn_id"] for turn in turns]
    outcomes = {turn_id: server.ask("GET", f"{path}/turn/{turn_id}/outcome") for turn_id in ids}
    return Shown(session={**session, "turns": turns}, outcomes=outcomes)


def scored(server: Connection, scoring: Scoring, a: Shown, b: Shown) -> tuple[Shown, Shown]:
    """Returns both sessions with scores of the turns for which an answer is expected. Raises AnswerError, OSError."""
    if scoring.expected is None:
        expected = [text_of_answer(turn) for turn in a.session["turns"]]
        return a, _scored(server, scoring.function, expected, b)
    return (
        _scored(server, scoring.function, scoring.expected, a),
        _scored(server, scoring.function, scoring.expected, b),
    )


def _scored(server: Connection, function: str, expected: Sequence[str], side: Shown) -> Shown:
    turns = [(turn, wanted) for turn, wanted in zip(side.session["turns"], expected, strict=False) if wanted]
    if not turns:
        return side
    rows = [
        {
            "input_query": text_of_input(turn),
            "generated_answer": text_of_answer(turn),
            "expected_answer": wanted,
        }
        for turn, wanted in turns
    ]
    body = {"input_rows": rows, "scoring_functions": {function: None}}
    scores = server.ask("POST", "/v1/scoring/score", body)["results"][function]["score_rows"]
    found: dict[str, float] = {}
    for (turn, _), row in zip(turns, scores, strict=True):
        if "error" in row:
            raise click.ClickException(f"{function} cannot score turn {turn['turn_id']}: {row['error']}")
        if isinstance(row["score"], int | float):
            found[turn["turn_id"]] = float(row["score"])
    return replace(side, scores=found)
