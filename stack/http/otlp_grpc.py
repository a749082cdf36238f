"""Receives OTLP over gRPC: the `Export` methods of traces, metrics and logs, with undecoded messages.

Methods are served as streams of requests, of which only the first one is read, so that a call without a
message times out.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

from stack.errors import ReplaystackError, TooManyRequests
from stack.http.body_limit import BytesInFlight, NoRoom, Share
from stack.http.grpc_server import Admission, Admit, GrpcLoop, GrpcServer, address_of, authorization_of
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
RETRY_AFTER_S = 5
_SERVICES: dict[str, Signal] = {
    "opentelemetry.proto.collector.trace.v1.TraceService": "traces",
    "opentelemetry.proto.collector.metrics.v1.MetricsService": "metrics",
    "opentelemetry.proto.collector.logs.v1.LogsService": "logs",
}


class OtlpGrpc:
    """Must be created in the event loop that processes requests. A call's message must arrive within
    `timeout_s` seconds."""

    def __init__(
        self, loop: GrpcLoop, intake: Intake, admit: Admit, rates: RateLimits, timeout_s: float
    ) -> None:
        self._intake = intake
        self._admission = Admission(admit, rates, appends=True)
        self._rates = rates
        self._timeout_s = timeout_s
        # Counted in messages, because their sizes are unknown before they arrive.
        self._arriving = BytesInFlight(MAX_ARRIVING)
        server = GrpcServer(loop, self._all_handlers, [("grpc.max_receive_message_length", MAX_BYTES)])
        self.start, self.stop = server.start, server.stop

    def _all_handlers(self) -> list[grpc.GenericRpcHandler]:
        return [self._handlers(service, signal) for service, signal in _SERVICES.items()]

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
            _, payers = await self._admission.admitted(authorization_of(context), address_of(context))
            request = await self._arrived(requests)
            taken = await self._admission.in_loop(self._take(signal, request, payers))
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

    async def _take(self, signal: Signal, request: bytes, payers: Callers) -> Decoded:
        self._rates.charge_bytes(payers, len(request))
        reservation = await self._intake.reserve(len(request))
        return await self._intake.take(Content(signal), request, MAX_BYTES, reservation)


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
