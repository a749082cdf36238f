"""llama-stack-client 0.2.x: its `Agent` helper and its event logger, with client tools. Prints JSON.

    python agent_0_2.py '"http://127.0.0.1:8321"' '{"model": ..., "tools": [...], "questions": [...], ...}'

Of each question: what the helper returned streamed, and what it returned not streamed.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from llama_stack_client import Agent, AgentEventLogger, LlamaStackClient

sys.path.insert(0, str(Path(__file__).parent))
import tools_0_2

url, wanted = (json.loads(argument) for argument in sys.argv[1:])
client = LlamaStackClient(base_url=url, max_retries=0)
tools = [getattr(tools_0_2, name) for name in wanted.get("tools", [])]
agent = Agent(
    client,
    model=wanted["model"],
    instructions=wanted.get("instructions", "You are helpful."),
    tools=tools,
    sampling_params={"strategy": {"type": "greedy"}, "max_tokens": wanted.get("max_tokens", 200)},
    **wanted.get("config", {}),
)
session_id = agent.create_session("with the helper")


def described(turn: Any) -> dict[str, Any]:
    """What matters of a turn."""
    steps = []
    for step in turn.steps:
        one: dict[str, Any] = {"type": step.step_type, "id": step.step_id}
        if step.step_type == "tool_execution":
            one["calls"] = [
                [call.call_id, call.tool_name, json.loads(call.arguments)] for call in step.tool_calls
            ]
            one["responses"] = [
                [answer.call_id, answer.tool_name, answer.content, answer.metadata]
                for answer in step.tool_responses
            ]
        steps.append(one)
    stored = client.agents.turn.retrieve(turn.turn_id, agent_id=agent.agent_id, session_id=session_id)
    message = turn.output_message
    return {
        "text": message.content,
        "stop_reason": message.stop_reason,
        "tool_calls": len(message.tool_calls or []),
        "steps": steps,
        "completed": turn.completed_at is not None,
        "stored": stored == turn,
        "times_increase": all(
            a.started_at < a.completed_at < b.started_at
            for a, b in zip(turn.steps, turn.steps[1:], strict=False)
        ),
    }


def streamed(question: str) -> dict[str, Any]:
    chunks: list[Any] = []

    def kept(source: Any) -> Any:
        for chunk in source:
            chunks.append(chunk)
            yield chunk

    source = agent.create_turn([{"role": "user", "content": question}], session_id=session_id, stream=True)
    printed = [str(one) for one in AgentEventLogger().log(kept(source))]
    if hasattr(chunks[-1], "error"):
        return {"printed": printed, "error": chunks[-1].error}
    payloads = [chunk.event.payload for chunk in chunks]
    deltas = [p.delta for p in payloads if p.event_type == "step_progress" and p.delta.type == "tool_call"]
    return {
        "printed": printed,
        "kinds": [p.event_type for p in payloads],
        "fragments": "".join(d.tool_call for d in deltas if isinstance(d.tool_call, str)),
        "whole": [
            [d.tool_call.call_id, d.tool_call.arguments, d.parse_status]
            for d in deltas
            if not isinstance(d.tool_call, str)
        ],
        "turn": described(payloads[-1].turn),
    }


def whole(question: str) -> dict[str, Any]:
    try:
        turn = agent.create_turn([{"role": "user", "content": question}], session_id=session_id, stream=False)
    except RuntimeError as error:
        return {"error": str(error)}
    return described(turn)


found = [{"streamed": streamed(one), "whole": whole(one)} for one in wanted["questions"]]
print(json.dumps({"found": found}, default=str))
