"""Reads rollouts of the Codex CLI: JSON lines in `~/.codex/sessions/<year>/<month>/<day>/rollout-<time>-<id>.jsonl`.

A line is `{timestamp, type, payload}`. `session_meta` describes the session, `turn_context` a turn, and each
`response_item` is an item of OpenAI's Responses API. `event_msg` repeats the items for the screen, apart from
`token_count`, `turn_aborted` and `error`. The oldest files have the items themselves as lines.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec
from msgspec import Struct, field

from schemas.events.payload import Content, ContentItem, InputMessage, ToolCall, TurnError, TurnUsage
from stack.errors import Invalid
from stack.services.replay.formats.content import image_item, read_content, text_item, text_of
from stack.services.replay.formats.fields import Fields, Kept
from stack.services.replay.formats.source_text import lines, microseconds
from stack.services.replay.formats.tool_definitions import tool_definitions
from stack.services.replay.formats.transcript import Transcript
from stack.services.replay.imported_session import Imported, Inference, agent_config

AGENT = "codex"
CALLS = ("function_call", "custom_tool_call", "local_shell_call")
RESULTS = ("function_call_output", "custom_tool_call_output", "local_shell_call_output")
ITEMS = ("message", "reasoning", *CALLS, *RESULTS)
_SHOWN = ("user_message", "agent_message", "agent_reasoning", "agent_reasoning_raw_content")
"""Events that repeat items."""
_WORK = ("_begin", "_end", "_delta", "_started", "_complete", "_completed")
"""Endings of events that repeat calls and their results."""
_ENVELOPES = ("session_meta", "response_item", "event_msg", "turn_context", "compacted")


class _Answer(Struct):
    """The items of one response. `is_closed` means that its end is known."""

    at: int
    began_at: int
    model: str
    texts: list[str] = field(default_factory=list)
    reasoning: list[str] = field(default_factory=list)
    calls: list[ToolCall] = field(default_factory=list)
    usage: TurnUsage | None = None
    is_closed: bool = False


class _Said(Struct):
    content: Content
    at: int
    is_repeated: bool = False


class _Result(Struct):
    call_id: str
    content: Content
    metadata: dict[str, Any] | None
    at: int
    place: str


class _End(Struct):
    status: str
    detail: str


def read(data: bytes) -> list[Imported]:
    """Returns the session of a rollout. Raises Invalid."""
    reader = _Rollout()
    for number, line in lines(data):
        reader.add(number, line)
    if not reader.is_rollout:
        raise Invalid("The file is not a rollout of Codex: no line is a session_meta or a response_item.")
    if not reader.found:
        raise Invalid("The rollout has no messages; there is nothing to import.")
    return [reader.imported()]


class _Rollout:
    def __init__(self) -> None:
        self.is_rollout = False
        self.found: list[_Answer | _Said | _Result | _End] = []
        self._kept = Kept()
        self._instructions: list[str] = []
        self._tools: Fields | None = None
        self._model = self._first_model = ""
        self._at = 0
        self._source = ""
        self._repeated: list[_Answer | _Said] = []

    def add(self, number: int, line: dict[str, Any]) -> None:
        place, kind, payload = f"line {number}", line.get("type"), line.get("payload")
        at = microseconds(line.get("timestamp"))
        if kind in ITEMS and payload is None:
            self.is_rollout = True
            self._item(Fields(line, place, self._kept), at)
        elif kind in _ENVELOPES:
            if not isinstance(payload, dict):
                raise Invalid(f"Line {number}: payload is not an object.")
            fields = Fields(payload, place, self._kept)
            if kind == "response_item":
                self.is_rollout = True
                self._item(fields, at)
            elif kind == "session_meta":
                self._meta(fields, at)
            elif kind == "turn_context":
                self._model = fields.text("model") or self._model
                self._first_model = self._first_model or self._model
                fields.keep_rest()
            elif kind == "compacted":
                self._compacted(fields, at)
            else:
                self._event(fields, at)
        elif kind is None and "id" in line and "timestamp" in line:
            self._meta(Fields(line, place, self._kept), at)
        else:
            self._kept.keep(f"{place} ({kind or line.get('record_type') or 'no type'})", line)

    def _meta(self, fields: Fields, at: int) -> None:
        """The first one counts: a fork has that of its parent as well."""
        self.is_rollout = True
        if self._source:
            fields.keep_rest()
            return
        self._source = fields.text("id") or fields.text("session_id")
        self._at = microseconds(fields.any("timestamp")) or at
        base = fields.object("base_instructions")
        text = fields.text("instructions") or (base.text("text") if base is not None else "")
        if text:
            self._instructions.append(text)
        self._first_model = fields.text("model")
        self._tools = fields
        self._kept.source = {
            name: found
            for name in ("id", "cli_version", "cwd", "originator", "model_provider")
            if (found := fields.text(name))
        }

    def _item(self, item: Fields, at: int) -> None:
        kind = item.text("type")
        item.skip("id", "timestamp", "status")
        if kind == "message":
            self._message(item, at)
        elif kind == "reasoning":
            texts = [one.text("text") for name in ("summary", "content") for one in item.objects(name)]
            self._answer(at).reasoning += [text for text in texts if text]
            if item.any("encrypted_content"):
                self._kept.count("line.encrypted_content")
        elif kind in CALLS:
            self._answer(at).calls.append(_call(item))
        elif kind in RESULTS:
            content, metadata = self._output(item)
            self.found.append(_Result(item.text("call_id"), content, metadata, at, item.place))
        else:
            item.skip("type")
            self._kept.keep(f"{item.place} ({kind or 'no type'})", item.value)
            return
        self._at = at or self._at
        item.keep_rest()

    def _message(self, item: Fields, at: int) -> None:
        role, content = item.text("role"), read_content(item, "content", self._parts)
        if role == "assistant":
            self._answer(at).texts.append(text_of(content))
        elif role == "user":
            self.found.append(_Said(content, at))
        elif role in ("developer", "system") and not any(isinstance(one, _Answer) for one in self.found):
            self._instructions.append(text_of(content))
        else:
            self._kept.keep(f"{item.place} (message of {role or 'no role'})", text_of(content))

    def _answer(self, at: int) -> _Answer:
        """Returns the answer to which the next item of the model belongs."""
        last = self.found[-1] if self.found else None
        if not isinstance(last, _Answer) or last.is_closed:
            last = _Answer(at, self._at, self._model)
            self.found.append(last)
        last.at = max(last.at, at)
        return last

    def _compacted(self, fields: Fields, at: int) -> None:
        """The conversation so far was replaced by a summary, which the model sees as input."""
        if message := fields.text("message"):
            self.found.append(_Said(message, at))
        self._kept.count("compacted")
        fields.keep_rest()

    def _event(self, event: Fields, at: int) -> None:
        kind = event.text("type")
        if kind == "token_count":
            self._tokens(event)
        elif kind in ("turn_aborted", "error"):
            status = "cancelled" if kind == "turn_aborted" else "failed"
            self.found.append(_End(status, event.text("message") or event.text("reason")))
        elif kind in _SHOWN:
            self._kept.count(f"event_msg {kind}")
            if kind == "user_message":
                self._repeated.append(_Said(event.text("message"), at))
            elif kind == "agent_message":
                self._repeated.append(_Answer(at, 0, self._model, [event.text("message")]))
        elif kind.endswith(_WORK):
            self._kept.count(f"event_msg {kind}")
        else:
            self._kept.keep(f"{event.place} (event_msg {kind})", event.value)

    def _tokens(self, event: Fields) -> None:
        """The tokens of the last response end it. Sums and limits are not kept."""
        self._kept.count("event_msg token_count")
        info = event.object("info")
        usage = info.object("last_token_usage") if info is not None else None
        answer = next((one for one in reversed(self.found) if isinstance(one, _Answer)), None)
        if answer is None or answer.is_closed or usage is None:
            return
        answer.usage = TurnUsage(
            usage.count("input_tokens"), usage.count("output_tokens"), usage.count("cached_input_tokens")
        )
        answer.is_closed = True

    def _output(self, item: Fields) -> tuple[Content, dict[str, Any] | None]:
        output = item.any("output")
        if isinstance(output, dict):
            fields = Fields(output, f"{item.place}.output", self._kept)
            success = fields.any("success")
            content = read_content(fields, "content", self._parts)
            fields.keep_rest()
            return content, {"success": success} if isinstance(success, bool) else None
        return read_content(item, "output", self._parts), None

    def _parts(self, parts: Iterable[Fields]) -> Iterable[ContentItem]:
        for part in parts:
            kind, uri = part.text("type"), part.any("image_url")
            if isinstance(uri, str):
                yield image_item(uri)
            elif "text" in part:
                yield text_item(part.text("text"))
            else:
                self._kept.keep(f"{part.place} ({kind})", part.value)
                yield text_item(f"[{kind}]")

    def imported(self) -> Imported:
        transcript = Transcript()
        found = self.found
        if not any(isinstance(one, _Said) for one in found) and self._repeated:
            found = [*self._repeated]
        first = next(
            (text_of(one.content) for one in found if isinstance(one, _Said) and _is_prompt(one)), ""
        )
        for one in found:
            match one:
                case _Said():
                    transcript.input(InputMessage(role="user", content=one.content), one.at)
                case _Result():
                    if not transcript.result(one.call_id, one.content, one.metadata, one.at):
                        self._kept.keep(f"{one.place} (of an unknown call)", text_of(one.content))
                case _End():
                    error = TurnError(502, "Bad Gateway", one.detail or "The turn failed.")
                    transcript.end(one.status, error if one.status == "failed" or one.detail else None)
                case _Answer():
                    transcript.answer(_inference(one))
        turns = transcript.turns()
        tools = tool_definitions(self._tools, "dynamic_tools") if self._tools is not None else []
        if self._tools is not None:
            self._tools.keep_rest()
        source = self._source or AGENT
        return Imported(
            source=source,
            session_name=first.strip().partition("\n")[0] or source,
            agent=agent_config(
                AGENT, self._first_model or self._model, "\n\n".join(self._instructions), tools, turns
            ),
            turns=turns,
            extra=self._kept.extra(),
        )


def _is_prompt(said: _Said) -> bool:
    """Returns whether a user has written it: the program adds its environment and instructions in tags."""
    text = text_of(said.content).lstrip()
    return bool(text) and not text.startswith(("<", "# AGENTS.md"))


def _inference(answer: _Answer) -> Inference:
    return Inference(
        content="\n\n".join(text for text in answer.texts if text),
        tool_calls=tuple(answer.calls),
        reasoning="\n\n".join(answer.reasoning),
        usage=answer.usage,
        model=answer.model,
        began_at=answer.began_at,
        ended_at=answer.at,
    )


def _call(item: Fields) -> ToolCall:
    """The input of a custom tool is text, which becomes the argument `input`."""
    kind = item.text("type")
    name = item.text("name") or ("local_shell" if kind == "local_shell_call" else "unknown")
    if (namespace := item.text("namespace")) and not name.startswith(namespace):
        name = f"{namespace}{name}" if namespace.endswith("__") else f"{namespace}__{name}"
    arguments = item.any("arguments")
    if kind == "custom_tool_call" and not isinstance(arguments, str):
        arguments = {"input": item.any("input")}
    elif kind == "local_shell_call":
        arguments = item.any("action")
    text = arguments if isinstance(arguments, str) else msgspec.json.encode(arguments or {}).decode()
    return ToolCall(item.text("call_id") or item.text("id"), name, text or "{}")
