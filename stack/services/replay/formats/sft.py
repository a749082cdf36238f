"""Chat rows for supervised fine-tuning: `{"messages": [...], "tools": [...]}` on each line, in OpenAI's chat format.

A session is one row, as the model saw it: the messages with which it was called, and its answers. A row ends where
instructions or tools change; the next one repeats the messages so far, because the model saw them as well.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
from msgspec import Raw

from stack.domain.tool import tool_config
from stack.domain.turn_shield import refusal
from stack.errors import Invalid
from stack.services.replay.exported_turns import ExportedTurn, exported_turns
from stack.services.replay.session_record import SessionRecord
from stack.services.turns.conversation import Pending, history_of, system_message

_encode = msgspec.json.Encoder().encode


def export(record: SessionRecord) -> Iterator[bytes]:
    """Yields the rows. Raises ContentDamaged, and Invalid if no turn can be learned from."""
    beginning: tuple[list[Raw], bytes] | None = None
    messages: list[Raw] = []
    pending: Pending = {}
    for turn in exported_turns(record):
        if not _is_learned(turn):
            continue
        own = _beginning(turn)
        if beginning is not None and own != beginning:
            yield _row(*beginning, messages)
        beginning = own
        added = history_of(turn.state, pending)
        messages += added.messages.encoded
        pending = added.pending
    if beginning is None:
        raise Invalid(
            f"Session {record.session_id!r} has no completed turn, and only these become rows for training."
        )
    yield _row(*beginning, messages)


def _is_learned(turn: ExportedTurn) -> bool:
    """Returns whether a turn is a whole conversation of the model: it has completed, its answer was not cut off, and no
    shield has answered in place of the model."""
    state = turn.state
    return (
        state.status == "completed"
        and state.output_message.stop_reason != "out_of_tokens"
        and refusal(state) is None
        and not state.is_damaged
    )


def _beginning(turn: ExportedTurn) -> tuple[list[Raw], bytes]:
    """Returns the instructions as messages, and the tools that the model was offered as JSON."""
    config = tool_config(turn.agent, turn.state.tool_config)
    functions = [tool["function"] for tool in turn.tools]
    offered = [] if config.tool_choice == "none" else list(turn.tools)
    return system_message(turn.agent, config, functions), _encode(offered)


def _row(system: list[Raw], tools: bytes, messages: list[Raw]) -> bytes:
    return _encode({"messages": [*system, *messages], "tools": Raw(tools)}) + b"\n"
