"""Passes a request through to an OpenAI-compatible server, and its response back unchanged.

Headers that concern only the connection to that server, cookies, and the account there are not passed back.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct

from schemas.api.chat_completion import OpenAIError, OpenAIErrorResponse
from stack.errors import ReplaystackError, UpstreamFailed
from stack.providers.inference.lenient_json import NotJSON, decode
from stack.providers.inference.openai_chunk import error_in, remark_in, status_in
from stack.providers.inference.openai_client import MAX_ERROR_BYTES, OpenAIClient, Refused, body_of, kind_of
from stack.providers.inference.openai_errors import message_of
from stack.providers.inference.openai_stream import MAX_ANSWER_BYTES
from stack.providers.inference.port import RelayedAnswer, RelayedRequest

if TYPE_CHECKING:
    import httpx2

EVENT_STREAM = "text/event-stream"
_KEPT_BACK = frozenset(
    (
        "alt-svc",
        "connection",
        "content-encoding",
        "content-length",
        "date",
        "keep-alive",
        "nel",
        "openai-organization",
        "openai-project",
        "proxy-authenticate",
        "report-to",
        "server",
        "set-cookie",
        "strict-transport-security",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "x-trace-id",
    )
)
_OURS_TO_ANSWER_FOR = frozenset((401, 407))
"""Statuses about this server's credentials: callers would look for the problem in their own."""


@asynccontextmanager
async def relayed(
    client: OpenAIClient, request: RelayedRequest, headers: Mapping[str, str]
) -> AsyncGenerator[RelayedAnswer]:
    """Returns the response from its head on; see `relay` of the port.

    The limit is `first_token_timeout_s` for the head and the first part of a streamed response,
    `stall_timeout_s` for each further part, and `answer_timeout_s` for a response that is not streamed.
    """
    settings = client.settings
    allowed_s = settings.first_token_timeout_s if request.streamed else settings.answer_timeout_s
    deadline = asyncio.get_running_loop().time() + allowed_s
    refused: Refused | None = None
    response: httpx2.Response | None = None
    try:
        async with asyncio.timeout_at(deadline):
            accept = EVENT_STREAM if request.streamed else "application/json"
            response = await client.post(request.path, request.body, {"accept": accept, **headers})
    except TimeoutError:
        raise client.timeout("did not answer", allowed_s) from None
    except Refused as refusal:
        refused = refusal
    except ReplaystackError:
        raise
    except Exception as error:
        raise client.broken(error) from None
    if response is None:
        assert refused is not None
        yield _refusal(client, request.model, refused)
        return
    pieces = body_of(response).__aiter__()
    try:
        kind = kind_of(response)
        own = _for_the_caller(response.headers)
        if request.streamed or kind == EVENT_STREAM:
            # Whatever its media type is: a stream is recognised by its bytes, and is passed on as it arrives.
            own |= {} if kind == EVENT_STREAM else {"content-type": EVENT_STREAM}
            async with aclosing(_streamed(client, pieces, deadline)) as streamed:
                yield RelayedAnswer(
                    status=200, headers=own, pieces=streamed, streamed=True, quote=client.without_key
                )
            return
        body = await _whole(client, pieces, deadline, allowed_s)
        if kind == "text/html":
            said = client.without_key(message_of(body))
            raise UpstreamFailed(f"{client.where}: it answered with a web page: {said} Check base_url.")
        if (status := _status_of_error(body)) is not None:
            yield _refusal(client, request.model, Refused(status, response.headers, body))
        else:
            yield RelayedAnswer(status=200, headers=own, pieces=_one(body))
    finally:
        await response.aclose()
        if isinstance(pieces, AsyncGenerator):
            await pieces.aclose()


async def _streamed(
    client: OpenAIClient, pieces: AsyncIterator[bytes], deadline: float
) -> AsyncGenerator[bytes]:
    """Yields the parts. Time counts only while a part is awaited, not while the caller reads it."""
    begun = False
    while True:
        try:
            async with asyncio.timeout_at(deadline):
                piece = await pieces.__anext__()
        except StopAsyncIteration:
            return
        except TimeoutError:
            settings = client.settings
            if begun:
                raise client.timeout("stopped sending", settings.stall_timeout_s) from None
            raise client.timeout("sent no first token", settings.first_token_timeout_s) from None
        except Exception as error:
            raise client.broken(error) from None
        begun = True
        yield piece
        deadline = asyncio.get_running_loop().time() + client.settings.stall_timeout_s


async def _whole(
    client: OpenAIClient, pieces: AsyncIterator[bytes], deadline: float, allowed_s: float
) -> bytes:
    body = bytearray()
    try:
        async with asyncio.timeout_at(deadline):
            async for piece in pieces:
                body += piece
                if len(body) > MAX_ANSWER_BYTES:
                    raise UpstreamFailed(
                        f"{client.where}: the answer is longer than {MAX_ANSWER_BYTES >> 20} MiB. Ask for it with "
                        "`stream`."
                    )
    except TimeoutError:
        raise client.timeout("did not complete its answer", allowed_s) from None
    except ReplaystackError:
        raise
    except Exception as error:
        raise client.broken(error) from None
    return bytes(body)


async def _one(body: bytes) -> AsyncGenerator[bytes]:
    yield body


def _for_the_caller(headers: Mapping[str, str]) -> dict[str, str]:
    named = {name.lower(): value for name, value in headers.items()}
    return {
        name: value
        for name, value in named.items()
        if name not in _KEPT_BACK and not name.startswith("access-control-")
    }


class _Message(Struct):
    message: str


class _OpenAIShaped(Struct):
    error: _Message


def _refusal(client: OpenAIClient, model: str, refused: Refused) -> RelayedAnswer:
    """Returns the server's own error if it has OpenAI's format, otherwise converted to it; always with its
    status."""
    if refused.status in _OURS_TO_ANSWER_FOR or refused.status < 400:
        raise client.error(refused, model)
    body = client.without_key(refused.body.decode("utf-8", "replace")).encode()
    if not _is_openai_shaped(body):
        said = message_of(body)
        message = f"{client.where} answered with status {refused.status}{f': {said}' if said else '.'}"
        body = msgspec.json.encode(OpenAIErrorResponse(OpenAIError(message, "upstream_error")))
    headers = _for_the_caller(refused.headers) | {"content-type": "application/json"}
    return RelayedAnswer(status=refused.status, headers=headers, pieces=_one(body))


def _status_of_error(body: bytes) -> int | None:
    """Returns the status of an error that was sent with status 200; None for an answer. Text that is not JSON
    is an error."""
    if (b'"choices"' in body and b'"error"' not in body) or len(body) > MAX_ERROR_BYTES:
        return None
    try:
        value = decode(body)
    except NotJSON:
        return 502
    one = value[0] if isinstance(value, list) and value else value
    if not isinstance(one, dict):
        return None
    error = error_in(one)
    if error is None and not remark_in(one):
        return None
    return status_in(one, error) or 502


def _is_openai_shaped(body: bytes) -> bool:
    try:
        msgspec.json.decode(body, type=_OpenAIShaped)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return False
    return True
