"""One GET over one TLS connection to one given address: HTTP/1.1, with limits on everything received."""

from __future__ import annotations

import asyncio
import ssl
import zlib

import h11
from msgspec import Struct

from stack.errors import Invalid, UpstreamFailed
from stack.providers.fetch.addresses import Address
from stack.providers.fetch.target import Target

# Time for one address; a name may have others that respond.
CONNECT_TIMEOUT_S = 5.0
READ_BYTES = 128 * 1024
MAX_HEAD_BYTES = 64 * 1024
_USER_AGENT = b"replaystack"


class Answer(Struct, frozen=True):
    """`body` is empty unless the status is 200. Header names are in lower case; of a repeated header the
    first value is used."""

    status: int
    headers: dict[str, str]
    body: bytes


async def get(
    target: Target, address: Address, context: ssl.SSLContext, *, max_bytes: int, accept: str
) -> Answer:
    """Raises Invalid for a body larger than `max_bytes` (also after decompression), UpstreamFailed for a
    server that does not speak HTTP, and the errors of connecting: ssl.SSLError and OSError."""
    async with asyncio.timeout(CONNECT_TIMEOUT_S):
        reader, writer = await asyncio.open_connection(
            str(address), target.port, ssl=context, server_hostname=target.host, limit=READ_BYTES
        )
    try:
        return await _Exchange(target, reader, writer, max_bytes).run(accept)
    except h11.RemoteProtocolError as error:
        raise UpstreamFailed(f"{target.shown} did not answer in HTTP: {error}.") from None
    finally:
        # A closing handshake would wait for the server, which has nothing more to send.
        writer.transport.abort()


class _Exchange:
    def __init__(
        self, target: Target, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, max_bytes: int
    ) -> None:
        self._target = target
        self._reader = reader
        self._writer = writer
        self._max_bytes = max_bytes
        self._http = h11.Connection(h11.CLIENT, max_incomplete_event_size=MAX_HEAD_BYTES)

    async def run(self, accept: str) -> Answer:
        request = h11.Request(
            method=b"GET",
            target=self._target.path.encode("ascii"),
            headers=[
                (b"host", self._target.authority.encode("ascii")),
                (b"user-agent", _USER_AGENT),
                (b"accept", accept.encode("ascii")),
                (b"accept-encoding", b"identity"),
                (b"connection", b"close"),
            ],
        )
        self._writer.write(self._http.send(request) + self._http.send(h11.EndOfMessage()))
        await self._writer.drain()
        response = await self._response()
        headers: dict[str, str] = {}
        for name, value in response.headers:
            headers.setdefault(name.decode("ascii"), value.decode("latin-1"))
        if response.status_code != 200:
            return Answer(response.status_code, headers, b"")
        length = headers.get("content-length", "")
        if length.isdigit() and int(length) > self._max_bytes:
            raise self._too_large()
        body = await self._body()
        encoding = headers.get("content-encoding", "").strip().lower()
        if encoding in ("gzip", "x-gzip"):
            body = await asyncio.to_thread(self._unzipped, body)
        elif encoding not in ("", "identity"):
            raise UpstreamFailed(
                f"{self._target.shown} is sent with the encoding {encoding[:40]!r}, which was not asked for."
            )
        return Answer(200, headers, body)

    async def _response(self) -> h11.Response:
        """Returns the final response; informational responses before it are skipped."""
        while True:
            event = await self._event()
            if isinstance(event, h11.Response):
                return event
            if not isinstance(event, h11.InformationalResponse):
                raise UpstreamFailed(f"{self._target.shown} closed the connection without an answer.")

    async def _body(self) -> bytes:
        pieces: list[bytes] = []
        size = 0
        while True:
            event = await self._event()
            if not isinstance(event, h11.Data):
                return b"".join(pieces)
            pieces.append(bytes(event.data))
            size += len(event.data)
            if size > self._max_bytes:
                raise self._too_large()

    async def _event(self) -> object:
        while True:
            event = self._http.next_event()
            if event is not h11.NEED_DATA:
                return event
            self._http.receive_data(await self._reader.read(READ_BYTES))

    def _unzipped(self, body: bytes) -> bytes:
        """Decompresses at most `max_bytes`. Raises Invalid for more, UpstreamFailed for damaged data."""
        left, pieces, size = body, [], 0
        try:
            while left:
                unpacker = zlib.decompressobj(zlib.MAX_WBITS | 16)
                while not unpacker.eof:
                    piece = unpacker.decompress(left, self._max_bytes + 1 - size)
                    left = unpacker.unconsumed_tail
                    pieces.append(piece)
                    size += len(piece)
                    if size > self._max_bytes:
                        raise self._too_large()
                    if not left and not unpacker.eof:
                        raise UpstreamFailed(f"{self._target.shown} broke off in the middle of its content.")
                left = unpacker.unused_data
        except zlib.error:
            raise UpstreamFailed(f"{self._target.shown} is said to be gzip and is not.") from None
        return b"".join(pieces)

    def _too_large(self) -> Invalid:
        return Invalid(f"{self._target.shown} is larger than {self._max_bytes} bytes.")
