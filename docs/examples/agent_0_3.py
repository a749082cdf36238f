"""A client tool of an agent, with llama-stack-client 0.3.x."""

import os

from llama_stack_client import LlamaStackClient

client = LlamaStackClient(base_url=os.environ.get("SERVER_URL", "http://127.0.0.1:8321"))
agents = client.alpha.agents

number = {"type": "integer"}
schema = {"type": "object", "properties": {"first": number, "second": number}}
schema["required"] = ["first", "second"]
add = {"name": "add", "description": "Adds two whole numbers.", "input_schema": schema}
config = {"model": "demo/extractive", "instructions": "Use your tools.", "client_tools": [add]}

agent_id = agents.create(agent_config=config).agent_id
session_id = agents.session.create(agent_id, session_name="sums").session_id
place = {"agent_id": agent_id, "session_id": session_id}

turn = agents.turn.create(**place, messages=[{"role": "user", "content": "Add 4 and 5."}])
while turn.output_message.tool_calls:
    answers = [
        {"call_id": call.call_id, "tool_name": call.tool_name, "content": "9"}
        for call in turn.output_message.tool_calls
    ]
    turn = agents.turn.resume(turn.turn_id, **place, tool_responses=answers)
print(turn.output_message.content)
