"""Receives OTLP over gRPC: the `Export` methods of traces, metrics and logs, with undecoded messages.

The server has an event loop in a separate thread, because gRPC's polling does not work well with uvloop.
Methods are served as streams of requests, of which only the first one is read, so that a call without a
message times out.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import threading
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import unquote

from stack.errors import ReplaystackError, TooManyRequests
from stack.http.body_limit import BytesInFlight, NoRoom, Share
from stack.services.requests.rates import Callers, RateLimits
from telemetry.log.port import Content, Signal, TelemetryLogError
from telemetry.store.intake import Intake
from telemetry.wire import response
from telemetry.wire.decoded import Decoded
from telemetry.wire.refusals import IntakeFull, Malformed, TooLarge

if TYPE_CHECKING:
    import grpc

logger = logging.getLogger("replaystack.telemetry")

MAX_BYTES = 4 * 2**20
"""Maximum size of a message in bytes, after decompression."""
MAX_ARRIVING = 64
"""Maximum number of messages being received: at their maximum size they take 256 MiB."""
MAX_CALLS = 4096
RETRY_AFTER_S = 5
START_S = 10.0
STOP_S = 2.0
HANDSHAKE_TIMEOUT_MS = 15_000
MAX_IDLE_MS = 600_000
"""A connection that is idle for this long, in milliseconds, is closed; the sender reconnects."""
_SERVICES: dict[str, Signal] = {
    "opentelemetry.proto.collector.trace.v1.TraceService": "traces",
    "opentelemetry.proto.collector.metrics.v1.MetricsService": "metrics",
    "opentelemetry.proto.collector.logs.v1.LogsService": "logs",
}

T = TypeVar("T")

Admit = Callable[[str, str], str]
"""Authenticates a caller by its `authorization` and its address. Returns the name of its key. Raises
ReplaystackError."""


class OtlpGrpc:
    """Must be created in the event loop that processes requests. A call's message must arrive within
    `timeout_s` seconds."""

    def __init__(self, intake: Intake, admit: Admit, rates: RateLimits, timeout_s: float) -> None:
        self._intake = intake
        self._admit = admit
        self._rates = rates
        self._taking_loop = asyncio.get_running_loop()
        self._timeout_s = timeout_s
        # Counted in messages, because their sizes are unknown before they arrive.
        self._arriving = BytesInFlight(MAX_ARRIVING)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._server: grpc.aio.Server | None = None

    def start(self, host: str, port: int) -> int:
        """Listens and returns the port. Blocks for the 0.2 s that importing grpc takes. Raises OSError if it
        cannot listen; it may then be called again."""
        _check_free(host, port)
        loop = asyncio.new_event_loop()
        thread = threading.Thread(target=_run, args=(loop,), name="otlp-grpc", daemon=True)
        thread.start()
        try:
            bound = asyncio.run_coroutine_threadsafe(self._started(host, port), loop).result(START_S)
        except BaseException as error:
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
            # An import also fails without free descriptors.
            if isinstance(error, ImportError | RuntimeError | TimeoutError):
                raise OSError(str(error)) from None
            raise
        self._loop, self._thread = loop, thread
        return bound

    def stop(self) -> None:
        """Blocks until running calls have ended, for 2 s at most."""
        if self._loop is None or self._thread is None or self._server is None:
            return
        asyncio.run_coroutine_threadsafe(self._server.stop(STOP_S), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    async def _started(self, host: str, port: int) -> int:
        import grpc

        server = grpc.aio.server(
            handlers=[self._handlers(service, signal) for service, signal in _SERVICES.items()],
            options=[
                ("grpc.max_receive_message_length", MAX_BYTES),
                # Otherwise a second server on the port would receive every other call.
                ("grpc.so_reuseport", 0),
                ("grpc.server_handshake_timeout_ms", HANDSHAKE_TIMEOUT_MS),
                ("grpc.max_connection_idle_ms", MAX_IDLE_MS),
            ],
            maximum_concurrent_rpcs=MAX_CALLS,
        )
        bound = server.add_insecure_port(f"[{host}]:{port}" if ":" in host else f"{host}:{port}")
        await server.start()
        self._server = server
        return int(bound)

    def _handlers(self, service: str, signal: Signal) -> Any:
        import grpc

        async def export(requests: AsyncIterator[bytes], context: grpc.aio.ServicerContext) -> bytes:
            return await self._export(signal, requests, context)

        # Without serializers messages are bytes.
        return grpc.method_handlers_generic_handler(
            service, {"Export": grpc.stream_unary_rpc_method_handler(export)}
        )

    async def _export(self, signal: Signal, requests: AsyncIterator[bytes], context: Any) -> bytes:
        import grpc

        code = grpc.StatusCode
        try:
            payers = await self._admitted(_authorization(context), _address(context))
            request = await self._arrived(requests)
            taken = await self._in_taking_loop(self._take(signal, request, payers))
            return response.success(signal, "protobuf", taken)
        except TooManyRequests as refusal:
            return _later(context, refusal.detail, refusal.retry_after or 1, code.RESOURCE_EXHAUSTED)
        except ReplaystackError as refusal:
            unknown = refusal.status == 401
            return _refused(
                context, code.UNAUTHENTICATED if unknown else code.PERMISSION_DENIED, refusal.detail
            )
        except Malformed as refusal:
            return _refused(context, code.INVALID_ARGUMENT, str(refusal))
        except TooLarge as refusal:
            return _refused(context, code.RESOURCE_EXHAUSTED, str(refusal))
        except TimeoutError:
            problem = (
                f"The message did not arrive within {self._timeout_s:g} s. Send it again, or less at a time."
            )
            return _refused(context, code.DEADLINE_EXCEEDED, problem)
        except NoRoom:
            problem = (
                f"More calls send at once than there is room for. Send again in {IntakeFull.retry_after_s} s."
            )
            return _later(context, problem, IntakeFull.retry_after_s)
        except IntakeFull as refusal:
            return _later(context, str(refusal), refusal.retry_after_s)
        except (TelemetryLogError, RuntimeError) as error:
            # Raised as RuntimeError if the loop has ended.
            logger.error("telemetry is refused: %s", error)
            return _later(context, str(error), RETRY_AFTER_S)

    async def _arrived(self, requests: AsyncIterator[bytes]) -> bytes:
        """Returns the call's message. Raises Malformed, TimeoutError, NoRoom."""
        share = Share(self._arriving)
        try:
            await share.count(1)
            request = await share.wait(lambda: anext(requests, None), self._timeout_s)
        finally:
            share.release()
        if request is None:
            raise Malformed("The call has no message.")
        return request

    async def _admitted(self, authorization: str, address: str) -> Callers:
        """Raises ReplaystackError if the caller is not admitted."""
        if not self._rates.enabled:
            self._admit(authorization, address)
            return ()

        async def admitted() -> Callers:
            return self._rates.admit(self._admit(authorization, address), address, appends=True)

        return await self._in_taking_loop(admitted())

    async def _in_taking_loop(self, work: Coroutine[Any, Any, T]) -> T:
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, self._taking_loop))

    async def _take(self, signal: Signal, request: bytes, payers: Callers) -> Decoded:
        self._rates.charge_bytes(payers, len(request))
        reservation = await self._intake.reserve(len(request))
        return await self._intake.take(Content(signal), request, MAX_BYTES, reservation)


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


def _refused(context: Any, code: grpc.StatusCode, message: str) -> bytes:
    context.set_code(code)
    context.set_details(message)
    return b""


def _later(context: Any, message: str, delay_s: int, code: grpc.StatusCode | None = None) -> bytes:
    """Ends the call so that senders retry."""
    import grpc

    details = response.retry_info(delay_s, message)
    context.set_trailing_metadata((("grpc-status-details-bin", details),))
    return _refused(context, code or grpc.StatusCode.UNAVAILABLE, message)


def _address(context: Any) -> str:
    """Returns the caller's address from a peer such as `ipv4:127.0.0.1:50000` or `ipv6:%5B::1%5D:50000`."""
    return unquote(context.peer()).partition(":")[2].rpartition(":")[0].strip("[]")


def _authorization(context: Any) -> str:
    for key, value in context.invocation_metadata() or ():
        if key == "authorization":
            return value if isinstance(value, str) else value.decode("latin-1")
    return ""
