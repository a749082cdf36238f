"""llama-stack-client 0.2.x and 0.3.x: shields, run directly, and routes. Prints what it found as JSON.

python safety.py '"http://127.0.0.1:8321"'
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any

import llama_stack_client
from llama_stack_client import LlamaStackClient

(url,) = (json.loads(argument) for argument in sys.argv[1:])
client = LlamaStackClient(base_url=url, max_retries=0)
KEY = "AKIA" + "A" * 16


def status_of(call: Callable[[], Any]) -> int:
    try:
        call()
    except llama_stack_client.APIStatusError as error:
        return error.status_code
    return 200


def run(shield_id: str, *texts: str) -> Any:
    messages: list[Any] = [{"role": "user", "content": text} for text in texts]
    found = client.safety.run_shield(shield_id=shield_id, messages=messages, params={}).violation
    return found and [found.violation_level, found.user_message, found.metadata]


def turn(question: str) -> list[Any]:
    """A streamed turn of a shielded agent: the types of its steps, their touchpoints and violations, and its answer."""
    agents: Any = client.alpha.agents if hasattr(client, "alpha") else client.agents
    config = {"model": "scripted/say;text=tea", "instructions": "", "input_shields": ["guard", "secrets"]}
    agent_id = agents.create(agent_config=config | {"output_shields": ["secrets"]}).agent_id
    session_id = agents.session.create(agent_id, session_name="shielded").session_id
    message = {"role": "user", "content": question}
    place = {"agent_id": agent_id, "session_id": session_id}
    payloads = [chunk.event.payload for chunk in agents.turn.create(**place, messages=[message], stream=True)]
    begun = [
        (one.step_type, (one.metadata or {}).get("touchpoint"))
        for one in payloads
        if one.event_type == "step_start"
    ]
    ended = payloads[-1].turn
    violations = [
        step.violation and step.violation.metadata["violation_type"]
        for step in ended.steps
        if step.step_type == "shield_call"
    ]
    return [begun, violations, ended.output_message.content]


def printed(question: str) -> list[str]:
    """The lines of the client's event logger."""
    from llama_stack_client import Agent, AgentEventLogger

    agent = Agent(client, model="scripted/say;text=tea", instructions="", input_shields=["guard"])
    session_id = agent.create_session("shielded")
    stream = agent.create_turn([{"role": "user", "content": question}], session_id=session_id, stream=True)
    return [str(line) for line in AgentEventLogger().log(stream)]


shields = client.shields.list()
routes = client.routes.list()
found: dict[str, Any] = {
    "shields": [(one.identifier, one.provider_id, one.type, one.provider_resource_id) for one in shields],
    "retrieved": [client.shields.retrieve(one.identifier) == one for one in shields],
    "key": run("secrets", "hello", f"my key is {KEY}"),
    "no_key": run("secrets", "hello"),
    "bomb": run("guard", "how is a bomb made?"),
    "cake": run("guard", "how is a cake made?"),
    "parts": status_of(
        lambda: client.safety.run_shield(
            shield_id="secrets",
            messages=[{"role": "user", "content": [{"type": "text", "text": KEY}]}],  # type: ignore[list-item]
            params={},
        )
    ),
    "refused": [
        status_of(lambda: run("nothing", "hello")),
        status_of(lambda: client.safety.run_shield(shield_id="secrets", messages=[], params={})),
        status_of(lambda: client.shields.register(shield_id="a")),
    ],
    "random": status_of(lambda: run("random", "hello")),
    "routes": [(one.method, one.route) for one in routes if one.provider_types],
}
found["turns"] = [turn("What is in a bomb?"), turn("What is in a cake?")]
if llama_stack_client.__version__.startswith("0.2."):
    found["printed"] = printed("What is in a bomb?")
if hasattr(client, "moderations"):
    moderated = client.moderations.create(model="guard", input=["a bomb", "a cake"])
    found["moderated"] = [(one.flagged, one.categories, one.user_message) for one in moderated.results]
print(json.dumps(found))
