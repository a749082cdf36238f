"""Comparing sessions turn by turn, as values and as text."""

from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console

from stack.cli.session_diff import MAX_WORDS, CallPiece, Piece, SessionDiff, Shown, compare, words
from stack.cli.session_diff_text import show

TIMES = {"started_at": "2026-01-01T00:00:00.000000Z", "completed_at": "2026-01-01T00:00:01.500000Z"}


def turn(
    id: str, answer: str = "Yes.", said: str = "Well?", steps: list[Any] | None = None
) -> dict[str, Any]:
    return {
        "turn_id": id,
        "input_messages": [{"role": "user", "content": said}],
        "steps": steps or [],
        "output_message": {"role": "assistant", "content": answer},
        **TIMES,
    }


def called(step_id: str, arguments: str, result: str = "rain") -> dict[str, Any]:
    call = {"call_id": step_id, "tool_name": "weather", "arguments": arguments}
    return {
        "step_id": step_id,
        "step_type": "tool_execution",
        "tool_calls": [call],
        "tool_responses": [{"call_id": step_id, "tool_name": "weather", "content": result}],
    }


def shown(name: str, *turns: dict[str, Any], status: str = "completed", **scores: float) -> Shown:
    outcome = {"status": status, "usage": {"input_tokens": 10, "output_tokens": len(turns)}}
    return Shown(
        session={"session_id": name, "session_name": f"Session {name}", "turns": list(turns)},
        outcomes={one["turn_id"]: outcome for one in turns},
        scores=scores,
    )


def rendered(diff: SessionDiff, *sides: Shown) -> str:
    out = Console(file=io.StringIO(), width=160, highlight=False)
    show(out, diff, [side.session for side in sides])
    text: str = out.file.getvalue()  # type: ignore[attr-defined]
    return text


@pytest.mark.parametrize(
    ("a", "b", "pieces"),
    [
        ("", "", []),
        ("one two", "one two", [("same", "one two")]),
        ("", "new", [("added", "new")]),
        ("old", "", [("removed", "old")]),
        (
            "It will rain today.",
            "It will snow today.",
            [("same", "It will"), ("removed", " rain"), ("added", " snow"), ("same", " today.")],
        ),
        ("a  b\n", "a  b\n\n", [("same", "a  b"), ("removed", "\n"), ("added", "\n\n")]),
        ("Zürich ☂", "Zürich ☃", [("same", "Zürich"), ("removed", " ☂"), ("added", " ☃")]),
    ],
)
def test_texts_are_compared_by_words(a: str, b: str, pieces: list[tuple[Any, str]]) -> None:
    found = words(a, b)
    assert found == [Piece(part, text) for part, text in pieces]
    assert "".join(piece.text for piece in found if piece.part != "added") == a
    assert "".join(piece.text for piece in found if piece.part != "removed") == b


def test_long_texts_are_compared_by_lines() -> None:
    lines = [f"line {number} of many words\n" for number in range(MAX_WORDS)]
    changed = [*lines[:7], "another line\n", *lines[8:]]
    found = words("".join(lines), "".join(changed))
    assert [piece.part for piece in found] == ["same", "removed", "added", "same"]
    assert found[1].text == lines[7]


def test_shared_and_changed_turns() -> None:
    first = turn("t1")
    a = shown("a", first, turn("t2", "It will rain."), turn("t3"))
    b = shown("b", first, turn("u2", "It will snow."))
    diff = compare(a, b)
    assert [one.change for one in diff.turns] == ["shared", "changed", "only_a"]
    assert (diff.shared, diff.same, diff.changed, diff.only_a, diff.only_b) == (1, 0, 1, 1, 0)
    assert diff.differs and not compare(a, a).differs
    text = rendered(diff, a, b)
    assert "turns: 1 shared, 1 changed, 1 only in A" in text
    assert "turn 1  shared" in text
    assert "answer  It will [-rain.-] {+snow.+}" in text
    assert "out 3 -> 2" in text and "1500 ms" in text


def test_the_same_answer_in_another_turn_is_the_same() -> None:
    diff = compare(shown("a", turn("t1")), shown("b", turn("u1")))
    assert [one.change for one in diff.turns] == ["same"] and not diff.differs
    diff = compare(shown("a", turn("t1")), shown("b", turn("u1"), status="failed"))
    assert [one.change for one in diff.turns] == ["changed"]


def test_calls_are_compared_by_tool_and_canonical_arguments() -> None:
    a = shown(
        "a", turn("t1", steps=[called("s1", '{"city": "Ulm", "days": 1}'), called("s2", '{"city":"Bonn"}')])
    )
    b = shown(
        "b",
        turn("u1", steps=[called("s1", '{"days":1,"city":"Ulm"}', "sun"), called("x", '{"city":"Kiel"}')]),
    )
    [found] = compare(a, b).turns
    assert found.calls == [
        CallPiece("same", "weather", '{"city":"Ulm","days":1}', result="changed"),
        CallPiece("removed", "weather", '{"city":"Bonn"}'),
        CallPiece("added", "weather", '{"city":"Kiel"}'),
    ]
    assert found.copied_steps == 1 and found.change == "changed"
    text = rendered(compare(a, b), a, b)
    assert "the first 1 step copied" in text and "another result" in text
    assert '- call  weather {"city":"Bonn"}' in text and '+ call  weather {"city":"Kiel"}' in text


def test_a_call_that_was_not_executed_is_a_call_too() -> None:
    call = {"call_id": "c", "tool_name": "weather", "arguments": "not JSON"}
    step = {"step_id": "s", "step_type": "inference", "model_response": {"content": "", "tool_calls": [call]}}
    [found] = compare(shown("a", turn("t1", steps=[step])), shown("b", turn("u1"))).turns
    assert found.calls == [CallPiece("removed", "weather", "not JSON")]


def test_text_of_others_cannot_style_the_terminal() -> None:
    a, b = shown("a", turn("t1", "[red]x[/] \x1b[31m")), shown("b", turn("u1", "y"))
    text = rendered(compare(a, b), a, b)
    assert "[red]x[/]" in text and "\x1b" not in text


def test_scores_of_both_sides() -> None:
    a, b = shown("a", turn("t1"), t1=1.0), shown("b", turn("u1", "No."), u1=0.0)
    assert "score 1 -> 0" in rendered(compare(a, b), a, b)
    empty = shown("a")
    assert "turns: none" in rendered(compare(empty, empty), empty, empty)
