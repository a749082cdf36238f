"""The forms of training rows: which columns a row has, and the conversation that it means.

Without torch, so that the server can check a dataset's columns before a job exists.
"""

from __future__ import annotations

import json
from typing import Any

Messages = list[dict[str, Any]]

INSTRUCT = (
    ("prompt", "response"),
    ("prompt", "completion"),
    ("instruction", "output"),
    ("chat_completion_input", "expected_answer"),
    ("question", "answer"),
)
"""Columns of question and answer; the first pair that a row has is read. `instruction` may have an `input`."""
DIALOG = ("messages", "dialog")
ROLES = ("system", "developer", "user", "assistant", "tool")


class RowRefused(ValueError):
    """A row does not have the form that its data format needs. The text names the column and the remedy."""


def conversation(row: dict[str, Any], data_format: str) -> Messages:
    """Returns the messages of an instruct or dialog row; the last one is the assistant's. Raises RowRefused."""
    if data_format == "instruct":
        question, answer = _instruct_columns(row)
        messages = [*_messages(row, question, "user"), *_messages(row, answer, "assistant")]
        if row.get("input") and question == "instruction":
            messages[-2]["content"] += "\n\n" + _text(row, "input")
    else:
        column = next((name for name in DIALOG if name in row), None)
        if column is None:
            raise RowRefused(f"a dialog row needs the column messages; this one has {_names(row)}")
        messages = _messages(row, column, "")
    if not any(message["role"] == "assistant" for message in messages):
        raise RowRefused("it has no message of the role assistant, so there is nothing to train")
    return messages


def preference(row: dict[str, Any]) -> tuple[Messages, Messages, Messages]:
    """Returns the messages of the prompt, of the chosen and of the rejected answer. Raises RowRefused."""
    missing = [name for name in ("prompt", "chosen", "rejected") if name not in row]
    if missing:
        raise RowRefused(
            f"a row of preference optimisation needs the columns prompt, chosen and rejected; "
            f"this one lacks {', '.join(missing)}"
        )
    prompt = _messages(row, "prompt", "user")
    chosen, rejected = (_messages(row, name, "assistant") for name in ("chosen", "rejected"))
    for name, answer in (("chosen", chosen), ("rejected", rejected)):
        if answer[-1]["role"] != "assistant":
            raise RowRefused(f"{name} does not end with a message of the role assistant")
    return prompt, chosen, rejected


def check(row: Any, data_format: str, is_preference: bool) -> None:
    """Raises RowRefused if the row cannot be trained on."""
    if not isinstance(row, dict):
        raise RowRefused("it is not a JSON object")
    if is_preference:
        preference(row)
    else:
        conversation(row, data_format)


def _instruct_columns(row: dict[str, Any]) -> tuple[str, str]:
    for question, answer in INSTRUCT:
        if question in row and answer in row:
            return question, answer
    pairs = ", or ".join(f"{question} and {answer}" for question, answer in INSTRUCT)
    raise RowRefused(f"an instruct row needs the columns {pairs}; this one has {_names(row)}")


def _messages(row: dict[str, Any], column: str, role: str) -> Messages:
    """Returns the messages of a column: a list of messages (chat_completion_input may have it as JSON text),
    or with `role` a text that becomes one message of that role."""
    value = row[column]
    if column == "chat_completion_input" and isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError as error:
            raise RowRefused(f"{column} is not a list of messages in JSON: {error}") from None
    if isinstance(value, str) and role:
        return [{"role": role, "content": value}]
    if not isinstance(value, list) or not value:
        text = "a text or " if role else ""
        raise RowRefused(f"{column} must be {text}a list of messages with role and content")
    return [_message(f"{column}[{number}]", message) for number, message in enumerate(value)]


def _message(place: str, message: Any) -> dict[str, Any]:
    if not isinstance(message, dict) or message.get("role") not in ROLES:
        raise RowRefused(f"{place} must be an object whose role is one of {', '.join(ROLES)}")
    content = message.get("content")
    if content is None and message.get("tool_calls"):
        content = ""
    if isinstance(content, list):
        parts = [part.get("text") if isinstance(part, dict) else None for part in content]
        if not all(isinstance(part, str) for part in parts):
            raise RowRefused(f"{place}.content holds a part that is not text; only text can be trained on")
        content = "".join(parts)  # type: ignore[arg-type]
    if not isinstance(content, str):
        raise RowRefused(f"{place}.content must be a text")
    return {**message, "content": content}


def _text(row: dict[str, Any], column: str) -> str:
    if not isinstance(row[column], str):
        raise RowRefused(f"{column} must be a text")
    return str(row[column])


def _names(row: dict[str, Any]) -> str:
    return ", ".join(list(row)[:8]) or "none"
