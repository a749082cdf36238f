"""Reads trajectories in ATIF up to version 1.8, also those with fields that the format does not have."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from schemas.events.payload import (
    Content,
    ContentItem,
    Document,
    InputMessage,
    ToolCall,
    TurnError,
    TurnUsage,
)
from stack.errors import Invalid
from stack.services.replay.formats.atif import OWN
from stack.services.replay.formats.content import image_item, read_content, text_item, text_of
from stack.services.replay.formats.fields import Fields, Kept
from stack.services.replay.formats.source_text import document, microseconds
from stack.services.replay.formats.tool_definitions import tool_definitions
from stack.services.replay.formats.transcript import Transcript
from stack.services.replay.imported_session import Imported, Inference, Retrieved, agent_config

MINOR = 8
_VERSION = re.compile(r"(?:ATIF-)?v?(\d+)\.(\d+)(?:\.\d+)?", re.IGNORECASE)
_STATUSES = ("completed", "failed", "cancelled", "abandoned")
MAX_SUBAGENT_DEPTH = 16


def read(data: bytes) -> list[Imported]:
    """Returns the session of a trajectory, and one for each trajectory of a subagent in it. Raises Invalid."""
    return _trajectory(document(data), "", 0)


def _trajectory(value: dict[str, Any], place: str, depth: int) -> list[Imported]:
    kept = Kept()
    fields = Fields(value, place, kept)
    version = _check_version(fields)
    agent, steps = fields.object("agent"), value.get("steps")
    if agent is None or not isinstance(steps, list):
        raise Invalid(
            f"{place or 'The file'} is not an ATIF trajectory: it needs `agent`, an object, and `steps`, a list."
        )
    if not steps:
        raise Invalid(f"{place or 'The trajectory'} has no steps; there is nothing to import.")
    source = fields.text("trajectory_id") or fields.text("session_id")
    own = _own(fields)
    name, own_name = agent.text("name"), own.get("session_name")
    reader = _Steps(kept)
    for index, step in enumerate(steps):
        if not isinstance(step, dict):
            raise Invalid(f"{_at(place, 'steps')}[{index}] is not an object.")
        reader.add(Fields(step, f"{_at(place, 'steps')}[{index}]", kept))
    model = agent.text("model_name") or reader.model
    kept.source = {
        name: text
        for name, text in (
            ("id", source),
            ("session_id", fields.text("session_id")),
            ("schema_version", version),
            ("agent_version", agent.text("version")),
        )
        if text
    }
    tools = tool_definitions(agent, "tool_definitions")
    subagents = _subagents(fields, depth)
    if (final := fields.object("final_metrics")) is not None:
        # The others are sums of those of the steps.
        final.skip("total_prompt_tokens", "total_completion_tokens", "total_cached_tokens", "total_steps")
        final.keep_rest()
    fields.skip("steps")
    agent.keep_rest()
    fields.keep_rest()
    turns = reader.transcript.turns()
    imported = Imported(
        source=f"{place}{source}",
        session_name=own_name if isinstance(own_name, str) and own_name.strip() else source or name or "ATIF",
        agent=agent_config(name, model, "\n\n".join(reader.instructions), tools, turns),
        turns=turns,
        extra=kept.extra(),
    )
    return [imported, *subagents]


def _check_version(fields: Fields) -> str:
    version = fields.text("schema_version")
    found = _VERSION.fullmatch(version)
    if found is None:
        raise Invalid(
            f"{fields.place or 'The file'} is not an ATIF trajectory: schema_version is {version!r}, such as "
            f"'ATIF-v1.{MINOR}' was expected."
        )
    if (int(found[1]), int(found[2])) > (1, MINOR):
        raise Invalid(
            f"schema_version is {version!r}; versions up to 1.{MINOR} can be read. Export the trajectory in an older "
            "version, or upgrade Replaystack."
        )
    return version


def _subagents(fields: Fields, depth: int) -> list[Imported]:
    value = fields.any("subagent_trajectories")
    if value and depth >= MAX_SUBAGENT_DEPTH:
        raise Invalid(f"Subagents are nested more than {MAX_SUBAGENT_DEPTH} levels deep.")
    found = []
    for index, one in enumerate(value if isinstance(value, list) else ()):
        place = f"{_at(fields.place, 'subagent_trajectories')}[{index}]"
        if not isinstance(one, dict):
            raise Invalid(f"{place} is not an object.")
        inherited = {"schema_version": fields.any("schema_version")}
        found += _trajectory(inherited | one, place, depth + 1)
    return found


class _Steps:
    """Adds the steps of a trajectory to a transcript."""

    def __init__(self, kept: Kept) -> None:
        self.transcript = Transcript()
        self.instructions: list[str] = []
        self.model = ""
        self._kept = kept
        self._has_begun = False
        self._place = ""

    def add(self, step: Fields) -> None:
        source, own = step.text("source"), _own(step)
        self._place = step.place
        step.skip("step_id", *(("llm_call_count",) if step.any("llm_call_count") in (0, 1) else ()))
        if step.any("is_copied_context"):
            self._kept.count("steps[].is_copied_context")
        at, boundary = microseconds(step.any("timestamp")), _text(own, "turn_id")
        content = read_content(step, "message", self._parts)
        if source == "system":
            self._system(step, content, own, at)
        elif source == "user":
            self._user(step, content, own, at, boundary)
        elif source == "agent":
            self._agent(step, content, own, at, boundary)
        else:
            raise Invalid(f"{step.place}.source is {source!r}; it must be system, user or agent.")
        if (status := _text(own, "status")) in _STATUSES:
            self.transcript.end(status, _as(own.get("error"), TurnError), _text(own, "refused"))
        step.keep_rest()

    def _system(self, step: Fields, content: Content, own: dict[str, Any], at: int) -> None:
        passages = [read_content(one, "content", self._parts) for one in _results(step)]
        if "vector_db_ids" in own and passages:
            names = own["vector_db_ids"] if isinstance(own["vector_db_ids"], list) else []
            ids = tuple(one for one in names if isinstance(one, str))
            if self.transcript.retrieved(Retrieved(content=passages[0], vector_db_ids=ids, ended_at=at)):
                return
        if content and not self._has_begun:
            self.instructions.append(text_of(content))
        elif content or passages:
            self._kept.keep(f"{step.place}.message", msgspec.to_builtins([content, *passages]))

    def _user(self, step: Fields, content: Content, own: dict[str, Any], at: int, boundary: str) -> None:
        self._has_begun = True
        call_id = _text(own, "call_id")
        if call_id and self.transcript.late_result(call_id, content, at, boundary):
            return
        context = _as(own.get("context"), str | ContentItem | list[ContentItem])
        self.transcript.input(InputMessage(role="user", content=content, context=context), at, boundary)
        self.transcript.attach(_as(own.get("documents"), list[Document]) or ())

    def _agent(self, step: Fields, content: Content, own: dict[str, Any], at: int, boundary: str) -> None:
        self._has_begun = True
        calls = tuple(self._call(one) for one in step.objects("tool_calls"))
        is_said = step.any("llm_call_count") == 0 or own.get("is_turn_output") is True
        if is_said and not calls and step.any("observation") is None:
            self.transcript.said(content, at)
            return
        model = step.text("model_name")
        self.model = self.model or model
        answer = Inference(
            content=content,
            tool_calls=calls,
            reasoning=step.text("reasoning_content"),
            usage=_usage(step.object("metrics")),
            model=model,
            response_id=_text(own, "response_id"),
            is_cut_off=own.get("stop_reason") == "out_of_tokens",
            began_at=microseconds(own.get("started_at")),
            ended_at=at,
        )
        self.transcript.answer(answer, boundary)
        self._observe(step, microseconds(own.get("results_at")) or 0, boundary)

    def _observe(self, step: Fields, at: int, boundary: str) -> None:
        """A result that names no call is that of the next call without one; without calls the agent acted by its text, and
        was told the result as input."""
        for one in _results(step):
            content, metadata = read_content(one, "content", self._parts), one.any("extra")
            metadata = metadata if isinstance(metadata, dict) and metadata else None
            if references := one.any("subagent_trajectory_ref"):
                metadata = {**(metadata or {}), "subagent_trajectory_ref": references}
            waiting = self.transcript.waiting()
            call_id = one.text("source_call_id") or (waiting[0] if waiting else "")
            if not self.transcript.result(call_id, content, metadata, at):
                if step.any("tool_calls"):
                    self._kept.keep(f"{one.place}.content", msgspec.to_builtins(content))
                else:
                    self._kept.count("steps[].observation without a call")
                    self.transcript.input(InputMessage(role="user", content=content), at, "")
            one.keep_rest()

    def _call(self, call: Fields) -> ToolCall:
        own = _own(call)
        name, arguments = call.text("function_name"), call.any("arguments")
        if not name:
            raise Invalid(f"{call.place}.function_name is missing.")
        text = arguments if isinstance(arguments, str) else msgspec.json.encode(arguments or {}).decode()
        kept_text = own.get("arguments")
        if isinstance(kept_text, str) and arguments in ({}, _json(kept_text)):
            text = kept_text
        found = ToolCall(call.text("tool_call_id"), name, text or "{}")
        call.keep_rest()
        return found

    def _parts(self, parts: Iterable[Fields]) -> Iterable[ContentItem]:
        return map(self._part, parts)

    def _part(self, part: Fields) -> ContentItem:
        kind, source = part.text("type"), part.object("source")
        if kind == "text":
            return text_item(part.text("text"))
        if source is None or not source.text("path"):
            raise Invalid(f"{part.place}: a part of type {kind!r} needs a source with a path.")
        media_type = source.text("media_type")
        source.keep_rest()
        if kind == "image":
            return image_item(source.text("path"))
        self._kept.count(f"parts of type {kind}")
        return text_item(f"[{kind}: {media_type} {source.text('path')[:1000]}]")


def _results(step: Fields) -> Sequence[Fields]:
    observation = step.object("observation")
    return observation.objects("results") if observation is not None else ()


def _usage(metrics: Fields | None) -> TurnUsage | None:
    if metrics is None:
        return None
    usage = TurnUsage(
        metrics.count("prompt_tokens"), metrics.count("completion_tokens"), metrics.count("cached_tokens")
    )
    metrics.keep_rest()
    return None if usage == TurnUsage() else usage


def _own(fields: Fields) -> dict[str, Any]:
    """Returns our own fields in `extra`; others are kept."""
    extra = fields.any("extra")
    if not isinstance(extra, dict):
        return {}
    own = extra.get(OWN)
    others = {name: value for name, value in extra.items() if name != OWN}
    if others:
        fields.kept.keep(_at(fields.place, "extra"), others)
    return own if isinstance(own, dict) else {}


def _text(own: dict[str, Any], name: str) -> str:
    value = own.get(name)
    return value if isinstance(value, str) else ""


def _as(value: Any, kind: Any) -> Any:
    """Returns a value of our own fields as a type; None if it is not one."""
    try:
        return None if value is None else msgspec.convert(value, kind)
    except msgspec.ValidationError:
        return None


def _json(text: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        return None


def _at(place: str, name: str) -> str:
    return f"{place}.{name}" if place else name
