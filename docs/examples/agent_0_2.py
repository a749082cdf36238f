"""A client tool of an agent, with llama-stack-client 0.2.x."""

import os

from llama_stack_client import Agent, AgentEventLogger, LlamaStackClient


def add(first: int, second: int) -> int:
    """
    Adds two whole numbers.

    :param first: The first number
    :param second: The second number
    """
    return first + second


client = LlamaStackClient(base_url=os.environ.get("SERVER_URL", "http://127.0.0.1:8321"))
agent = Agent(client, model="demo/extractive", instructions="Use your tools.", tools=[add])
session_id = agent.create_session("sums")

stream = agent.create_turn([{"role": "user", "content": "Add 4 and 5."}], session_id=session_id)
for event in AgentEventLogger().log(stream):
    event.print()

question = {"role": "user", "content": "Add 20 and 22."}
turn = agent.create_turn([question], session_id=session_id, stream=False)
print(turn.output_message.content)
