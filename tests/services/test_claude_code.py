"""Transcripts of Claude Code, in the shapes of several of its versions."""

from __future__ import annotations

import json
from typing import Any

import pytest

from stack.errors import Invalid
from stack.services.replay.formats import claude_code
from stack.services.replay.imported_session import Imported, record_of
from tests.services.pictures import base64_of, png
from tests.services.recorded_sessions import DIGEST, NOW, conversation, states_of

SESSION = {
    "sessionId": "5a0ddcd0",
    "cwd": "/work",
    "version": "2.1.12",
    "gitBranch": "main",
    "userType": "external",
}


def file(*lines: dict[str, Any]) -> bytes:
    return b"".join(json.dumps(line).encode() + b"\n" for line in lines)


def user(
    uuid: str, content: Any, parent: str | None = None, second: int = 0, **fields: Any
) -> dict[str, Any]:
    return _line("user", uuid, parent, second, {"role": "user", "content": content}, **fields)


def assistant(
    uuid: str, content: Any, parent: str, second: int = 0, id: str = "", **fields: Any
) -> dict[str, Any]:
    message = {
        "id": id or f"msg_{uuid}",
        "type": "message",
        "role": "assistant",
        "model": "claude-x",
        "content": content,
    }
    return _line("assistant", uuid, parent, second, message | fields.pop("message", {}), **fields)


def _line(
    kind: str, uuid: str, parent: str | None, second: int, message: Any, **fields: Any
) -> dict[str, Any]:
    time = f"2026-01-20T11:57:{second:02}.500Z"
    common = {"parentUuid": parent, "isSidechain": False, **SESSION, "uuid": uuid, "timestamp": time}
    return common | {"type": kind, "message": message} | fields


def use(id: str, name: str = "Bash", **input: Any) -> dict[str, Any]:
    return {"type": "tool_use", "id": id, "name": name, "input": input}


def result(id: str, content: Any = "ok", **fields: Any) -> dict[str, Any]:
    return {"type": "tool_result", "tool_use_id": id, "content": content, **fields}


def text(value: str) -> dict[str, Any]:
    return {"type": "text", "text": value}


def read(*lines: dict[str, Any]) -> Imported:
    (imported,) = claude_code.read(file(*lines))
    return imported


def said(imported: Imported) -> list[tuple[str, Any]]:
    record = record_of(imported, "claude-code", DIGEST, NOW)
    return [(one["role"], one["content"]) for (one,) in conversation(record)]


def test_an_answer_in_several_lines_is_one_inference() -> None:
    usage = {
        "input_tokens": 3,
        "cache_creation_input_tokens": 10,
        "cache_read_input_tokens": 100,
        "output_tokens": 1,
    }
    imported = read(
        user("u1", "List the files.", second=1),
        assistant("a1", [{"type": "thinking", "thinking": "ls?", "signature": "x"}], "u1", 3, "m1", message={"usage": usage}),
        assistant("a2", [text("I look.")], "a1", 4, "m1", message={"usage": usage}),
        assistant("a3", [use("t1", command="ls")], "a2", 5, "m1", message={"usage": {**usage, "output_tokens": 9}}),
        user("u2", [result("t1", "a.py")], "a3", 6, toolUseResult={"stdout": "a.py"}),
        assistant("a4", [text("There is a.py.")], "u2", 8, "m2", message={"stop_reason": "end_turn"}),
    )  # fmt: skip
    record = record_of(imported, "claude-code", DIGEST, NOW)
    (state,) = states_of(record)
    first, tools, last = state.steps
    assert first.output is not None and last.output is not None
    assert first.output.content == "I look."
    assert [(call.tool_name, call.arguments) for call in first.output.tool_calls or ()] == [
        ("Bash", '{"command":"ls"}')
    ]
    assert [one.content for one in tools.tool_responses] == ["a.py"]
    assert last.output.content == "There is a.py."
    assert (state.status, state.usage.input_tokens, state.usage.output_tokens) == ("completed", 113, 9)
    assert [(step.started_at - state.started_at) // 1_000_000 for step in state.steps][::2] == [0, 5]
    assert imported.agent.name == "claude-code" and imported.agent.model == "claude-x"
    assert [tool.name for tool in imported.agent.client_tools or ()] == ["Bash"]
    assert imported.session_name == "List the files."
    assert imported.extra["source"]["version"] == "2.1.12"
    assert imported.extra["counts"] == {"line.toolUseResult": 1, "line.content[].signature": 1}
    inference = imported.turns[0].steps[0]
    assert getattr(inference, "reasoning", "") == "ls?"


def test_parallel_calls_with_their_results_between_them() -> None:
    imported = read(
        user("u1", "Read both."),
        assistant("a1", [use("t1")], "u1", 1, "m1"),
        user("u2", [result("t1", "one")], "a1", 2),
        assistant("a2", [use("t2")], "a1", 3, "m1"),
        user("u3", [result("t2", [text("two"), text("more")], is_error=True)], "a2", 4),
        assistant("a3", [text("Done.")], "u3", 5),
    )
    (state,) = states_of(record_of(imported, "claude-code", DIGEST, NOW))
    assert len(state.steps) == 3
    responses = state.steps[1].tool_responses
    assert [one.call_id for one in responses] == ["t1", "t2"]
    assert responses[1].metadata == {"is_error": True}


def test_a_replaced_prompt_is_not_part_of_the_session() -> None:
    imported = read(
        user("u1", "Hi"),
        assistant("a1", [text("Hello")], "u1"),
        user("u2", "Delete it", "a1"),
        assistant("a2", [text("Deleted")], "u2"),
        user("u3", "Keep it", "a1"),
        assistant("a3", [text("Kept")], "u3"),
    )
    assert said(imported) == [
        ("user", "Hi"),
        ("assistant", "Hello"),
        ("user", "Keep it"),
        ("assistant", "Kept"),
    ]
    assert imported.extra["counts"] == {"line (of another branch)": 2}


def test_a_subagent_is_a_session_of_its_own() -> None:
    side = {"isSidechain": True}
    found = claude_code.read(
        file(
            user("u1", "Find it"),
            assistant("a1", [use("t1", "Task", prompt="look")], "u1"),
            user("s1", "look", **side),
            assistant("s2", [text("found")], "s1", **side),
            user("u2", [result("t1", "found")], "a1"),
            assistant("a2", [text("It is there.")], "u2"),
            user("x1", "other", agentId="b7", **side),
        )
    )
    assert [said(one) for one in found[1:]] == [[("user", "look"), ("assistant", "found")], []]
    assert said(found[0])[-1] == ("assistant", "It is there.")
    assert len({one.source for one in found}) == 3
    assert found[2].source == "5a0ddcd0 agent b7"


def test_lines_and_fields_that_are_not_known_are_kept() -> None:
    imported = read(
        {"type": "summary", "summary": "A talk", "leafUuid": "a1"},
        {"type": "summary", "summary": "Of another session", "leafUuid": "elsewhere"},
        {"type": "file-history-snapshot", "messageId": "m", "snapshot": {}},
        {"type": "system", "subtype": "compact_boundary", "uuid": "b", "content": "Compacted"},
        user("u1", "Hi", mood="good"),
        assistant(
            "a1",
            [text("Hello"), {"type": "redacted_thinking", "data": "x"}],
            "u1",
            message={"container": "c"},
        ),
    )
    assert imported.session_name == "A talk"
    assert imported.extra["counts"] == {
        "line (summary)": 1,
        "line (file-history-snapshot)": 1,
        "line (system)": 1,
        "line.mood": 1,
        "line.message.container": 1,
        "line.content[] (redacted_thinking)": 1,
    }


def test_errors_of_the_api_are_failed_turns() -> None:
    imported = read(
        user("u1", "Hi"),
        assistant("a1", [text("API Error: 529 overloaded")], "u1", isApiErrorMessage=True, message={"model": "<synthetic>"}),
        user("u2", "Again", "a1"),
        assistant("a2", [text("Hello")], "u2"),
    )  # fmt: skip
    assert [one.status for one in imported.turns] == ["failed", "completed"]
    assert imported.agent.model == "claude-x"


def test_an_interrupted_session_ends_without_its_answer() -> None:
    imported = read(
        user("u1", "Run it"),
        assistant("a1", [use("t1")], "u1"),
        user("u2", [text("[Request interrupted by user for tool use]")], "a1"),
        user("u3", "Wait", "u2"),
    )
    assert [one.status for one in imported.turns] == ["abandoned", "cancelled"]
    assert len(imported.turns[1].input_messages) == 2


def test_images_are_content() -> None:
    source = {"type": "base64", "media_type": "image/png", "data": base64_of(png())}
    imported = read(
        user("u1", [text("What is it?"), {"type": "image", "source": source}]),
        assistant("a1", [text("Grey.")], "u1"),
    )
    parts = said(imported)[0][1]
    assert [part["type"] for part in parts] == ["text", "image_url"]
    assert parts[1]["image_url"]["url"].startswith("data:image/png;base64,")


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"", "The file is empty"),
        (b'{"type": "session_meta", "payload": {}}\n', "not a transcript of Claude Code"),
        (file(user("u", "Hi"))[:-20], "Line 1 is not JSON"),
        (file(user("u", "Hi"), user("v", "Hi")) + b"[]\n", "Line 3 is not a JSON object"),
        (file(user("u", "Hi"), user("v", 7)), "Line 2: message.content is neither text nor a list of blocks"),
        (file(user("u", ["x"])), "Line 1: message.content[0] is not an object"),
        (file({"type": "user", "message": "Hi"}), "Line 1: message is not an object"),
        (file(user("u", "Hi")).replace(b"Hi", b"\xff"), "Line 1: the file is not UTF-8"),
    ],
)
def test_a_file_that_cannot_be_imported_says_why(data: bytes, problem: str) -> None:
    with pytest.raises(Invalid) as raised:
        claude_code.read(data)
    assert problem in raised.value.detail
