"""Takes OTLP over gRPC: the `Export` methods of traces, metrics and logs, with messages left as they came."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from stack.errors import ReplaystackError
from telemetry import response
from telemetry.decoded import Decoded
from telemetry.intake import Intake
from telemetry.log import Content, Signal, TelemetryLogError
from telemetry.refusals import IntakeFull, Malformed, TooLarge

if TYPE_CHECKING:
    import grpc

logger = logging.getLogger("replaystack.telemetry")

MAX_BYTES = 4 * 2**20
"""Of a message, unpacked."""
MAX_CALLS = 128
THREADS = 16
RETRY_AFTER_S = 5
STOP_S = 2.0
_SERVICES: dict[str, Signal] = {
    "opentelemetry.proto.collector.trace.v1.TraceService": "traces",
    "opentelemetry.proto.collector.metrics.v1.MetricsService": "metrics",
    "opentelemetry.proto.collector.logs.v1.LogsService": "logs",
}

Admit = Callable[[str], object]
"""Takes what a caller sent as `authorization`. Raises ReplaystackError."""


class OtlpGrpc:
    """Of one event loop, in which requests are taken; calls wait in threads of their own."""

    def __init__(self, intake: Intake, admit: Admit) -> None:
        self._intake = intake
        self._admit = admit
        self._loop = asyncio.get_running_loop()
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="otlp-grpc")
        self._server: grpc.Server | None = None

    def start(self, host: str, port: int) -> int:
        """Listens; returns the port. Blocks for 0.2 s, which importing grpc takes. Raises OSError where it cannot."""
        import grpc

        server = grpc.server(
            self._threads,
            handlers=[self._handlers(service, signal) for service, signal in _SERVICES.items()],
            options=[
                ("grpc.max_receive_message_length", MAX_BYTES),
                # Else a second server on the port would be given every other call.
                ("grpc.so_reuseport", 0),
            ],
            maximum_concurrent_rpcs=MAX_CALLS,
        )
        address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        try:
            bound = server.add_insecure_port(address)
        except RuntimeError as error:
            raise OSError(str(error)) from None
        server.start()
        self._server = server
        return int(bound)

    def stop(self) -> None:
        """Blocks until what is under way has ended, for 2 s at most."""
        if self._server is not None:
            self._server.stop(STOP_S).wait()
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _handlers(self, service: str, signal: Signal) -> Any:
        import grpc

        def export(request: bytes, context: grpc.ServicerContext) -> bytes:
            return self._export(signal, request, context)

        # Without serializers messages are bytes.
        return grpc.method_handlers_generic_handler(
            service, {"Export": grpc.unary_unary_rpc_method_handler(export)}
        )

    def _export(self, signal: Signal, request: bytes, context: grpc.ServicerContext) -> bytes:
        import grpc

        code = grpc.StatusCode
        try:
            self._admit(_authorization(context))
            taken = asyncio.run_coroutine_threadsafe(self._take(signal, request), self._loop)
            return response.success(signal, "protobuf", taken.result())
        except ReplaystackError as refusal:
            unknown = refusal.status == 401
            return _refused(
                context, code.UNAUTHENTICATED if unknown else code.PERMISSION_DENIED, refusal.detail
            )
        except Malformed as refusal:
            return _refused(context, code.INVALID_ARGUMENT, str(refusal))
        except TooLarge as refusal:
            return _refused(context, code.RESOURCE_EXHAUSTED, str(refusal))
        except IntakeFull as refusal:
            return _later(context, str(refusal), refusal.retry_after_s)
        except (TelemetryLogError, RuntimeError) as error:
            # A RuntimeError where the loop has ended.
            logger.error("telemetry is refused: %s", error)
            return _later(context, str(error), RETRY_AFTER_S)

    async def _take(self, signal: Signal, request: bytes) -> Decoded:
        room = await self._intake.room(len(request))
        return await self._intake.take(Content(signal), request, MAX_BYTES, room)


def _refused(context: grpc.ServicerContext, code: grpc.StatusCode, message: str) -> bytes:
    context.set_code(code)
    context.set_details(message)
    return b""


def _later(context: grpc.ServicerContext, message: str, delay_s: int) -> bytes:
    """Ends the call so that senders come back."""
    import grpc

    details = response.retry_info(delay_s, message)
    context.set_trailing_metadata((("grpc-status-details-bin", details),))
    return _refused(context, grpc.StatusCode.UNAVAILABLE, message)


def _authorization(context: grpc.ServicerContext) -> str:
    for key, value in context.invocation_metadata() or ():
        if key == "authorization":
            return value if isinstance(value, str) else value.decode("latin-1")
    return ""
