"""Live models for a run of a recorded session: that is asked, that takes the place of tools, that judges answers."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from msgspec import Raw

from schemas.events.payload import ToolCall
from stack.providers.inference.port import InferenceProvider, InferenceRequest, TextChunk

SIMULATION = (
    "You take the place of a tool in a test. Answer with the result that the tool would return for the arguments, and "
    "nothing else. Recorded calls of the tool show the form of its results."
)
JUDGEMENT = (
    "You compare two answers to the same question. Answer with the single word yes if they state the same facts and "
    "conclusions, otherwise with the single word no."
)

_encode = msgspec.json.Encoder().encode


async def ask(provider: InferenceProvider, model: str, system: str, text: str) -> str:
    """Returns the answer of a model, decoded greedily. Raises ReplaystackError."""
    messages = [
        Raw(_encode({"role": role, "content": content}))
        for role, content in (("system", system), ("user", text))
    ]
    events = provider.infer(InferenceRequest(model=model, messages=messages, temperature=0.0), headers={})
    try:
        parts = [event.text async for event in events if isinstance(event, TextChunk)]
    finally:
        await events.aclose()
    return "".join(parts).strip()


async def simulated(
    provider: InferenceProvider, model: str, call: ToolCall, examples: Sequence[tuple[str, str]]
) -> str:
    """Returns the result that a model gives in the place of a tool. Raises ReplaystackError."""
    shown = [f"Arguments: {arguments}\nResult: {result}" for arguments, result in examples]
    text = "\n\n".join([f"Tool: {call.tool_name}", *shown, f"Arguments: {call.arguments}\nResult:"])
    return await ask(provider, model, SIMULATION, text)


async def says_the_same(provider: InferenceProvider, model: str, before: str, now: str) -> bool:
    """Raises ReplaystackError."""
    answer = await ask(provider, model, JUDGEMENT, f"First answer:\n{before}\n\nSecond answer:\n{now}")
    return answer.casefold().lstrip("*\"' ").startswith("yes")
