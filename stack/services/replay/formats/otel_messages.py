"""Messages of the GenAI semantic conventions, and their addition to a transcript without what it has already."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec
from msgspec.structs import replace

from schemas.events.payload import Content, ContentItem, InputMessage, ToolCall, TurnError
from stack.services.replay.formats.content import content_of, image_item, text_item, text_of
from stack.services.replay.formats.fields import Kept
from stack.services.replay.formats.otel_spans import ReadSpan
from stack.services.replay.formats.transcript import Transcript
from stack.services.replay.imported_session import Inference
from telemetry.own import conventions as names

INSTRUCTIONS = ("system", "developer")
_encode = msgspec.json.Encoder(order="deterministic").encode
Message = dict[str, Any]


def messages_in(value: Any) -> list[Message]:
    """Returns the messages of an attribute; texts and a single message count as messages as well."""
    given = value if isinstance(value, list) else [] if value is None or value == "" else [value]
    found = []
    for one in given:
        if isinstance(one, str):
            found.append({"role": "user", "parts": [{"type": "text", "content": one}]})
        elif isinstance(one, dict):
            found.append({**one, "parts": _parts(one)})
    return found


def _parts(message: Message) -> list[dict[str, Any]]:
    """Returns the parts of a message; `content` in place of them is that of the chat format."""
    given = message.get("parts")
    if given is None:
        given = message.get("content")
    if isinstance(given, str):
        return [{"type": "text", "content": given}]
    parts = [one for one in given if isinstance(one, dict)] if isinstance(given, list) else []
    for call in message.get("tool_calls") or ():
        if isinstance(call, dict):
            said = call.get("function") if isinstance(call.get("function"), dict) else call
            assert isinstance(said, dict)
            parts.append(
                {
                    "type": "tool_call",
                    "id": call.get("id"),
                    "name": said.get("name"),
                    "arguments": said.get("arguments"),
                }
            )
    if message.get("role") == "tool" and message.get("tool_call_id"):
        return [
            {
                "type": "tool_call_response",
                "id": message["tool_call_id"],
                "response": parts if len(parts) > 1 else message.get("content"),
            }
        ]
    return parts


def parts_in(value: Any) -> Content:
    """Returns parts as content; "" if there are none."""
    if isinstance(value, str):
        return value
    return content_of(_items(value if isinstance(value, list) else ()))


def _items(parts: Iterable[Any]) -> list[ContentItem]:
    """Returns texts and images; another part is named in a text."""
    found = []
    for part in parts:
        if isinstance(part, str):
            found.append(text_item(part))
        elif isinstance(part, dict) and (item := _item(part)) is not None:
            found.append(item)
    return found


def _item(part: Mapping[str, Any]) -> ContentItem | None:
    kind, content = part.get("type"), part.get("content", part.get("text"))
    if kind == "reasoning":
        return None
    if kind == "text" or (kind is None and isinstance(content, str)):
        return text_item(content if isinstance(content, str) else _json(content))
    if kind == "blob" and isinstance(content, str) and part.get("modality", "image") == "image":
        return image_item(f"data:{part.get('mime_type') or 'image/png'};base64,{content}")
    if kind == "uri" and isinstance(part.get("uri"), str) and part.get("modality", "image") == "image":
        return image_item(part["uri"])
    named = {
        name: value for name, value in part.items() if name in ("mime_type", "modality", "uri", "file_id")
    }
    return text_item(f"[{kind}: {_json(named)[:1000]}]")


class Messages:
    """Adds messages to a transcript. `results` are the spans of tools by the ids of their turn ("" if unknown) and call."""

    def __init__(self, kept: Kept, results: Mapping[tuple[str, str], ReadSpan]) -> None:
        self.transcript = Transcript()
        self.instructions: list[str] = []
        self.kept = kept
        self._results = results
        self._known: list[bytes] = []
        self._turn = self._invocation = ""
        """The invocations that began the present turn, and that continues it."""

    def add_input(self, messages: Sequence[Message], at: int, invocation: str) -> str:
        """Adds those of the messages before a model call that are new. `invocation` identifies that of the agent, "" if
        unknown. Returns the turn of the call: that of another invocation, if this one only brings results of its calls."""
        said = [one for one in messages if one.get("role") not in INSTRUCTIONS]
        if not self.instructions:
            self.instructions = [
                text
                for one in messages
                if one.get("role") in INSTRUCTIONS and (text := text_of(parts_in(one["parts"])))
            ]
        keys = [_key(one) for one in said]
        # A new turn has at least one new message, also if it asks again what was not answered.
        most = len(keys) - (invocation not in (self._turn, self._invocation))
        new = said[self._overlap(keys, most) :]
        is_resumed = bool(new) and all(map(_is_result, new)) and bool(self.transcript.waiting())
        of_turn = self._turn if is_resumed or invocation == self._invocation else invocation
        self._invocation = invocation
        for message in new:
            if message.get("role") == "assistant":
                self.add_answer(message, Inference(), of_turn)
                continue
            self._add(message, at, of_turn)
        self.take_results()
        return of_turn

    def _overlap(self, keys: Sequence[bytes], most: int) -> int:
        """Returns how many messages at the beginning of an input are known already: the end of what is known, or, if an
        exporter has changed them, all up to the last answer of an input that begins like the conversation."""
        known = self._known
        for length in range(min(len(known), most), 0, -1):
            if known[-length:] == list(keys[:length]):
                return length
        if known and keys and keys[0] == known[0] and len(keys) > 1:
            answers = [number for number, key in enumerate(keys, 1) if key.startswith(b"assistant")]
            return answers[-1] if answers else 0
        return 0

    def _add(self, message: Message, at: int, of_turn: str) -> None:
        others = []
        for part in message["parts"]:
            if part.get("type") == "tool_call_response":
                self._respond(part, at, of_turn)
            else:
                others.append(part)
        self._known.append(_key(message))
        if others or not message["parts"]:
            self.take_results()
            content = content_of(_items(others))
            self.transcript.input(InputMessage(role="user", content=content), at, of_turn)

    def _respond(self, part: Mapping[str, Any], at: int, of_turn: str) -> None:
        call_id, response = part.get("id"), part.get("response", part.get("result"))
        call_id = call_id if isinstance(call_id, str) else ""
        content = parts_in(response) if _is_content(response) else _json(response)
        if self._turn != of_turn and self.transcript.late_result(call_id, content, at, of_turn):
            return
        span = self._result_of(call_id)
        if not self.transcript.result(call_id, content, at=span.ended_at if span is not None else at):
            self.kept.keep("results of unknown calls", {"id": call_id, "response": response})

    def take_results(self) -> None:
        """Adds the results that only the spans of the tools have."""
        for call_id in self.transcript.waiting():
            span = self._result_of(call_id)
            result = span.value(names.GEN_AI_TOOL_CALL_RESULT) if span is not None else None
            if span is not None and result is not None:
                written = span.attributes[names.GEN_AI_TOOL_CALL_RESULT]
                text = written if isinstance(written, str) else _json(result)
                content = parts_in(result) if _are_parts(result) else text
                self.transcript.result(call_id, content, at=span.ended_at)

    def _result_of(self, call_id: str) -> ReadSpan | None:
        found = (self._results.get((turn, call_id)) for turn in (self._invocation, self._turn, ""))
        return next((span for span in found if span is not None), None)

    def add_answer(self, message: Message, inference: Inference, of_turn: str) -> None:
        parts = message["parts"]
        calls = tuple(_call(part) for part in parts if part.get("type") == "tool_call")
        reasoning = "\n".join(
            part["content"]
            for part in parts
            if part.get("type") == "reasoning" and isinstance(part.get("content"), str)
        )
        content = content_of(_items(part for part in parts if part.get("type") != "tool_call"))
        cut_off = inference.is_cut_off or message.get("finish_reason") in ("length", "max_tokens")
        answer = replace(
            inference, content=content, tool_calls=calls, reasoning=reasoning, is_cut_off=cut_off
        )
        self.transcript.answer(answer, of_turn)
        self._known.append(_key(message))
        self._turn = of_turn

    def end(
        self, status: str, output: Sequence[Message], error: TurnError | None, at: int, refused: str = ""
    ) -> None:
        """Ends a turn; `output` is said by the turn if the model has not said it."""
        text = content_of(_items(output[0]["parts"])) if output else ""
        if text and text != self.transcript.last_text():
            self.transcript.said(text, at)
        self.transcript.end(status, error, refused)


def _call(part: Mapping[str, Any]) -> ToolCall:
    arguments = part.get("arguments")
    text = arguments if isinstance(arguments, str) else "{}" if arguments is None else _json(arguments)
    call_id, name = part.get("id"), part.get("name")
    return ToolCall(
        call_id if isinstance(call_id, str) else "",
        name if isinstance(name, str) and name else "unknown",
        text,
    )


def _is_result(message: Message) -> bool:
    """Returns whether a message has results of tools alone."""
    parts = message["parts"]
    return bool(parts) and all(part.get("type") == "tool_call_response" for part in parts)


def _is_content(value: Any) -> bool:
    """Returns whether a value is text or a list of parts, and not another JSON value."""
    if isinstance(value, str):
        return True
    return (
        isinstance(value, list)
        and bool(value)
        and all(isinstance(one, dict) and "type" in one for one in value)
    )


def _are_parts(value: Any) -> bool:
    """Returns whether the result of a tool is a list of texts and images by the conventions."""
    fields = {"type", "content", "modality", "mime_type", "uri"}
    return (
        isinstance(value, list)
        and bool(value)
        and all(
            isinstance(one, dict) and one.get("type") in ("text", "blob", "uri") and one.keys() <= fields
            for one in value
        )
    )


def _key(message: Message) -> bytes:
    """Returns by what a message is recognised: exporters differ in whether they repeat reasoning, and in the form of
    arguments and results."""
    parts: list[Any] = [str(message.get("role"))]
    for part in message["parts"]:
        kind = part.get("type")
        if kind in ("tool_call", "tool_call_response"):
            parts.append([kind, part.get("id"), part.get("name")])
        elif kind != "reasoning":
            parts.append(_json(part.get("content", part)))
    return str(parts[0]).encode() + _encode(parts)


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()
