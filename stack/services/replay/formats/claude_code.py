"""Reads session transcripts of Claude Code: JSON lines in `~/.claude/projects/<project>/<session>.jsonl`.

Lines of type `user` and `assistant` hold a message in the form of Anthropic's API; an answer is written in several lines
with the same `message.id`, one for each block. `parentUuid` makes a tree: a prompt that was edited has a sibling, and the
last one counts. Lines of subagents (`isSidechain`) are sessions of their own. There is no published description; this
follows files of versions 1.0 to 2.1.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from msgspec import Struct, field

from schemas.events.payload import Content, ContentItem, InputMessage, ToolCall, TurnError, TurnUsage
from stack.errors import Invalid
from stack.services.replay.formats.content import content_of, image_item, text_item, text_of
from stack.services.replay.formats.fields import Fields, Kept
from stack.services.replay.formats.source_text import lines, microseconds
from stack.services.replay.formats.transcript import Transcript
from stack.services.replay.imported_session import Imported, Inference, agent_config

AGENT = "claude-code"
SYNTHETIC = "<synthetic>"
"""The model of answers that the program itself has written, such as errors of the API."""

_KNOWN = (
    "type",
    "uuid",
    "parentUuid",
    "timestamp",
    "sessionId",
    "isSidechain",
    "userType",
    "requestId",
    "version",
    "cwd",
    "gitBranch",
    "agentId",
    "sourceToolAssistantUUID",
)


_KNOWN_IN_MESSAGES = ("id", "type", "role", "model", "content", "usage", "stop_reason", "stop_sequence")


class _Line(Struct):
    """A line with a message. `at` is microseconds since 1970."""

    number: int
    value: dict[str, Any]
    message: dict[str, Any]
    blocks: list[dict[str, Any]]
    at: int

    @property
    def uuid(self) -> str:
        return _text(self.value.get("uuid"))

    @property
    def is_prompt(self) -> bool:
        """Whether a user has written it: not results of tools, and not what the program has added."""
        return (
            self.value.get("type") == "user"
            and not self.value.get("isMeta")
            and not any(block.get("type") == "tool_result" for block in self.blocks)
        )


class _Answer(Struct):
    """The lines of one answer."""

    lines: list[_Line] = field(default_factory=list)
    began_at: int = 0


class _File(Struct):
    """`parents` are those of all lines; `others` are lines without a message."""

    talk: list[_Line] = field(default_factory=list)
    others: list[tuple[int, dict[str, Any]]] = field(default_factory=list)
    parents: dict[str, str] = field(default_factory=dict)


def read(data: bytes) -> list[Imported]:
    """Returns the session of a transcript, and one for each subagent in it. Raises Invalid."""
    file = _read(data)
    main = [line for line in file.talk if not line.value.get("isSidechain")]
    groups: dict[str, list[_Line]] = {}
    for line in file.talk:
        if line.value.get("isSidechain"):
            groups.setdefault(_text(line.value.get("agentId")) or _root(line, file.parents), []).append(line)
    sessions = [_session(main, file, "", file.others)] if main else []
    sessions += [
        _session(found, file, agent, () if sessions or number else file.others)
        for number, (agent, found) in enumerate(groups.items())
    ]
    return sessions


def _read(data: bytes) -> _File:
    file = _File()
    for number, value in lines(data):
        uuid = _text(value.get("uuid"))
        if uuid:
            file.parents[uuid] = _text(value.get("parentUuid"))
        if value.get("type") not in ("user", "assistant") or "message" not in value:
            file.others.append((number, value))
            continue
        message = value["message"]
        if not isinstance(message, dict):
            raise Invalid(f"Line {number}: message is not an object.")
        file.talk.append(
            _Line(number, value, message, _blocks(message, number), microseconds(value.get("timestamp")))
        )
    if not file.talk:
        raise Invalid(
            "The file is not a transcript of Claude Code: no line has type user or assistant and a message."
        )
    return file


def _blocks(message: dict[str, Any], number: int) -> list[dict[str, Any]]:
    content = message.get("content")
    if isinstance(content, str):
        return [{"type": "text", "text": content}]
    if not isinstance(content, list):
        raise Invalid(f"Line {number}: message.content is neither text nor a list of blocks.")
    for index, block in enumerate(content):
        if not isinstance(block, dict):
            raise Invalid(f"Line {number}: message.content[{index}] is not an object.")
    return content


def _root(line: _Line, parents: dict[str, str]) -> str:
    """Returns the id of the first line of the chain to which a line belongs."""
    seen: set[str] = set()
    uuid = line.uuid
    while (parent := parents.get(uuid, "")) and parent in parents and uuid not in seen:
        seen.add(uuid)
        uuid = parent
    return uuid


def _session(
    talk: Sequence[_Line], file: _File, agent: str, others: Sequence[tuple[int, dict[str, Any]]]
) -> Imported:
    kept = Kept()
    reader = _Reader(kept)
    current, left = _branches(talk, file.parents)
    for line in left:
        kept.keep(f"line {line.number} (of another branch)", line.value)
    reader.read(current)
    last = talk[-1].value
    kept.source = {
        name: found
        for name in ("sessionId", "version", "cwd", "gitBranch", "agentId")
        if (found := _text(last.get(name)))
    }
    name = ""
    for number, value in others:
        if value.get("type") == "summary" and _text(value.get("leafUuid")) in file.parents:
            name = _text(value.get("summary")) or name
        else:
            kept.keep(f"line {number} ({_text(value.get('type')) or 'no type'})", value)
    turns = reader.transcript.turns()
    source = _text(last.get("sessionId")) or AGENT
    source = f"{source} agent {agent}" if agent else source
    return Imported(
        source=source,
        session_name=name or reader.first_prompt or source,
        agent=agent_config(AGENT, reader.model, "", (), turns),
        turns=turns,
        extra=kept.extra(),
    )


def _branches(talk: Sequence[_Line], parents: dict[str, str]) -> tuple[list[_Line], list[_Line]]:
    """Returns the lines of the conversation, and those after a prompt that was replaced by a later one."""
    latest: dict[str, str] = {}
    for line in talk:
        if line.is_prompt and (parent := parents.get(line.uuid, "")):
            latest[parent] = line.uuid
    replaced = {
        line.uuid
        for line in talk
        if line.is_prompt and (parent := parents.get(line.uuid, "")) and latest[parent] != line.uuid
    }
    current: list[_Line] = []
    left: list[_Line] = []
    gone: dict[str, bool] = {}
    for line in talk:
        (left if replaced and _is_gone(line.uuid, parents, replaced, gone) else current).append(line)
    return current, left


def _is_gone(uuid: str, parents: dict[str, str], replaced: set[str], known: dict[str, bool]) -> bool:
    """Returns whether a line is a replaced prompt, or after one."""
    path = []
    found = False
    while uuid and uuid not in known:
        path.append(uuid)
        known[uuid] = False  # until it is known; ends a circle
        if uuid in replaced:
            found = True
            break
        uuid = parents.get(uuid, "")
    found = found or known.get(uuid, False)
    for one in path:
        known[one] = found
    return found


class _Reader:
    """Adds lines to a transcript."""

    def __init__(self, kept: Kept) -> None:
        self.transcript = Transcript()
        self.model = ""
        self.first_prompt = ""
        self._kept = kept

    def read(self, talk: Iterable[_Line]) -> None:
        answers: dict[str, _Answer] = {}
        order: list[_Line | _Answer] = []
        at = 0
        for line in talk:
            id = _text(line.message.get("id"))
            if line.value.get("type") == "user":
                order.append(line)
            elif id and id in answers:
                answers[id].lines.append(line)
            else:
                answer = _Answer([line], at)
                answers[id or f"line {line.number}"] = answer
                order.append(answer)
            at = line.at
        for one in order:
            if isinstance(one, _Answer):
                self._answer(one)
            else:
                self._user(one)

    def _user(self, line: _Line) -> None:
        said: list[ContentItem] = []
        for index, block in enumerate(line.blocks):
            if block.get("type") == "tool_result":
                self._result(line, Fields(block, f"line {line.number}.content[{index}]", self._kept))
            else:
                said.append(self._item(block, f"line {line.number}.content[{index}]"))
        if said:
            content = content_of(said)
            if line.is_prompt and not self.first_prompt:
                self.first_prompt = text_of(content).strip().partition("\n")[0]
            self.transcript.input(InputMessage(role="user", content=content), line.at)
        if line.value.get("toolUseResult") is not None:
            # The result again, in the form of the tool.
            self._kept.count("line.toolUseResult")
        self._rest(line, "message", "toolUseResult")

    def _result(self, line: _Line, block: Fields) -> None:
        block.skip("type")
        content, call_id = block.any("content"), block.text("tool_use_id")
        if isinstance(content, list):
            blocks = [one for one in content if isinstance(one, dict)]
            found = content_of([self._item(one, block.place) for one in blocks])
        else:
            found = content if isinstance(content, str) else ""
        metadata = {"is_error": True} if block.any("is_error") is True else None
        block.keep_rest()
        if not self.transcript.result(call_id, found, metadata, line.at):
            self._kept.keep(
                f"{block.place} (of an unknown call)", {"tool_use_id": call_id, "content": content}
            )

    def _item(self, block: dict[str, Any], place: str) -> ContentItem:
        kind, source = block.get("type"), block.get("source")
        if kind == "text" and isinstance(block.get("text"), str):
            return text_item(block["text"])
        if kind == "image" and isinstance(source, dict):
            if isinstance(source.get("data"), str):
                return image_item(f"data:{source.get('media_type') or 'image/png'};base64,{source['data']}")
            if isinstance(source.get("url"), str):
                return image_item(source["url"])
        self._kept.keep(f"{place} ({kind})", block)
        return text_item(f"[{kind}]")

    def _answer(self, answer: _Answer) -> None:
        first, last = answer.lines[0], answer.lines[-1]
        model = _text(first.message.get("model"))
        texts: list[ContentItem] = []
        reasoning: list[str] = []
        calls: list[ToolCall] = []
        for line in answer.lines:
            for index, block in enumerate(line.blocks):
                kind = block.get("type")
                if kind == "thinking":
                    reasoning.append(_text(block.get("thinking")))
                    if block.get("signature"):
                        self._kept.count("line.content[].signature")
                elif kind == "tool_use":
                    calls.append(_call(Fields(block, f"line {line.number}.content[{index}]", self._kept)))
                elif kind in ("redacted_thinking", "server_tool_use"):
                    self._kept.keep(f"line {line.number}.content[{index}] ({kind})", block)
                else:
                    texts.append(self._item(block, f"line {line.number}.content[{index}]"))
            self._rest(line, "message")
        content = _joined(texts)
        if model == SYNTHETIC or first.value.get("isApiErrorMessage"):
            self.transcript.said(content, last.at)
            if first.value.get("isApiErrorMessage"):
                self.transcript.end("failed", TurnError(502, "Bad Gateway", text_of(content)[:1000]))
            return
        self.model = self.model or model
        found = Inference(
            content=content,
            tool_calls=tuple(calls),
            reasoning="\n\n".join(one for one in reasoning if one),
            usage=_usage(last.message.get("usage")),
            model=model,
            response_id=_text(first.message.get("id")),
            is_cut_off=last.message.get("stop_reason") == "max_tokens",
            began_at=answer.began_at,
            ended_at=last.at,
        )
        self.transcript.answer(found)

    def _rest(self, line: _Line, *read: str) -> None:
        fields = Fields(line.value, f"line {line.number}", self._kept)
        fields.skip(*_KNOWN, *read)
        fields.keep_rest()
        message = Fields(line.message, f"line {line.number}.message", self._kept)
        message.skip(*_KNOWN_IN_MESSAGES)
        message.keep_rest()


def _call(block: Fields) -> ToolCall:
    block.skip("type")
    arguments = msgspec.json.encode(block.any("input") or {}).decode()
    call = ToolCall(block.text("id"), block.text("name") or "unknown", arguments)
    block.keep_rest()
    return call


def _joined(items: Sequence[ContentItem]) -> Content:
    """Returns the blocks of an answer: texts as one text, as a model's answer has no others."""
    if all(item.text is not None for item in items):
        return "\n\n".join(item.text or "" for item in items)
    return content_of(items)


def _usage(value: Any) -> TurnUsage | None:
    """Returns the tokens; those of the input include what the cache had."""
    if not isinstance(value, dict):
        return None
    fields = Fields(value, "usage", Kept())
    parts = [
        fields.count(name)
        for name in ("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens")
    ]
    known = [one for one in parts if one is not None]
    usage = TurnUsage(sum(known) if known else None, fields.count("output_tokens"), parts[-1])
    return None if usage == TurnUsage() else usage


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
