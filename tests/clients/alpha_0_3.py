"""llama-stack-client 0.3.x: its resources and `client.alpha.agents` with client tools. Prints JSON.

python alpha_0_3.py '"http://127.0.0.1:8321"' '{"model": ..., "tool_model": ..., "forced_model": ...}'
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any

import llama_stack_client
from llama_stack_client import LlamaStackClient

url, wanted = (json.loads(argument) for argument in sys.argv[1:])
client = LlamaStackClient(base_url=url, max_retries=0)
agents = client.alpha.agents
TOOL = {
    "name": "look_up",
    "description": "Looks a word up.",
    "input_schema": {
        "type": "object",
        "properties": {"word": {"enum": ["one", "two"]}},
        "required": ["word"],
    },
}


def status_of(call: Callable[[], Any]) -> int:
    try:
        call()
    except llama_stack_client.APIStatusError as error:
        return error.status_code
    return 200


def texts(message: Any) -> dict[str, Any]:
    return {
        "text": message.content,
        "stop_reason": message.stop_reason,
        "calls": len(message.tool_calls or []),
    }


def answered(turn: Any) -> list[dict[str, Any]]:
    """Returns the responses of a client that runs the tools."""
    return [
        {"call_id": call.call_id, "tool_name": call.tool_name, "content": "a word", "metadata": {"ms": 1}}
        for call in turn.output_message.tool_calls
    ]


def with_tools(model: str, stream: bool, **config: Any) -> dict[str, Any]:
    """One turn with its tools, until it is complete."""
    created = agents.create(
        agent_config={"model": model, "instructions": "Look it up.", "client_tools": [TOOL], **config}
    )
    session = agents.session.create(created.agent_id, session_name="tools")
    place = {"agent_id": created.agent_id, "session_id": session.session_id}
    answer = agents.turn.create(**place, messages=[{"role": "user", "content": "Which word?"}], stream=stream)
    kinds: list[list[str]] = []
    turn = _ended(answer, stream, kinds)
    waited = texts(turn.output_message) | {"completed": turn.completed_at is not None}
    rounds = 0
    while turn.output_message.tool_calls and rounds < 5:
        rounds += 1
        answer = agents.turn.resume(turn.turn_id, **place, tool_responses=answered(turn), stream=stream)
        turn = _ended(answer, stream, kinds)
    stored = agents.turn.retrieve(turn.turn_id, **place)
    return {
        "waited": waited,
        "rounds": rounds,
        "output": texts(turn.output_message),
        "steps": [step.step_type for step in turn.steps],
        "metadata": [
            one.metadata
            for step in turn.steps
            if step.step_type == "tool_execution"
            for one in step.tool_responses
        ],
        "stored": stored == turn,
        "each_step": all(
            agents.steps.retrieve(step.step_id, **place, turn_id=turn.turn_id).step == step
            for step in turn.steps
        ),
        "kinds": kinds,
        "again": status_of(
            lambda: agents.turn.resume(turn.turn_id, **place, tool_responses=[], stream=False)
        ),
    }


def _ended(answer: Any, stream: bool, kinds: list[list[str]]) -> Any:
    if not stream:
        return answer
    frames = list(answer)
    kinds.append([frame.event.payload.event_type for frame in frames])
    return frames[-1].event.payload.turn


found: dict[str, Any] = {
    "models": [one.identifier for one in client.models.list()],
    "openai_models": [one.id for one in client.models.openai.list()],
    "model": client.models.retrieve(wanted["model"]).identifier,
    "providers": [one.provider_id for one in client.providers.list()],
    "toolgroups": [one.identifier for one in client.toolgroups.list()],
    "tool": client.tools.get("code_interpreter").name,
    "listed": [
        [one.name for one in client.tools.list(toolgroup_id="builtin::code_interpreter")],
        [one.name for one in client.tool_runtime.list_tools(tool_group_id="builtin::code_interpreter")],
    ],
    "invoked": client.tool_runtime.invoke_tool(
        tool_name="code_interpreter", kwargs={"code": "6 * 7"}
    ).content,
    "health": client.inspect.health().status,
    "version": client.inspect.version().version,
    "refused": [
        status_of(lambda: client.models.register(model_id="a")),
        status_of(lambda: client.shields.delete("a")),
        status_of(lambda: client.toolgroups.unregister("a")),
    ],
    "tools": {
        "streamed": with_tools(wanted["tool_model"], True),
        "whole": with_tools(wanted["tool_model"], False),
        "forced": with_tools(
            wanted["forced_model"],
            True,
            tool_config={"tool_choice": "required"},
            sampling_params={"strategy": {"type": "greedy"}, "max_tokens": 200},
        ),
    },
}
created = agents.create(agent_config={"model": wanted["model"], "instructions": "The hour begins at ten."})
first = agents.session.create(created.agent_id, session_name="first")
agents.session.create(created.agent_id, session_name="second")
page = agents.session.list(created.agent_id, start_index=0, limit=1)
turn = agents.turn.create(
    first.session_id,
    agent_id=created.agent_id,
    messages=[{"role": "user", "content": "When does the hour begin?"}],
)
found["sessions"] = {"names": [one["session_name"] for one in page.data], "has_more": page.has_more}
found["agent"] = {
    "model": agents.retrieve(created.agent_id).agent_config.model,
    "listed": any(one["agent_id"] == created.agent_id for one in agents.list().data),
    "text": turn.output_message.content,
    "turns": len(agents.session.retrieve(first.session_id, agent_id=created.agent_id).turns),
    "none_of_them": len(
        agents.session.retrieve(first.session_id, agent_id=created.agent_id, turn_ids=["none"]).turns
    ),
}
agents.session.delete(first.session_id, agent_id=created.agent_id)
agents.delete(created.agent_id)
found["gone"] = [
    status_of(lambda: agents.retrieve(created.agent_id)),
    status_of(lambda: agents.session.retrieve(first.session_id, agent_id=created.agent_id)),
]
print(json.dumps(found, default=str))
