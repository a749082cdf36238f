"""Records the golden sessions of this folder anew: real sessions over a real llama.cpp server.

    uv run python -m tests.sessions.record

`pytest` runs each of them again (`stack/pytest_plugin.py`). Record them only if a change of the runner is meant to change
what is recorded, and add those of a release under its version: older ones must keep their verdict.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.server.api import Api, Conversation
from tests.server.process import Replaystack
from tests.servers.processes import ROOT, running

FOLDER = Path(__file__).parent
MODEL = "llama/tiny-random"
SHORT = {"sampling_params": {"max_tokens": 24}}
CALLS = {"sampling_params": {"max_tokens": 200}, "tool_choice": "required"}
CODE = "builtin::code_interpreter"
MCP = "mcp::tools"
SHIELDS = [
    {"id": "words", "kind": "pattern", "patterns": [{"name": "explosive", "pattern": "(?i)bomb"}]},
    {"id": "long", "kind": "prompt-length", "max_characters": 20_000},
]
WEATHER = {
    "name": "weather",
    "description": "Tells the weather.",
    "input_schema": {
        "type": "object",
        "properties": {"city": {"type": "string", "enum": ["Oslo", "Piran"]}, "days": {"type": "integer"}},
        "required": ["city", "days"],
        "additionalProperties": False,
    },
}


def answers(api: Api) -> Conversation:
    conversation = api.conversation(MODEL, instructions="Answer briefly.", **SHORT)
    conversation.streamed("When does the harbour open?")
    conversation.turn("And when does it close?")
    documents = [{"content": "The harbour opens at ten and closes at six.", "mime_type": "text/plain"}]
    conversation.streamed("What does the notice say?", documents=documents)
    return conversation


def client_tool(api: Api) -> Conversation:
    conversation = api.conversation(MODEL, client_tools=[WEATHER], **CALLS)
    called(conversation, "Will it rain?")
    called(conversation, "And tomorrow?")
    return conversation


def called(conversation: Conversation, text: str) -> None:
    turn = conversation.post(text).json()
    calls = turn["output_message"].get("tool_calls") or []
    if calls:
        responses = [
            {"call_id": one["call_id"], "tool_name": one["tool_name"], "content": '{"rain": true, "mm": 3.5}'}
            for one in calls
        ]
        conversation.resume(turn["turn_id"], *responses).raise_for_status()


def code(api: Api) -> Conversation:
    """Random weights write no code, because a grammar does not define it: this model is scripted. The code calls another tool, which
    needs an approval."""
    arguments = json.dumps({"code": "total = add(a=20, b=22)\ntotal"})
    model = f"scripted/tools;name=code_interpreter;arguments={arguments}"
    conversation = api.conversation(model, toolgroups=[CODE, f"{MCP}/add"])
    decided(conversation, "Compute it.", "approve")
    return conversation


def approval(api: Api) -> Conversation:
    conversation = api.conversation(MODEL, toolgroups=[f"{MCP}/add"], **CALLS)
    decided(conversation, "Add them.", "approve")
    decided(conversation, "Add others.", "deny")
    return conversation


def decided(conversation: Conversation, text: str, decision: str) -> None:
    """Runs a turn, and makes the decision that its call needs."""
    http, turn_id = conversation.http, conversation.post(text).json()["turn_id"]
    for one in http.get("/v1alpha/approvals", params={"status": "pending"}).json()["data"]:
        body = {"decision": decision, "reason": "Because."}
        http.post(f"/v1alpha/approvals/{one['approval_id']}", json=body).raise_for_status()
    conversation.replay(turn_id)


def shields(api: Api) -> Conversation:
    guarded = {"input_shields": ["long", "words"], "output_shields": ["words"]}
    conversation = api.conversation(MODEL, **guarded, **SHORT)
    conversation.turn("How does a harbour work?")
    conversation.streamed("How does a bomb work?")
    return conversation


def retrieval(api: Api) -> Conversation:
    conversation = api.conversation(MODEL, **SHORT)
    lines = [f"Berth {number} is {number} metres deep." for number in range(1, 40)]
    notes = "\n\n".join([*lines, "The harbour opens at ten, as Ann (ann@example.com) says.", *lines])
    documents = [{"content": notes, "mime_type": "text/plain", "document_id": "notes"}]
    conversation.streamed("When does the harbour open?", documents=documents)
    return conversation


def failed(api: Api) -> Conversation:
    conversation = api.conversation("scripted/cut;chunks=4")
    conversation.streamed("Hello")
    conversation.post("Hello again")
    return conversation


def cancelled(api: Api) -> Conversation:
    conversation = api.conversation("scripted/stall;chunks=4")
    with conversation.streaming() as stream:
        stream.until("step_progress")
        conversation.cancel(conversation.only_turn_id()).raise_for_status()
    return conversation


SESSIONS: dict[str, Callable[[Api], Conversation]] = {
    "answers": answers,
    "client_tool": client_tool,
    "code": code,
    "approval": approval,
    "shields": shields,
    "retrieval": retrieval,
    "failed": failed,
    "cancelled": cancelled,
}


def record(folder: Path) -> None:
    with (
        tempfile.TemporaryDirectory() as temporary,
        running("tests.servers.llama_cpp") as llama,
        running("tests.servers.scripted_openai") as scripted,
    ):
        tools = {
            "id": MCP,
            "command": [sys.executable, "-m", "tests.servers.mcp_tools"],
            "cwd": str(ROOT),
            "approval": [{}],
        }
        environment: dict[str, Any] = {
            "REPLAYSTACK_INFERENCE": [
                {"id": "llama", "base_url": llama.base_url, "flavour": "llama.cpp"},
                {"id": "scripted", "base_url": scripted.base_url, "flavour": "generic"},
            ],
            "REPLAYSTACK_TOOLGROUPS": [{"id": CODE}, tools],
            "REPLAYSTACK_SHIELDS": SHIELDS,
        }
        texts = {name: json.dumps(value) for name, value in environment.items()}
        settings = {"max_context_document_characters": 1_000, "max_retrieved_tokens": 120}
        data = Path(temporary) / "data"
        with Replaystack(data, settings=settings, environment=texts) as server, server.http() as http:
            for name, tell in SESSIONS.items():
                conversation = tell(Api(http))
                file = http.get(f"{conversation.path}/export").raise_for_status().content
                (folder / f"{name}.session.jsonl").write_bytes(file)
                statuses = [
                    conversation.outcome(turn["turn_id"])["status"] for turn in conversation.show()["turns"]
                ]
                print(name, len(file), *statuses)


if __name__ == "__main__":
    record(FOLDER)
