"""`builtin::rag`: searches the collections of the server."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from stack.errors import Invalid, ReplaystackError
from stack.providers.retrieval.passages import within
from stack.providers.retrieval.port import CollectionSearch, Passage
from stack.providers.tools.port import Suspended, ToolDefinition, ToolRequest, ToolResult
from stack.providers.tools.settings import ToolGroupSettings

TOOL = "knowledge_search"
COLLECTIONS = "vector_db_ids"
NO_COLLECTION = "Error: there is no collection to search. Define one in the settings ([[collections]])."
NOTHING = "No passage matches. Try other words."


class Rag:
    """A search changes nothing: its tool may be called again. `max_tokens` is the size of its result."""

    provider_id = "rag-runtime"

    def __init__(self, settings: ToolGroupSettings, search: CollectionSearch, max_tokens: int) -> None:
        self.id = settings.id
        self._search = search
        self._max_tokens = max_tokens

    def check(self, args: Mapping[str, Any]) -> None:
        """Raises Invalid for an unknown collection, and for other args."""
        self._collections(args)

    async def tools(self, args: Mapping[str, Any]) -> Sequence[ToolDefinition]:
        self.check(args)
        schema = {
            "type": "object",
            "properties": {
                "query": {"type": "string", "description": "What to search for, in words of the documents."}
            },
            "required": ["query"],
            "additionalProperties": False,
        }
        return [
            ToolDefinition(
                name=TOOL,
                description="Search for passages in the available documents.",
                input_schema=schema,
                repeatable=True,
            )
        ]

    async def call(self, request: ToolRequest) -> ToolResult | Suspended:
        if request.tool != TOOL:
            return ToolResult(content=f"Error: there is no tool {request.tool!r}.", is_error=True)
        try:
            names = self._collections(request.args)
            if not names:
                return ToolResult(content=NO_COLLECTION, is_error=True)
            found = await self._search.search(str(request.arguments.get("query", "")), names)
        except ReplaystackError as error:
            return ToolResult(content=f"Error: {error.detail}", is_error=True)
        passages = within(found, self._max_tokens)
        return ToolResult(content=_shown(passages), metadata=_metadata(passages, names))

    async def aclose(self) -> None:
        """Has no effect: the collections are not the group's."""

    def _collections(self, args: Mapping[str, Any]) -> list[str]:
        """Returns the ids of the collections to search: those in `args`, or all. Raises Invalid."""
        if unknown := sorted(args.keys() - {COLLECTIONS}):
            raise Invalid(
                f"{self.id} takes {COLLECTIONS} only; remove {', '.join(map(repr, unknown))[:200]}."
            )
        known = self._search.ids()
        named = args.get(COLLECTIONS, known)
        if not isinstance(named, list) or not all(isinstance(name, str) for name in named):
            raise Invalid(f"{self.id}: {COLLECTIONS} is a list of ids of collections.")
        if missing := [name for name in named if name not in known]:
            raise Invalid(
                f"{self.id}: there is no collection {missing[0]!r}. Collections: {', '.join(known) or 'none'}."
            )
        return list(dict.fromkeys(named))


def _shown(passages: Sequence[Passage]) -> str:
    parts = [
        f'<document id="{one.document_id}" collection="{one.collection}">\n{one.text.strip()}\n</document>'
        for one in passages
    ]
    return "\n".join(parts) or NOTHING


def _metadata(passages: Sequence[Passage], searched: Sequence[str]) -> dict[str, Any]:
    """Returns the sources; `start` and `end` are offsets in characters."""
    sources = [
        {
            "document_id": one.document_id,
            "vector_db_id": one.collection,
            "start": one.start,
            "end": one.end,
            "score": one.score,
        }
        for one in passages
    ]
    return {
        COLLECTIONS: list(searched),
        "document_ids": [one.document_id for one in passages],
        "sources": sources,
    }
