"""`builtin::websearch`: searches the web with Brave or Tavily."""

from __future__ import annotations

import asyncio
import html
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct

from stack.errors import Invalid, ReplaystackError
from stack.off_loop import LARGE_JSON_BYTES, off_loop_if
from stack.providers.inference.lenient_json import NotJSON, decode
from stack.providers.inference.openai_client import OpenAIClient, Refused, read
from stack.providers.inference.openai_errors import message_of
from stack.providers.inference.settings import InferenceSettings
from stack.providers.tools.port import STRUCTURED_CONTENT, ToolDefinition, ToolRequest, ToolResult
from stack.providers.tools.settings import ToolGroupSettings

if TYPE_CHECKING:
    import httpx2

TOOL = "web_search"
MAX_RESULTS = 10
MAX_QUERY_CHARS = 400
"""The limit of Brave."""
MAX_TITLE_CHARS = 200
MAX_TEXT_CHARS = 1_000
MAX_ANSWER_BYTES = 4 * 2**20
CONNECT_TIMEOUT_S = 5.0

_TAGS = re.compile(r"<[^<>]{1,100}>")
_SPACES = re.compile(r"\s+")


class Found(Struct, frozen=True):
    """A page that was found. `text` is an excerpt."""

    title: str
    url: str
    text: str


class WebSearch:
    """Create it anywhere; use it in one event loop."""

    def __init__(self, settings: ToolGroupSettings) -> None:
        self.id = settings.id
        self._key = settings.api_key or ""
        self._is_brave = settings.provider == "brave"
        self.provider_id = f"{settings.provider}-search"
        default = "https://api.search.brave.com/res/v1" if self._is_brave else "https://api.tavily.com"
        self._client = OpenAIClient(
            InferenceSettings(
                id=self.provider_id,
                base_url=settings.base_url or default,
                api_key=None if self._is_brave else self._key,
                flavour="generic",
                connect_timeout_s=CONNECT_TIMEOUT_S,
                headers={"X-Subscription-Token": self._key} if self._is_brave else {},
            )
        )
        self._client.where = f"The search service {settings.provider} ({self._client.base_url})"
        self._timeout_s = settings.timeout_s

    async def tools(self, args: Mapping[str, Any]) -> Sequence[ToolDefinition]:
        if args:
            raise Invalid(f"{self.id} takes no args; remove {', '.join(map(repr, sorted(args)))[:200]}.")
        query = {
            "type": "string",
            "minLength": 1,
            "maxLength": MAX_QUERY_CHARS,
            "description": "What to search for.",
        }
        return [
            ToolDefinition(
                name=TOOL,
                description="Searches the web. Returns titles, URLs and excerpts of the pages that were found.",
                input_schema={"type": "object", "properties": {"query": query}, "required": ["query"]},
                repeatable=True,
            )
        ]

    async def call(self, request: ToolRequest) -> ToolResult:
        query = request.arguments.get("query")
        if request.tool != TOOL or not isinstance(query, str):
            return _failed(f"the tool is {TOOL!r}, and its argument `query` is a string.")
        try:
            answer = await self._answer(query)
            found = await off_loop_if(len(answer) > LARGE_JSON_BYTES, self._found, answer)
        except ReplaystackError as error:
            return _failed(error.detail.replace(self._key, "[api_key]"))
        except NotJSON:
            return _failed(f"{self._client.where} did not answer with JSON: {message_of(answer)}")
        if not found:
            return ToolResult(content="Nothing was found.", metadata={STRUCTURED_CONTENT: []})
        texts = [f"{number}. {one.title}\n{one.url}\n{one.text}" for number, one in enumerate(found, 1)]
        return ToolResult(
            content="\n\n".join(texts), metadata={STRUCTURED_CONTENT: msgspec.to_builtins(found)}
        )

    async def aclose(self) -> None:
        await self._client.aclose()

    async def _answer(self, query: str) -> bytes:
        """Raises ReplaystackError."""
        client = self._client
        try:
            async with asyncio.timeout(self._timeout_s):
                response = await self._ask(query)
                try:
                    answer = await read(response, MAX_ANSWER_BYTES + 1)
                finally:
                    await response.aclose()
        except TimeoutError:
            raise client.timeout("did not answer", self._timeout_s) from None
        except Refused as refused:
            why = message_of(refused.body) or "without a message"
            raise Invalid(f"{client.where} refused the request with status {refused.status}: {why}") from None
        except ReplaystackError:
            raise
        except Exception as error:
            raise client.broken(error) from None
        if len(answer) > MAX_ANSWER_BYTES:
            raise Invalid(f"{client.where}: its answer is longer than {MAX_ANSWER_BYTES >> 20} MiB.")
        return answer

    async def _ask(self, query: str) -> httpx2.Response:
        if self._is_brave:
            said = {"q": query, "count": str(MAX_RESULTS), "text_decorations": "false"}
            return await self._client.get("/web/search", said)
        body = msgspec.json.encode({"query": query, "max_results": MAX_RESULTS})
        return await self._client.post("/search", body, {})

    def _found(self, answer: bytes) -> list[Found]:
        """Returns the usable results. Raises NotJSON; Invalid for JSON that is not an answer."""
        value = decode(answer)
        results = value.get("results") if isinstance(value, dict) else None
        if self._is_brave:
            # The part is left out if no page was found.
            web = value.get("web") if isinstance(value, dict) else None
            results = web.get("results") if isinstance(web, dict) else [] if isinstance(value, dict) else None
        if not isinstance(results, list):
            raise Invalid(f"{self._client.where}: its answer has no list of results.")
        found = (_found(one, "description" if self._is_brave else "content") for one in results)
        return [one for one in found if one is not None][:MAX_RESULTS]


def _found(result: Any, text: str) -> Found | None:
    """Returns None for a result without a usable URL."""
    url = result.get("url") if isinstance(result, dict) else None
    if not isinstance(url, str) or not re.fullmatch(r"https?://\S{1,2000}", url):
        return None
    title = _plain(result.get("title"), MAX_TITLE_CHARS)
    return Found(title or url[:MAX_TITLE_CHARS], url, _plain(result.get(text), MAX_TEXT_CHARS))


def _plain(value: Any, limit: int) -> str:
    """Returns a text in one line, without markup."""
    if not isinstance(value, str):
        return ""
    text = html.unescape(_TAGS.sub("", value[: 8 * limit]))
    return _SPACES.sub(" ", "".join(one if one.isprintable() else " " for one in text)).strip()[:limit]


def _failed(problem: str) -> ToolResult:
    return ToolResult(content=f"Error: {problem}", is_error=True)
