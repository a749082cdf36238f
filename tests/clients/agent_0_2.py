"""llama-stack-client 0.2.x: its `Agent` helper and its event logger, with client tools. Prints JSON.

    python agent_0_2.py '"http://127.0.0.1:8321"' '{"plain": {"model": ..., "questions": [...], ...}, ...}'

Of each question of each conversation: what the helper gave streamed, and what it gave not streamed.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import llama_stack_client
from llama_stack_client import Agent, AgentEventLogger, LlamaStackClient

sys.path.insert(0, str(Path(__file__).parent))
import tools_0_2

GREEDY = {"strategy": {"type": "greedy"}}


class Conversation:
    """A session of an agent, by way of the helper."""

    def __init__(self, client: LlamaStackClient, wanted: dict[str, Any]) -> None:
        self.client = client
        self.agent = Agent(
            client,
            model=wanted["model"],
            instructions=wanted.get("instructions", "You are helpful."),
            tools=[getattr(tools_0_2, name) for name in wanted.get("tools", [])],
            sampling_params=wanted.get("sampling_params", GREEDY),
            **wanted.get("config", {}),
        )
        self.session_id = self.agent.create_session("with the helper")
        self.documents = wanted.get("documents")

    def streamed(self, question: str) -> dict[str, Any]:
        """Returns the printed and received data at the end of the stream; `error` if it ended in an error."""
        chunks: list[Any] = []

        def kept(source: Any) -> Iterator[Any]:
            for chunk in source:
                chunks.append(chunk)
                yield chunk

        try:
            printed = [str(one) for one in AgentEventLogger().log(kept(self._asked(question, True)))]
        except llama_stack_client.APIStatusError as refused:
            return {"status": refused.status_code, "body": refused.body}
        found: dict[str, Any] = {"printed": printed}
        if hasattr(chunks[-1], "error"):
            return found | {"error": chunks[-1].error}
        payloads = [chunk.event.payload for chunk in chunks]
        deltas = [one.delta for one in payloads if one.event_type == "step_progress"]
        calls = [delta for delta in deltas if delta.type == "tool_call"]
        whole = [delta for delta in calls if not isinstance(delta.tool_call, str)]
        return found | {
            "kinds": [one.event_type for one in payloads],
            "streamed_text": "".join(delta.text for delta in deltas if delta.type == "text"),
            "fragments": "".join(delta.tool_call for delta in calls if isinstance(delta.tool_call, str)),
            "whole_calls": [
                [one.tool_call.call_id, one.tool_call.arguments, one.parse_status] for one in whole
            ],
            "turn": self._described(payloads[-1].turn),
        }

    def whole(self, question: str) -> dict[str, Any]:
        try:
            return self._described(self._asked(question, False))
        except llama_stack_client.APIStatusError as refused:
            return {"status": refused.status_code, "body": refused.body}
        except RuntimeError as error:
            return {"error": str(error)}

    def _asked(self, question: str, stream: bool) -> Any:
        return self.agent.create_turn(
            [{"role": "user", "content": question}],
            session_id=self.session_id,
            documents=self.documents,
            stream=stream,
        )

    def _described(self, turn: Any) -> dict[str, Any]:
        """Returns the relevant parts of a turn; `stored` is whether the server returns the same turn
        later."""
        stored = self.client.agents.turn.retrieve(
            turn.turn_id, agent_id=self.agent.agent_id, session_id=self.session_id
        )
        times = [time for step in turn.steps for time in (step.started_at, step.completed_at)]
        return {
            "text": turn.output_message.content,
            "stop_reason": turn.output_message.stop_reason,
            "calls_left": len(turn.output_message.tool_calls or []),
            "steps": [_step(step) for step in turn.steps],
            "completed": turn.completed_at is not None,
            "stored": stored == turn,
            "times_increase": all(a < b for a, b in pairwise(times)),
        }


def _step(step: Any) -> dict[str, Any]:
    found = {"type": step.step_type}
    if step.step_type == "tool_execution":
        found["calls"] = [[one.call_id, one.tool_name, one.arguments] for one in step.tool_calls]
        found["responses"] = [
            [one.call_id, one.tool_name, one.content, one.metadata] for one in step.tool_responses
        ]
    return found


def main() -> None:
    url, conversations = (json.loads(argument) for argument in sys.argv[1:])
    client = LlamaStackClient(base_url=url, max_retries=0)
    found = {}
    for name, wanted in conversations.items():
        conversation = Conversation(client, wanted)
        found[name] = [
            {"streamed": conversation.streamed(one), "whole": conversation.whole(one)}
            for one in wanted["questions"]
        ]
    print(json.dumps(found, default=str))


main()
