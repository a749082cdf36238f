"""llama-stack-client 0.2.x: its plain resources, over the /v1 paths. Prints what it found as JSON.

python resources_0_2.py '"http://127.0.0.1:8321"' '"demo/extractive"'
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any

import llama_stack_client
from llama_stack_client import LlamaStackClient

url, model = (json.loads(argument) for argument in sys.argv[1:])
client = LlamaStackClient(base_url=url, max_retries=0)


def status_of(call: Callable[[], Any]) -> int:
    try:
        call()
    except llama_stack_client.APIStatusError as error:
        return error.status_code
    return 200


found: dict[str, Any] = {
    "models": [one.identifier for one in client.models.list()],
    "model": client.models.retrieve(model).provider_resource_id,
    "model_type": client.models.retrieve(model).api_model_type,
    "providers": {one.provider_id: one.health["status"] for one in client.providers.list()},
    "provider": client.providers.retrieve("demo").provider_type,
    "empty": [len(resource.list()) for resource in (client.vector_dbs,)],
    "toolgroups": [one.identifier for one in client.toolgroups.list()],
    "tool": client.tools.get("code_interpreter").identifier,
    "listed": [
        [one.identifier for one in client.tools.list(toolgroup_id="builtin::code_interpreter")],
        [one.name for one in client.tool_runtime.list_tools(tool_group_id="builtin::code_interpreter")],
    ],
    "invoked": client.tool_runtime.invoke_tool(
        tool_name="code_interpreter", kwargs={"code": "6 * 7"}
    ).content,
    "health": client.inspect.health().status,
    "version": client.inspect.version().version,
    "refused": [
        status_of(lambda: client.models.register(model_id="a")),
        status_of(lambda: client.models.unregister(model)),
        status_of(lambda: client.toolgroups.register(toolgroup_id="a", provider_id="b")),
        status_of(lambda: client.toolgroups.unregister("a")),
        status_of(lambda: client.shields.register(shield_id="a")),
        status_of(lambda: client.vector_dbs.register(vector_db_id="a", embedding_model="b")),
        status_of(lambda: client.vector_dbs.unregister("a")),
        status_of(
            lambda: client.scoring_functions.register(
                scoring_fn_id="a", description="b", return_type={"type": "string"}
            )
        ),
    ],
    "unknown": [
        status_of(lambda: client.models.retrieve("no/model")),
        status_of(lambda: client.providers.retrieve("none")),
        status_of(lambda: client.tools.get("none")),
        status_of(lambda: client.toolgroups.get("none")),
        status_of(lambda: client.shields.retrieve("none")),
        status_of(lambda: client.scoring_functions.retrieve("basic::none")),
        status_of(lambda: client.vector_dbs.retrieve("none")),
        status_of(lambda: client.agents.delete("none")),
    ],
}
if hasattr(client.models, "openai"):
    found["openai_models"] = [one.id for one in client.models.openai.list()]

agent = client.agents.create(
    agent_config={"model": model, "instructions": "The quiet hour begins at ten.", "sampling_params": {}}
)
session = client.agents.session.create(agent_id=agent.agent_id, session_name="plain")
place = {"agent_id": agent.agent_id, "session_id": session.session_id}
turn = client.agents.turn.create(
    **place, messages=[{"role": "user", "content": "When does the quiet hour begin?"}], stream=False
)
frames = list(
    client.agents.turn.create(
        **place,
        messages=[{"role": "user", "content": "What does the note say?"}],
        documents=[{"content": "The note says: water the plants.", "mime_type": "text/plain"}],
        stream=True,
    )
)
again = client.agents.turn.retrieve(turn.turn_id, **place)
read = client.agents.session.retrieve(session.session_id, agent_id=agent.agent_id)
step = client.agents.steps.retrieve(turn.steps[0].step_id, **place, turn_id=turn.turn_id).step
found["turn"] = {
    "text": turn.output_message.content,
    "again": again == turn,
    "step": step == turn.steps[0],
    "session": [one.turn_id for one in read.turns] == [turn.turn_id, frames[-1].event.payload.turn.turn_id],
    "frames": [frame.event.payload.event_type for frame in frames],
    "streamed": "".join(
        frame.event.payload.delta.text
        for frame in frames
        if frame.event.payload.event_type == "step_progress"
    )
    == frames[-1].event.payload.turn.output_message.content,
    "from_the_document": frames[-1].event.payload.turn.output_message.content,
}
client.agents.session.delete(session.session_id, agent_id=agent.agent_id)
found["deleted_session"] = status_of(
    lambda: client.agents.session.retrieve(session.session_id, agent_id=agent.agent_id)
)
client.agents.delete(agent.agent_id)
found["deleted_agent"] = status_of(
    lambda: client.agents.session.create(agent_id=agent.agent_id, session_name="late")
)
print(json.dumps(found))
