"""Shows the frames of a session as a conversation: who says what, tool calls, and text as it streams."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import msgspec

from stack.cli.connection import StreamFrame
from stack.cli.terminal import console, one_line

_WIDTH = 12
_INDENT = " " * (_WIDTH + 2)
_LONGEST = 2_000
"""The number of characters of a tool's arguments, its result or an error that is shown."""
_STYLES = {"user": "bold cyan", "agent": "bold green", "failed": "bold red", "shield": "bold yellow"}


def show_conversation(
    frames: Iterable[tuple[int, StreamFrame]], fetch: Callable[[str], tuple[dict[str, str], bytes]]
) -> None:
    """Prints frames with the numbers of their turns. `fetch` returns the headers and the body of a turn by its id."""
    shown = ConversationText(fetch)
    for turn, frame in frames:
        shown.add(turn, frame.data)
    shown.end()


class ConversationText:
    """Fetches each turn when it begins, because its frames have the input only at its end, and for its outcome."""

    def __init__(self, fetch: Callable[[str], tuple[dict[str, str], bytes]]) -> None:
        self._fetch = fetch
        self._console = console(wide=120)
        self._is_open = False

    def add(self, turn: int, data: Mapping[str, Any]) -> None:
        if "error" in data:
            error = data["error"]
            self._say("failed", f"{error['status']} {error['title']}: {error['detail']}")
            return
        payload = data["event"]["payload"]
        match payload["event_type"]:
            case "turn_start":
                self._turn(turn, payload["turn_id"])
            case "step_progress" if payload["delta"]["type"] == "text":
                self._stream(payload["delta"]["text"])
            case "step_complete":
                self._step(payload["step_details"])
            case "turn_awaiting_input":
                calls = payload["turn"]["output_message"].get("tool_calls") or []
                self._say("waits", f"for {', '.join(call['tool_name'] for call in calls) or 'input'}")
            case "turn_complete":
                self._ended(payload["turn"]["turn_id"])

    def end(self) -> None:
        """Ends the last line."""
        if self._is_open:
            self._console.print()
            self._is_open = False

    def _turn(self, number: int, turn_id: str) -> None:
        self.end()
        turn = msgspec.json.decode(self._fetch(turn_id)[1])
        self._console.print()
        self._console.rule(f"turn {number}  {turn['started_at']}", align="left", style="dim")
        for message in turn["input_messages"]:
            self._say("tool" if message["role"] == "tool" else message["role"], _text(message["content"]))

    def _step(self, step: Mapping[str, Any]) -> None:
        self.end()
        for call in (step.get("model_response") or {}).get("tool_calls") or []:
            self._say("calls", f"{call['tool_name']} {_short(_json(call['arguments']))}")
        for response in step.get("tool_responses") or []:
            self._say("tool", f"{response['tool_name']}: {_short(_text(response['content']))}")
        if "inserted_context" in step:
            self._say("retrieved", _short(_text(step["inserted_context"])))
        if step.get("violation"):
            self._say("shield", step["violation"].get("user_message") or step["violation"]["violation_level"])

    def _ended(self, turn_id: str) -> None:
        self.end()
        status = self._fetch(turn_id)[0].get("x-turn-status", "")
        if status not in ("", "completed"):
            self._say(status, "")

    def _stream(self, text: str) -> None:
        if not self._is_open:
            self._label("agent")
            self._is_open = True
        self._console.out(text.replace("\n", f"\n{_INDENT}"), end="")

    def _say(self, who: str, text: str) -> None:
        self.end()
        self._label(who)
        self._console.out(text.replace("\n", f"\n{_INDENT}"))

    def _label(self, who: str) -> None:
        label = one_line(who)[:_WIDTH]
        self._console.print(f"{label:>{_WIDTH}}  ", style=_STYLES.get(who, "bold"), markup=False, end="")


def _text(content: Any) -> str:
    """Returns the text of content in any of the API's forms."""
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        return " ".join(map(_text, content))
    return str(content["text"]) if content.get("type") == "text" else f"[{content.get('type', 'content')}]"


def _json(arguments: Any) -> str:
    return arguments if isinstance(arguments, str) else msgspec.json.encode(arguments).decode()


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
