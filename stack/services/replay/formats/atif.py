"""ATIF, the Agent Trajectory Interchange Format, version 1.8: one JSON document for each session.

The format and its rules: https://github.com/harbor-framework/harbor/blob/main/rfcs/0001-trajectory-format.md.
`extra.replaystack` of a step has what the format has no field for, so that an exported session can be imported again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from projections.warehouse.reader import rfc3339
from schemas.events.payload import Content, InputMessage, TurnUsage
from stack.services.replay.exported_turns import ExportedStep, ExportedTurn, exported_turns, session_name
from stack.services.replay.formats.content import image_uri, items_of, text_of
from stack.services.replay.session_record import SessionRecord
from stack.services.turns.chat_message import LOST_IMAGE

VERSION = "ATIF-v1.8"
OWN = "replaystack"
"""The key in `extra` for fields of our own."""

_encode = msgspec.json.Encoder().encode
Step = dict[str, Any]


def export(record: SessionRecord) -> Iterator[bytes]:
    """Yields the document. Raises ContentDamaged."""
    exported = exported_turns(record)
    steps = [step for turn in exported for step in _turn(turn)]
    agent = exported[-1].agent if exported else None
    instructions = exported[0].agent.instructions if exported else ""
    if instructions:
        steps.insert(0, {"source": "system", "message": instructions})
    tools = {tool["function"]["name"]: tool for turn in exported for tool in turn.tools}
    described: dict[str, Any] = {
        "name": (agent.name if agent is not None else None) or record.agent_id,
        "version": str(exported[-1].agent_version if exported else 1),
        "model_name": agent.model if agent is not None else None,
        "tool_definitions": list(tools.values()) or None,
        "extra": {OWN: {"agent_id": record.agent_id}},
    }
    document = {
        "schema_version": VERSION,
        "session_id": record.session_id,
        "trajectory_id": record.session_id,
        "agent": _present(described),
        "steps": [{"step_id": number} | step for number, step in enumerate(steps, 1)],
        "final_metrics": _final_metrics(exported, len(steps)),
        "extra": {OWN: {"session_name": session_name(record)}},
    }
    yield _encode(document) + b"\n"


def _turn(turn: ExportedTurn) -> list[Step]:
    """Returns the steps of a turn; the first and the last of them say which turn it is and how it ended."""
    state = turn.state
    steps = [_input(message) for message in state.input_messages]
    for step in steps:
        step["timestamp"] = rfc3339(state.started_at)
    if state.documents and steps:
        _own(steps[0])["documents"] = msgspec.to_builtins(state.documents)
    for exported in turn.steps:
        kind = exported.step.step_type
        if kind == "inference" and exported.step.output is not None:
            steps.append(_inference(exported))
        elif kind == "tool_execution" and exported.step.tool_calls:
            _add_results(steps, exported)
        elif kind == "memory_retrieval" and exported.step.inserted_context is not None:
            steps.append(_retrieval(exported))
    if turn.own_output is not None:
        step = {"source": "agent", "message": _content(turn.own_output.content)}
        step["timestamp"] = rfc3339(state.completed_at)
        _own(step)["is_turn_output"] = True
        if state.error is None:
            step["llm_call_count"] = 0
        steps.append(step)
    if not steps:
        return []
    for step in steps:
        _own(step)["turn_id"] = turn.turn_id
    end: dict[str, Any] = {"status": state.status}
    if turn.refused:
        end["refused"] = turn.refused
    if state.error is not None:
        end["error"] = msgspec.to_builtins(state.error)
    if state.is_damaged:
        end["is_damaged"] = True
    if state.completed_at:
        end["completed_at"] = rfc3339(state.completed_at)
    _own(steps[-1]).update(end)
    return steps


def _input(message: InputMessage) -> Step:
    step: Step = {"source": "user", "message": _content(message.content)}
    if message.call_id is not None:
        _own(step)["call_id"] = message.call_id
    if message.context is not None:
        _own(step)["context"] = msgspec.to_builtins(message.context)
    return step


def _inference(exported: ExportedStep) -> Step:
    output = exported.step.output
    assert output is not None
    step: Step = {
        "source": "agent",
        "timestamp": rfc3339(exported.step.completed_at),
        "model_name": exported.response_model or exported.model or None,
        "message": _content(output.content),
        "reasoning_content": exported.reasoning or None,
        "tool_calls": [
            _call(call.call_id, call.tool_name, call.arguments) for call in output.tool_calls or ()
        ]
        or None,
        "metrics": _metrics(exported.usage),
        "llm_call_count": 1,
    }
    own = {"started_at": rfc3339(exported.step.started_at), "response_id": exported.response_id}
    if output.stop_reason == "out_of_tokens":
        own["stop_reason"] = output.stop_reason
    step["extra"] = {OWN: {name: value for name, value in own.items() if value}}
    return _present(step)


def _call(call_id: str, name: str, text: str) -> dict[str, Any]:
    """The format has arguments as an object only; the text of the model is kept if it is not what the object is
    written to."""
    try:
        arguments = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        arguments = None
    call: dict[str, Any] = {"tool_call_id": call_id, "function_name": name, "arguments": arguments}
    if not isinstance(arguments, dict):
        call["arguments"] = {}
    if call["arguments"] != arguments or _encode(arguments).decode() != text:
        call["extra"] = {OWN: {"arguments": text}}
    return call


def _add_results(steps: Sequence[Step], exported: ExportedStep) -> None:
    """Adds the results of tools to the step that called them."""
    agent = next((one for one in reversed(steps) if one["source"] == "agent"), None)
    if agent is None:
        return
    results = agent.setdefault("observation", {"results": []})["results"]
    known = {call["tool_call_id"] for call in agent.get("tool_calls") or ()}
    for response in exported.step.tool_responses:
        result: dict[str, Any] = {"content": _content(response.content)}
        if response.call_id in known:
            result["source_call_id"] = response.call_id
        if response.metadata:
            result["extra"] = response.metadata
        results.append(result)
    _own(agent)["results_at"] = rfc3339(exported.step.completed_at)


def _retrieval(exported: ExportedStep) -> Step:
    """Passages are an observation of the system."""
    content = exported.step.inserted_context
    assert content is not None
    step: Step = {
        "source": "system",
        "timestamp": rfc3339(exported.step.completed_at),
        "message": "",
        "observation": {"results": [{"content": _content(content)}]},
    }
    _own(step)["vector_db_ids"] = list(exported.step.vector_db_ids)
    return step


def _content(content: Content) -> str | list[dict[str, Any]]:
    if isinstance(content, str):
        return content
    parts: list[dict[str, Any]] = []
    for item in items_of(content):
        if item.image is not None:
            uri, media_type = image_uri(item.image)
            parts.append({"type": "image", "source": {"media_type": media_type, "path": uri}})
        else:
            parts.append({"type": "text", "text": item.text if item.text is not None else LOST_IMAGE})
    return parts if any(part["type"] != "text" for part in parts) or len(parts) != 1 else text_of(content)


def _metrics(usage: TurnUsage | None) -> dict[str, int] | None:
    if usage is None:
        return None
    counts = {
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "cached_tokens": usage.cached_tokens,
    }
    return {name: count for name, count in counts.items() if count is not None} or None


def _final_metrics(turns: Sequence[ExportedTurn], steps: int) -> dict[str, Any]:
    usage = TurnUsage()
    for turn in turns:
        usage = usage.plus(turn.state.usage)
    return _present(
        {
            "total_prompt_tokens": usage.input_tokens,
            "total_completion_tokens": usage.output_tokens,
            "total_cached_tokens": usage.cached_tokens,
            "total_steps": steps,
        }
    )


def _own(step: Step) -> dict[str, Any]:
    """Returns the fields of our own of a step, to be added to."""
    own: dict[str, Any] = step.setdefault("extra", {}).setdefault(OWN, {})
    return own


def _present(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}
