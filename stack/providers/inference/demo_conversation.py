"""Extracts from chat messages what the demo model uses: the question, documents, statements and tool
results."""

from __future__ import annotations

import re
from typing import Any

import msgspec
from msgspec import Struct

from stack.errors import Invalid
from stack.providers.inference.port import InferenceRequest

_DOCUMENT = re.compile(r"<document\b([^>]{0,1000})>(.*?)(?:</document\s*>|\Z)", re.DOTALL | re.IGNORECASE)
_ATTRIBUTE = re.compile(r"([\w-]+)\s*=\s*(?:\"([^\"]*)\"|'([^']*)'|([^\s>]+))")
_NAMES = ("title", "name", "source", "filename", "id", "document_id")


class Source(Struct, frozen=True):
    """A text from which answers may be quoted. `kind` is document, instructions or user; a document is cited
    by its `number` and has a `name`."""

    kind: str
    text: str
    number: int = 0
    name: str = ""


class Conversation(Struct, frozen=True):
    """`question` is the last user message without its documents; `results` are the later results of tools, as
    (tool name, text). `words` counts all words."""

    question: str
    sources: list[Source]
    results: list[tuple[str, str]]
    words: int


class _Message(Struct):
    role: str
    content: Any = None
    tool_calls: Any = None
    tool_call_id: str | None = None
    name: str | None = None


_decode = msgspec.json.Decoder(_Message).decode


def read_conversation(request: InferenceRequest) -> Conversation:
    """Parses the messages. Raises Invalid for a value that is not a chat message."""
    try:
        decoded = [_decode(message) for message in request.each_message()]
    except msgspec.DecodeError as error:
        raise Invalid(f"messages: {error}") from None
    last_user = max((i for i, message in enumerate(decoded) if message.role == "user"), default=-1)
    documents: dict[str, tuple[str, str]] = {}
    sources: list[Source] = []
    results: list[tuple[str, str]] = []
    called: dict[str, str] = {}
    question, words = "", 0
    for position, message in enumerate(decoded):
        text = _text(message.content)
        words += len(text.split())
        match message.role:
            case "user" if position == last_user:
                question = _take_documents(text, documents)
            case "user" | "system" | "developer" as role:
                if rest := _take_documents(text, documents):
                    sources.append(Source("user" if role == "user" else "instructions", rest))
            case "assistant":
                called |= _calls(message.tool_calls)
            case "tool" if position > last_user:
                name = called.get(message.tool_call_id or "", message.name or "the tool")
                results.append((name, text.strip()))
    return Conversation(question, [*_numbered(documents), *sources], results, words)


def _text(content: Any) -> str:
    parts = content if isinstance(content, list) else [{"text": content}]
    texts = [part.get("text") for part in parts if isinstance(part, dict)]
    return "\n".join(text for text in texts if isinstance(text, str))


def _take_documents(text: str, documents: dict[str, tuple[str, str]]) -> str:
    """Collects the document blocks of `text` (text -> index, name) and returns the text around them."""
    for match in _DOCUMENT.finditer(text):
        attributes = {m[1].lower(): m[2] or m[3] or m[4] or "" for m in _ATTRIBUTE.finditer(match[1])}
        name = next((attributes[key] for key in _NAMES if attributes.get(key)), "")
        if match[2].strip():
            # A document that is given again in a later turn is the same document.
            documents.setdefault(match[2].strip(), (attributes.get("index", ""), name))
    return _DOCUMENT.sub(" ", text).strip()


def _numbered(documents: dict[str, tuple[str, str]]) -> list[Source]:
    """Numbers the documents as their blocks do, or consecutively if several turns have started with 1."""
    said = [int(index) if index.isdecimal() else 0 for index, _ in documents.values()]
    numbers = said if all(said) and len(set(said)) == len(said) else range(1, len(said) + 1)
    return [
        Source("document", text, number, name or f"document {number}")
        for number, (text, (_, name)) in zip(numbers, documents.items(), strict=True)
    ]


def _calls(tool_calls: Any) -> dict[str, str]:
    """Maps the ids of calls to the names of the called tools."""
    calls = (
        [call for call in tool_calls or () if isinstance(call, dict)] if isinstance(tool_calls, list) else []
    )
    functions = [(call.get("id"), call.get("function")) for call in calls]
    return {str(id): str(one.get("name") or "the tool") for id, one in functions if isinstance(one, dict)}
