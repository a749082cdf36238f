"""gRPC servers of this process, in one event loop in a thread of its own: gRPC's polling does not work well with uvloop,
and logs errors if two loops use it."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable, Coroutine, Sequence
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import unquote

from stack.services.requests.rates import Callers, RateLimits

if TYPE_CHECKING:
    import grpc

START_S = 10.0
STOP_S = 2.0
MAX_CALLS = 4096
HANDSHAKE_TIMEOUT_MS = 15_000
MAX_IDLE_MS = 600_000
"""A connection that is idle for this long, in milliseconds, is closed; the client reconnects."""

T = TypeVar("T")

Admit = Callable[[str, str], str]
"""Authenticates a caller by its `authorization` and its address. Returns the name of its key. Raises
ReplaystackError."""


class Admission:
    """Admits calls, also for the limits of rates, which are kept in the event loop in which this is created."""

    def __init__(self, admit: Admit, rates: RateLimits, *, appends: bool) -> None:
        self._admit = admit
        self._rates = rates
        self._appends = appends
        self.loop = asyncio.get_running_loop()

    async def admitted(self, authorization: str, address: str) -> tuple[str, Callers]:
        """Returns the name of the caller's key, and who pays for the call. Raises ReplaystackError."""
        if not self._rates.enabled:
            return self._admit(authorization, address), ()

        async def admitted() -> tuple[str, Callers]:
            actor = self._admit(authorization, address)
            return actor, self._rates.admit(actor, address, appends=self._appends)

        return await self.in_loop(admitted())

    async def in_loop(self, work: Coroutine[Any, Any, T]) -> T:
        """Raises RuntimeError if the loop has ended."""
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, self.loop))


class GrpcLoop:
    """The event loop and its thread, which exist while a server uses them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    def enter(self) -> None:
        with self._lock:
            self._users += 1
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(target=_run, args=(self._loop,), name="grpc", daemon=True)
                self._thread.start()

    def leave(self) -> None:
        """Blocks until the thread has ended, if nothing else uses it."""
        with self._lock:
            self._users -= 1
            if self._users == 0 and self._loop is not None and self._thread is not None:
                self._loop.call_soon_threadsafe(self._loop.stop)
                self._thread.join()
                self._loop = self._thread = None

    def call(self, work: Coroutine[Any, Any, T], timeout_s: float | None = None) -> T:
        """Runs `work` in the loop and returns its result. Blocks. Raises TimeoutError."""
        assert self._loop is not None
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout_s)


class GrpcServer:
    """A server on one port. `handlers` is called in the loop, and may import grpc."""

    def __init__(
        self,
        loop: GrpcLoop,
        handlers: Callable[[], Sequence[grpc.GenericRpcHandler]],
        options: Sequence[tuple[str, int]],
    ) -> None:
        self._loop = loop
        self._handlers = handlers
        self._options = options
        self._server: grpc.aio.Server | None = None

    def start(self, host: str, port: int) -> int:
        """Listens and returns the port. Blocks for the 0.2 s that importing grpc takes. Raises OSError if it
        cannot listen; it may then be called again."""
        _check_free(host, port)
        self._loop.enter()
        try:
            return self._loop.call(self._started(host, port), START_S)
        except BaseException as error:
            self._loop.leave()
            # An import also fails without free descriptors.
            if isinstance(error, ImportError | RuntimeError | TimeoutError):
                raise OSError(str(error)) from None
            raise

    def stop(self, begin: Callable[[], None] = lambda: None) -> None:
        """Blocks until running calls have ended, for 2 s at most. `begin` is called in the loop first."""
        if self._server is None:
            return
        self._loop.call(self._stopped(self._server, begin))
        self._server = None
        self._loop.leave()

    async def _stopped(self, server: grpc.aio.Server, begin: Callable[[], None]) -> None:
        begin()
        await server.stop(STOP_S)

    async def _started(self, host: str, port: int) -> int:
        import grpc

        server = grpc.aio.server(
            handlers=list(self._handlers()),
            options=[
                # Otherwise a second server on the port would receive every other call.
                ("grpc.so_reuseport", 0),
                ("grpc.server_handshake_timeout_ms", HANDSHAKE_TIMEOUT_MS),
                ("grpc.max_connection_idle_ms", MAX_IDLE_MS),
                *self._options,
            ],
            maximum_concurrent_rpcs=MAX_CALLS,
        )
        bound = server.add_insecure_port(f"[{host}]:{port}" if ":" in host else f"{host}:{port}")
        await server.start()
        self._server = server
        return int(bound)


def address_of(context: Any) -> str:
    """Returns the caller's address from a peer such as `ipv4:127.0.0.1:50000` or `ipv6:%5B::1%5D:50000`."""
    return unquote(context.peer()).partition(":")[2].rpartition(":")[0].strip("[]")


def authorization_of(context: Any) -> str:
    for key, value in context.invocation_metadata() or ():
        if key == "authorization":
            return value if isinstance(value, str) else value.decode("latin-1")
    return ""


def _run(loop: asyncio.AbstractEventLoop) -> None:
    asyncio.set_event_loop(loop)
    try:
        loop.run_forever()
    finally:
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()


def _check_free(host: str, port: int) -> None:
    """Raises OSError with its errno if the port cannot be bound: gRPC's own error does not contain the
    reason."""
    family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    with socket.socket(family, kind) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(address)
        probe.listen(1)
