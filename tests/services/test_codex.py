"""Rollouts of the Codex CLI, in the shapes of several of its versions."""

from __future__ import annotations

import json
from typing import Any

import pytest

from stack.errors import Invalid
from stack.services.replay.formats import codex
from stack.services.replay.imported_session import Imported, record_of
from tests.services.recorded_sessions import DIGEST, NOW, conversation, states_of


def file(*lines: dict[str, Any]) -> bytes:
    return b"".join(json.dumps(line).encode() + b"\n" for line in lines)


def line(kind: str, /, second: int = 0, **payload: Any) -> dict[str, Any]:
    return {"timestamp": f"2025-10-29T00:59:{second:02}.300Z", "type": kind, "payload": payload}


META = line(
    "session_meta",
    id="019a2d7a",
    timestamp="2025-10-29T00:59:00.300Z",
    cwd="/work",
    originator="codex_exec",
    cli_version="0.46.0",
    instructions="Be brief.",
    source="exec",
)
CONTEXT = line("turn_context", cwd="/work", model="gpt-5-codex", approval_policy="never")


def message(role: str, text: str, second: int = 0) -> dict[str, Any]:
    part = {"type": "output_text" if role == "assistant" else "input_text", "text": text}
    return line("response_item", second, type="message", role=role, content=[part])


def call(id: str, second: int = 0, name: str = "shell", arguments: str = "{}") -> dict[str, Any]:
    return line("response_item", second, type="function_call", name=name, arguments=arguments, call_id=id)


def output(id: str, value: Any, second: int = 0) -> dict[str, Any]:
    return line("response_item", second, type="function_call_output", call_id=id, output=value)


def tokens(input: int, output: int) -> dict[str, Any]:
    last = {"input_tokens": input, "cached_input_tokens": 1, "output_tokens": output}
    return line("event_msg", type="token_count", info={"last_token_usage": last}, rate_limits={})


def reasoning(text: str) -> dict[str, Any]:
    summary = [{"type": "summary_text", "text": text}]
    return line("response_item", type="reasoning", summary=summary, content=None, encrypted_content="gAAA")


def read(*lines: dict[str, Any]) -> Imported:
    (imported,) = codex.read(file(*lines))
    return imported


def said(imported: Imported) -> list[tuple[str, Any]]:
    record = record_of(imported, "codex", DIGEST, NOW)
    return [(one["role"], one["content"]) for (one,) in conversation(record)]


def test_a_rollout_becomes_a_session() -> None:
    imported = read(
        META,
        message("user", "<environment_context>...</environment_context>"),
        message("user", "List the files.", 1),
        line("event_msg", type="user_message", message="List the files.", kind="plain"),
        CONTEXT,
        line("event_msg", type="agent_reasoning", text="ls"),
        reasoning("**ls**"),
        call("c1", 3, arguments='{"command":["ls"]}'),
        tokens(100, 5),
        output("c1", "a.py\n", 4),
        message("assistant", "There is a.py.", 6),
        line("event_msg", type="agent_message", message="There is a.py."),
        tokens(120, 7),
    )
    (state,) = states_of(record_of(imported, "codex", DIGEST, NOW))
    assert state.status == "completed"
    assert [one.content for one in state.input_messages] == [
        "<environment_context>...</environment_context>",
        "List the files.",
    ]
    first, tools, last = state.steps
    assert first.output is not None and first.output.tool_calls is not None and last.output is not None
    assert first.output.tool_calls[0].arguments == '{"command":["ls"]}'
    assert tools.tool_responses[0].content == "a.py\n"
    assert last.output.content == "There is a.py."
    assert (state.usage.input_tokens, state.usage.output_tokens) == (220, 12)
    agent = imported.agent
    assert (agent.name, agent.model, agent.instructions) == ("codex", "gpt-5-codex", "Be brief.")
    assert imported.session_name == "List the files."
    assert imported.source == "019a2d7a"
    assert imported.extra["counts"]["line.encrypted_content"] == 1
    assert imported.extra["source"]["cli_version"] == "0.46.0"


def test_the_oldest_files_have_items_as_lines() -> None:
    imported = read(
        {"id": "old", "timestamp": "2025-05-01T10:00:00Z", "instructions": None, "git": {"branch": "main"}},
        {"record_type": "state"},
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hi"}]},
        {"record_type": "state"},
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Hello"}]},
    )
    assert said(imported) == [("user", "Hi"), ("assistant", "Hello")]
    assert imported.source == "old" and imported.agent.model == "unknown"
    assert imported.extra["counts"]["line (state)"] == 2


def test_custom_tools_and_results_of_all_forms() -> None:
    parts = [
        {"type": "input_text", "text": "seen"},
        {"type": "input_image", "image_url": "data:image/png;base64,AAAA"},
    ]
    imported = read(
        META,
        message("user", "Patch"),
        line("response_item", type="custom_tool_call", call_id="c1", name="apply_patch", input="*** Begin", status="completed"),
        line("response_item", type="local_shell_call", call_id="c2", action={"type": "exec", "command": ["ls"]}),
        call("c3", name="view_image"),
        line("response_item", type="custom_tool_call_output", call_id="c1", output="Done"),
        output("c2", {"content": "files", "success": True}),
        output("c3", parts),
        message("assistant", "ok"),
    )  # fmt: skip
    (state,) = states_of(record_of(imported, "codex", DIGEST, NOW))
    step = state.steps[0].output
    assert step is not None
    assert [(one.tool_name, one.arguments) for one in step.tool_calls or ()] == [
        ("apply_patch", '{"input":"*** Begin"}'),
        ("local_shell", '{"type":"exec","command":["ls"]}'),
        ("view_image", "{}"),
    ]
    responses = state.steps[1].tool_responses
    assert [one.content for one in responses[:2]] == ["Done", "files"]
    assert responses[1].metadata == {"success": True}
    assert isinstance(responses[2].content, list) and responses[2].content[1].image is not None


def test_interruptions_and_errors_end_turns() -> None:
    imported = read(
        META,
        message("user", "One"),
        call("c1"),
        line("event_msg", type="turn_aborted", reason="interrupted"),
        message("user", "Two"),
        line("event_msg", type="error", message="usage limit"),
        message("user", "Three"),
        message("assistant", "Yes"),
    )
    assert [one.status for one in imported.turns] == ["cancelled", "failed", "completed"]
    assert imported.turns[1].error is not None and imported.turns[1].error.detail == "usage limit"


def test_what_has_no_place_is_kept() -> None:
    imported = read(
        META,
        message("developer", "You may write files."),
        message("user", "Search"),
        line(
            "response_item",
            type="web_search_call",
            status="completed",
            action={"type": "search", "query": "q"},
        ),
        message("assistant", "Found"),
        message("developer", "Later"),
        line("compacted", message="Summary so far", replacement_history=[{"type": "message"}]),
        message("assistant", "Continuing"),
        line("world_state", a=1),
    )
    assert imported.agent.instructions == "Be brief.\n\nYou may write files."
    assert said(imported)[2:] == [("user", "Summary so far"), ("assistant", "Continuing")]
    counts = imported.extra["counts"]
    assert counts["line (web_search_call)"] == counts["line (world_state)"] == 1
    assert counts["line (message of developer)"] == counts["line.replacement_history"] == 1


def test_a_rollout_of_events_alone_is_read_from_them() -> None:
    imported = read(
        META,
        line("event_msg", type="user_message", message="Hi"),
        line("event_msg", type="agent_message", message="Hello"),
        line("response_item", type="reasoning", summary=[]),
    )
    assert said(imported) == [("user", "Hi"), ("assistant", "Hello")]


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"", "The file is empty"),
        (b'{"type": "user", "message": {}}\n', "not a rollout of Codex"),
        (file(META), "The rollout has no messages"),
        (file(META) + b'{"type": "response_item", "payl', "It is the last line and may be cut off"),
        (file(META, {"type": "response_item", "payload": 7}), "Line 2: payload is not an object"),
        (
            file(META, line("response_item", type="message", role="user", content=7)),
            "Line 2: content is neither",
        ),
    ],
)
def test_a_file_that_cannot_be_imported_says_why(data: bytes, problem: str) -> None:
    with pytest.raises(Invalid) as raised:
        codex.read(data)
    assert problem in raised.value.detail
