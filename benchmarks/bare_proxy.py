"""A bare proxy for comparison: `python -m benchmarks.bare_proxy --model-port PORT --port 0`.

An ASGI application of a few lines on uvicorn that asks the model for an answer and frames it as the events of a
turn, one message for each event. It has no routes, checks, sessions, history, log or telemetry: the least that a
server with this API costs.
"""

from __future__ import annotations

import argparse
import asyncio
import socket
from collections.abc import AsyncIterator
from typing import Any, cast

import httptools
import msgspec
import uvicorn
from msgspec import Struct

from benchmarks.api import INSTRUCTIONS, MODEL

TURN_ID = "01a22cc5-6df0-71dd-9c6a-78a37bd65275"
STEP_ID = "01a22cc5-6e19-722c-b717-3376f3bfaea9"
HEADERS = [(b"content-type", b"text/event-stream; charset=utf-8"), (b"cache-control", b"no-cache")]


class _Message(Struct):
    content: Any


class _Request(Struct):
    messages: list[_Message]
    stream: bool = False


class _Delta(Struct):
    content: str | None = None


class _Choice(Struct):
    delta: _Delta


class _Chunk(Struct):
    choices: list[_Choice] = []


_encode = msgspec.json.Encoder().encode
_request = msgspec.json.Decoder(_Request)
_chunk = msgspec.json.Decoder(_Chunk)


class Model(asyncio.Protocol):
    """One kept connection to the model server, for one request at a time."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def ask(self, body: bytes) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self._pieces: asyncio.Queue[bytes | None] = asyncio.Queue()
        head = b"POST /v1/chat/completions HTTP/1.1\r\nhost: model\r\ncontent-type: application/json\r\n"
        self._transport.write(head + b"content-length: %d\r\n\r\n" % len(body) + body)

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_body(self, piece: bytes) -> None:
        self._pieces.put_nowait(piece)

    def on_message_complete(self) -> None:
        self._pieces.put_nowait(None)

    async def texts(self) -> AsyncIterator[str]:
        """Yields the texts of the answer's chunks."""
        rest = b""
        while (piece := await self._pieces.get()) is not None:
            *lines, rest = (rest + piece).split(b"\n")
            for line in lines:
                if line.startswith(b"data: {"):
                    for choice in _chunk.decode(line[6:]).choices:
                        if choice.delta.content:
                            yield choice.delta.content


class Proxy:
    def __init__(self, model_port: int) -> None:
        self._model_port = model_port
        self._idle: list[Model] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message["body"], message["more_body"]
        asked = _request.decode(body)
        await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
        async for event in self._turn(asked):
            frame = b"data: " + _encode({"event": {"payload": event}}) + b"\n\n"
            await send({"type": "http.response.body", "body": frame, "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    async def _turn(self, asked: _Request) -> AsyncIterator[dict[str, Any]]:
        step = {"step_type": "inference", "step_id": STEP_ID}
        yield {"event_type": "turn_start", "turn_id": TURN_ID}
        yield {"event_type": "step_start", **step}
        texts = []
        model = await self._connection()
        model.ask(_encode(_completion(asked)))
        async for text in model.texts():
            texts.append(text)
            yield {"event_type": "step_progress", **step, "delta": {"type": "text", "text": text}}
        self._idle.append(model)
        answer = {"role": "assistant", "content": "".join(texts), "stop_reason": "end_of_turn"}
        details = {**step, "turn_id": TURN_ID, "model_response": answer}
        yield {"event_type": "step_complete", **step, "step_details": details}
        turn = {"turn_id": TURN_ID, "input_messages": asked.messages, "steps": [details]}
        yield {"event_type": "turn_complete", "turn": {**turn, "output_message": answer}}

    async def _connection(self) -> Model:
        if self._idle:
            return self._idle.pop()
        loop = asyncio.get_running_loop()
        return (await loop.create_connection(Model, "127.0.0.1", self._model_port))[1]


def _completion(asked: _Request) -> dict[str, Any]:
    messages = [{"role": "user", "content": one.content} for one in asked.messages]
    return {
        "model": MODEL,
        "messages": [{"role": "system", "content": INSTRUCTIONS}, *messages],
        "stream": True,
        "stream_options": {"include_usage": True},
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--model-port", type=int, required=True)
    parser.add_argument("--port", type=int, default=0)
    given = parser.parse_args()
    listener = socket.create_server(("127.0.0.1", given.port))
    print(listener.getsockname()[1], flush=True)
    config = uvicorn.Config(
        Proxy(given.model_port), lifespan="off", log_config=None, access_log=False, loop="uvloop"
    )
    asyncio.Runner(loop_factory=config.get_loop_factory()).run(uvicorn.Server(config).serve([listener]))


if __name__ == "__main__":
    main()
