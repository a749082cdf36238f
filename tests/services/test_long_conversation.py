"""The history of a long session: few pieces, and every message in them."""

from __future__ import annotations

from collections.abc import Iterable

from stack.providers.inference.port import InferenceRequest
from stack.services.turns.conversation import History
from tests.services.turn_states import Turn, chat


def history(pairs: Iterable[tuple[str, str]]) -> History:
    past = History()
    for question, answer in pairs:
        past.add(Turn(question).answered(answer).state)
    return past


def spoken(pairs: Iterable[tuple[str, str]]) -> list[dict[str, str]]:
    said = (({"role": "user", "content": one}, {"role": "assistant", "content": two}) for one, two in pairs)
    return [message for pair in said for message in pair]


def test_the_messages_of_a_long_session_are_joined() -> None:
    pairs = [(f"{number}?", f"{number}.") for number in range(1000)]
    past = history(pairs)
    assert chat(past.messages) == spoken(pairs) and len(past.messages) < 100
    request = InferenceRequest(model="m", messages=past.messages)
    assert chat(request.each_message()) == spoken(pairs) and len(request.each_message()) == 2000


def test_large_messages_are_not_copied() -> None:
    pairs = [("x" * 100_000, "No.")] * 32
    past = history(pairs)
    assert chat(past.messages) == spoken(pairs) and len(past.messages) == 64
