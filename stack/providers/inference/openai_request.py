"""Builds the body of an OpenAI chat completion request from an `InferenceRequest`.

Messages, tools and the response format are already JSON and are copied without decoding.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Raw, Struct

from stack.errors import Invalid
from stack.providers.inference.port import InferenceRequest
from stack.providers.inference.settings import Flavour

_USAGE = Raw(b'{"include_usage":true}')


class _Body(Struct, omit_defaults=True, kw_only=True):
    model: str
    messages: list[Raw]
    stream: bool
    stream_options: Raw | None = None
    tools: list[Raw] = []
    tool_choice: Raw | str | None = None
    response_format: Raw | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    repetition_penalty: float | None = None
    repeat_penalty: float | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    stop: list[str] = []
    grammar: str | None = None
    structured_outputs: dict[str, str] | None = None


class _ResponseFormat(Struct):
    type: str = ""
    bnf: Any = None
    grammar: Any = None


class _ToolName(Struct):
    class Function(Struct):
        name: str

    function: Function


_encode = msgspec.json.Encoder().encode
_format = msgspec.json.Decoder(_ResponseFormat).decode
_tool_name = msgspec.json.Decoder(_ToolName).decode


def encode_request(request: InferenceRequest, flavour: Flavour, *, usage: bool = True) -> bytes:
    """Returns the request's JSON in the dialect of a server; `usage` requests the token counts. Raises
    Invalid for a grammar without text and for a `tool_choice` that names no tool."""
    body = _Body(
        model=request.model,
        messages=request.messages,
        stream=True,
        stream_options=_USAGE if usage else None,
        temperature=request.temperature,
        top_p=request.top_p,
        top_k=request.top_k,
        stop=request.stop,
    )
    if flavour == "openai":
        body.max_completion_tokens = request.max_tokens
    else:
        body.max_tokens = request.max_tokens
    if flavour in ("llama.cpp", "lmstudio"):
        body.repeat_penalty = request.repetition_penalty
    else:
        body.repetition_penalty = request.repetition_penalty
    if request.tools:
        _set_tools(body, request, flavour)
    if request.response_format is not None:
        _set_format(body, request.response_format, flavour)
    return _encode(body)


def _set_tools(body: _Body, request: InferenceRequest, flavour: Flavour) -> None:
    body.tools = request.tools
    choice = request.tool_choice
    if choice is None or choice in ("auto", "required", "none"):
        body.tool_choice = choice
        return
    named = [tool for tool in request.tools if _tool_name(tool).function.name == choice]
    if not named:
        raise Invalid(f"tool_choice: there is no tool {choice!r} among the tools of this request.")
    if flavour in ("openai", "vllm"):
        body.tool_choice = Raw(_encode({"type": "function", "function": {"name": choice}}))
    else:
        # llama.cpp and LM Studio do not support a named choice: a required call with only one tool is
        # equivalent.
        body.tools, body.tool_choice = named, "required"


def _set_format(body: _Body, response_format: Raw, flavour: Flavour) -> None:
    said = _format(response_format)
    if said.type != "grammar":
        body.response_format = response_format
        return
    source = said.bnf if said.bnf is not None else said.grammar
    text = source.get("grammar") if isinstance(source, dict) else source
    if not isinstance(text, str) or not text.strip():
        raise Invalid('response_format.bnf: give the text of the grammar as {"grammar": "root ::= ..."}.')
    if flavour == "vllm":
        body.structured_outputs = {"grammar": text}
    else:
        body.grammar = text
