"""An OpenAI-compatible server whose every behaviour is chosen by the name of the model that is asked for.

    python -m tests.servers.scripted_openai --port 8100

A model's name is a script: a behaviour, then settings, as in `text;chunks=20;gap_ms=5`. Times are in
milliseconds, counts are whole numbers. The behaviours:

| name | what is sent |
|---|---|
| text | `chunks` pieces of text, then a finish reason, usage and [DONE] |
| say | the setting `text` |
| guard | `unsafe` and the category S1 if the conversation to judge contains the setting `word`, else `safe` |
| echo | the received request body as JSON, as text in pieces of 64 characters |
| tools | a call of the first tool (or `name`) in `pieces` fragments; as text if a tool spoke last, unless `again` |
| cut | `chunks` pieces, then the connection is dropped in the middle of the answer |
| no-finish | `chunks` pieces and [DONE], without a finish reason |
| no-done | a finish reason as the last chunk, neither usage nor [DONE] |
| no-usage | as text, without usage |
| status | an error with the status `code` and `message`, `retry_after` seconds as a header if given |
| no-options | an error where there are `stream_options`, else as text |
| drop | the connection is closed without an answer |
| stall | `chunks` pieces, then nothing for ever |
| silent | headers, then nothing for ever |
| mute | not even headers, for ever |
| malformed | `chunks` pieces, then a line that is not JSON |
| html | a web page with status 200 |
| error | `chunks` pieces, then an error object inside the stream |
| huge-line | one line of `bytes` bytes (default 9 MiB) |
| flood | pieces of 64 KiB until the reader leaves (at most 1 GiB) |
| redirect | 307 to `location` |
| wire | exactly `body` (base64) with the content type `type` (none without it), in pieces of `size` bytes, ended by closing the connection; to a request that streams or not |

Settings of all: `headers_ms` (before the headers), `first_ms` (before the first chunk), `gap_ms` (between chunks),
`times` (behave so only for that many requests of this very name, then as text), `coalesce` (all chunks in one
write). Control: `GET /control/counts`, `POST /control/reset`, `POST /control/queue` with a JSON list of scripts
that the next requests follow whatever model they ask for, `GET /control/requests` (the bodies last received).
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import contextlib
import signal
from collections import Counter, deque
from collections.abc import Iterable
from typing import Any, cast

import httptools
import msgspec

from tests.servers.scripted_chunks import (
    DONE,
    answer_json,
    error_body,
    finish_chunk,
    framed,
    head,
    sse,
    text_chunk,
    text_chunks,
    tool_chunks,
    usage_chunk,
)

ASKED = ("/completions", "/embeddings", "/rerank")
MODELS = ("text;chunks=20", "echo", "tools")
PAGE = b"<!doctype html><html><body><h1>502 Bad Gateway</h1></body></html>"


class Script(msgspec.Struct, frozen=True):
    """The parsed name of a model: a behaviour and its settings."""

    behaviour: str
    settings: dict[str, str]

    @classmethod
    def parse(cls, name: str) -> Script:
        behaviour, *parts = name.split(";")
        return cls(behaviour, dict(part.split("=", 1) for part in parts if "=" in part))

    def number(self, key: str, default: int = 0) -> int:
        return int(self.settings.get(key, default))

    async def wait(self, key: str) -> None:
        if delay_ms := self.number(key):
            await asyncio.sleep(delay_ms / 1000)


class State:
    """The requests that the server has received since it started or was last reset."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self.counts: Counter[str] = Counter(
            requests=0,
            connections=0,
            finished=0,
            disconnects=0,
            open=self.counts["open"] if self.__dict__ else 0,
        )
        self.by_model: Counter[str] = Counter()
        self.queue: deque[str] = deque()
        self.bodies: deque[tuple[dict[str, str], bytes]] = deque(maxlen=32)

    def script(self, model: str) -> Script:
        name = self.queue.popleft() if self.queue else model
        self.by_model[name] += 1
        script = Script.parse(name)
        if 0 < script.number("times") < self.by_model[name]:
            return Script("text", {"chunks": "3"})
        return script


class Connection(asyncio.Protocol):
    """One client connection: parses requests with httptools, answers each in a task of its own."""

    def __init__(self, state: State) -> None:
        self.state = state
        self.transport: asyncio.Transport
        self.writable = asyncio.Event()
        self.task: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.parser = httptools.HttpRequestParser(self)
        self.writable.set()
        self.state.counts["connections"] += 1
        self.state.counts["open"] += 1

    def connection_lost(self, exc: Exception | None) -> None:
        self.state.counts["open"] -= 1
        if self.task and not self.task.done():
            self.state.counts["disconnects"] += 1
            self.task.cancel()

    def pause_writing(self) -> None:
        self.writable.clear()

    def resume_writing(self) -> None:
        self.writable.set()

    def data_received(self, data: bytes) -> None:
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserError:
            self.transport.close()

    def on_message_begin(self) -> None:
        self.url = b""
        self.body: list[bytes] = []
        self.headers: dict[str, str] = {}

    def on_url(self, url: bytes) -> None:
        self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_body(self, body: bytes) -> None:
        self.body.append(body)

    def on_message_complete(self) -> None:
        method, path = self.parser.get_method().decode(), self.url.decode().split("?")[0]
        body = b"".join(self.body)
        if method == "POST" and path.endswith(ASKED):
            self.task = asyncio.get_running_loop().create_task(self.complete(body))
        else:
            self.send_json(*self.control(method, path, body))

    def send_json(self, value: Any, status: int = 200, extra: Iterable[str] = ()) -> None:
        body = msgspec.json.encode(value)
        self.transport.write(head(status, "application/json", length=len(body), extra=extra) + body)

    def control(self, method: str, path: str, body: bytes) -> tuple[Any, int]:
        match method, path:
            case "GET", "/v1/models":
                data = [{"id": name, "object": "model", "created": 0, "owned_by": "tests"} for name in MODELS]
                return {"object": "list", "data": data}, 200
            case "GET", "/control/counts":
                return {**self.state.counts, "by_model": self.state.by_model}, 200
            case "GET", "/control/requests":
                return [{"headers": h, "body": msgspec.Raw(b)} for h, b in self.state.bodies], 200
            case "POST", "/control/reset":
                self.state.reset()
                return {}, 200
            case "POST", "/control/queue":
                self.state.queue.extend(msgspec.json.decode(body, type=list[str]))
                return {}, 200
        return error_body("there is no such path", "not_found"), 404

    async def complete(self, body: bytes) -> None:
        """Answers one request as its script says."""
        self.state.counts["requests"] += 1
        self.state.bodies.append((self.headers, body))
        try:
            request = read_request(body)
            script = self.state.script(str(request["model"]))
            await script.wait("headers_ms")
            if script.behaviour == "no-options" and "stream_options" in request:
                self.send_json(error_body("stream_options: unknown field", "invalid_request_error"), 422)
            elif not self.refused(script):
                await self.answer(script, request, body)
        except (msgspec.DecodeError, KeyError, ValueError, TypeError) as error:
            self.send_json(error_body(f"bad request: {error!r}", "invalid_request_error"), 400)
        self.state.counts["finished"] += 1

    def refused(self, script: Script) -> bool:
        """Handles the behaviours that never begin a stream."""
        match script.behaviour:
            case "status":
                wait = script.settings.get("retry_after")
                extra = [f"retry-after: {wait}"] if wait else []
                code = script.number("code", 500)
                message = script.settings.get("message", f"scripted status {code}")
                self.send_json(error_body(message, "scripted"), code, extra)
            case "redirect":
                location = script.settings.get("location", "http://example.invalid/v1/chat/completions")
                self.send_json({}, 307, [f"location: {location}"])
            case "html":
                self.transport.write(head(200, "text/html", length=len(PAGE)) + PAGE)
            case "drop":
                self.transport.close()
            case _:
                return False
        return True

    async def answer(self, script: Script, request: dict[str, Any], body: bytes) -> None:
        if script.behaviour == "mute":
            await asyncio.Event().wait()
        if script.behaviour == "wire":
            await self.wire(script)
            return
        if not request.get("stream"):
            self.send_json(answer_json(request, script.number("chunks", 3)))
            return
        self.transport.write(head(200, "text/event-stream"))
        if script.behaviour == "silent":
            await asyncio.Event().wait()
        await script.wait("first_ms")
        await self.stream(script, self.chunks(script, request, body))
        match script.behaviour:
            case "cut":
                self.transport.abort()
            case "stall":
                await asyncio.Event().wait()
            case "flood":
                await self.flood()
            case _:
                self.transport.write(b"0\r\n\r\n")

    async def wire(self, script: Script) -> None:
        kind = script.settings.get("type")
        named = f"content-type: {kind}\r\n" if kind else ""
        self.transport.write(f"HTTP/1.1 200 OK\r\n{named}connection: close\r\n\r\n".encode())
        body = base64.b64decode(script.settings["body"])
        size = script.number("size", len(body)) or 1
        for start in range(0, len(body), size):
            self.transport.write(body[start : start + size])
            await asyncio.sleep(script.number("gap_ms") / 1000)
        self.transport.close()

    async def stream(self, script: Script, chunks: list[bytes]) -> None:
        gap_s = script.number("gap_ms") / 1000
        if script.number("coalesce"):
            self.transport.write(b"".join(chunks))
            return
        for number, chunk in enumerate(chunks):
            if number:
                await asyncio.sleep(gap_s)
            await self.writable.wait()
            self.transport.write(chunk)

    async def flood(self) -> None:
        piece = framed(text_chunk("x" * 65536))
        for _ in range(16384):
            await self.writable.wait()
            self.transport.write(piece)
            await asyncio.sleep(0)

    def chunks(self, script: Script, request: dict[str, Any], body: bytes) -> list[bytes]:
        """All frames of the answer, in the transfer encoding."""
        usage = bool((request.get("stream_options") or {}).get("include_usage"))
        match script.behaviour:
            case "echo":
                text = msgspec.json.encode(msgspec.json.decode(body)).decode()
                pieces = [framed(text_chunk(text[i : i + 64])) for i in range(0, len(text), 64)]
            case "guard":
                judged = body.decode().partition("<BEGIN CONVERSATION>")[2]
                unsafe = script.settings.get("word", "") in judged
                pieces = [framed(text_chunk("\n\nunsafe\nS1" if unsafe else "\n\nsafe"))]
            case "say":
                pieces = [framed(text_chunk(script.settings.get("text", "")))]
            case "tools" if request.get("tools") and (
                script.number("again") or last_role(request["messages"]) != "tool"
            ):
                return tool_chunks(request["tools"][0], script.number("pieces", 4), script.settings, usage)
            case "huge-line":
                return [framed(b"data: " + b"x" * script.number("bytes", 9 << 20))]
            case _:
                pieces = text_chunks(script.number("chunks", 3))
        match script.behaviour:
            case "cut" | "stall" | "flood":
                return pieces
            case "no-finish":
                return [*pieces, DONE]
            case "no-done":
                return [*pieces, finish_chunk("stop")]
            case "malformed":
                return [*pieces, sse(b'{"id": "x", "choices": [{"delta": {"content": "tor')]
            case "error":
                return [*pieces, sse(msgspec.json.encode(error_body("scripted failure", "server_error")))]
        reason = script.settings.get("reason", "stop")
        ending = [usage_chunk(len(pieces))] if usage and script.behaviour != "no-usage" else []
        return [*pieces, finish_chunk(reason), *ending, DONE]


def read_request(body: bytes) -> dict[str, Any]:
    """The request, with its messages left as they came: a model that answers at once must not take longer the
    longer a conversation is."""
    fields = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
    return {
        name: value if name == "messages" else msgspec.json.decode(value) for name, value in fields.items()
    }


def last_role(messages: msgspec.Raw) -> str:
    last = msgspec.json.decode(messages, type=list[msgspec.Raw])[-1]
    return str(msgspec.json.decode(last, type=dict[str, Any]).get("role"))


async def serve(port: int = 0, state: State | None = None) -> asyncio.Server:
    """Starts the server on loopback (port 0: any free one)."""
    kept = state or State()
    return await asyncio.get_running_loop().create_server(lambda: Connection(kept), "127.0.0.1", port)


async def run(port: int) -> None:
    server = await serve(port)
    print(server.sockets[0].getsockname()[1], flush=True)
    stop = asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, stop.set)
    await stop.wait()
    server.close()


def main() -> None:
    """Serves until a signal; the port is printed on the first line."""
    parser = argparse.ArgumentParser(description="A scripted OpenAI-compatible server.")
    parser.add_argument("--port", type=int, default=0)
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(run(parser.parse_args().port))


if __name__ == "__main__":
    main()
