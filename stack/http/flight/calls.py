"""One call of gRPC: what arrives, what is sent, and errors as gRPC's codes."""

from __future__ import annotations

import asyncio
import base64
import binascii
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING, Any

from stack.errors import Invalid, ReplaystackError, RequestTimeout, Unavailable
from stack.http.body_limit import BytesInFlight, NoRoom, Share
from stack.http.grpc_server import Admission, address_of, authorization_of

if TYPE_CHECKING:
    import grpc

logger = logging.getLogger("replaystack.flight")

_CODES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "UNAUTHENTICATED",
    404: "NOT_FOUND",
    408: "DEADLINE_EXCEEDED",
    413: "RESOURCE_EXHAUSTED",
    429: "RESOURCE_EXHAUSTED",
    499: "CANCELLED",
    501: "UNIMPLEMENTED",
    503: "UNAVAILABLE",
}
_RETRY_HEADER = "retry-after"


class Call:
    """A call of an admitted caller; `actor` is the name of its key."""

    def __init__(
        self,
        actor: str,
        token: str,
        requests: AsyncIterator[bytes],
        context: grpc.aio.ServicerContext[Any, Any],
        arriving: BytesInFlight,
        timeout_s: float,
    ) -> None:
        self.actor = actor
        self.token = token
        self.context = context
        self._requests = requests
        self._arriving = arriving
        self._timeout_s = timeout_s

    async def message(self) -> bytes | None:
        """Returns the next message, None at their end. Raises RequestTimeout, Unavailable."""
        share = Share(self._arriving)
        try:
            await share.count(1)
            return await share.wait(lambda: anext(self._requests, None), self._timeout_s)
        except TimeoutError:
            raise RequestTimeout(
                f"A message did not arrive within the {self._timeout_s:g} s of the setting body_timeout_s."
            ) from None
        except NoRoom:
            raise Unavailable(
                "More calls send at once than there is room for. Try again.", retry_after=1
            ) from None
        finally:
            share.release()

    async def only_message(self) -> bytes:
        """Raises Invalid, and the errors of `message`."""
        message = await self.message()
        if message is None:
            raise Invalid("The call has no message.")
        return message

    async def send(self, message: bytes) -> None:
        """Returns once the client is ready for more."""
        await self.context.write(message)


Method = Callable[[Call], Awaitable[None]]


def served(method: Method, admission: Admission, arriving: BytesInFlight, timeout_s: float) -> Any:
    """Returns the handler of a method, for the streams of requests and of responses that gRPC makes of every call."""

    async def handler(requests: AsyncIterator[bytes], context: grpc.aio.ServicerContext[Any, Any]) -> None:
        try:
            token = _token(authorization_of(context))
            actor, _ = await admission.admitted(f"Bearer {token}" if token else "", address_of(context))
            await method(Call(actor, token, requests, context, arriving, timeout_s))
            return
        except ReplaystackError as error:
            refusal = error
        except RuntimeError as error:
            # The event loop of the server has ended.
            logger.warning("a call of Arrow Flight ended with the server: %s", error)
            refusal = Unavailable("The server is shutting down.", retry_after=5)
        except asyncio.CancelledError:
            raise
        except Exception:
            logger.exception("a call of Arrow Flight failed")
            refusal = ReplaystackError("The server failed to answer this call. Its log has the reason.")
        await _refuse(context, refusal)

    return handler


async def _refuse(context: grpc.aio.ServicerContext[Any, Any], refusal: ReplaystackError) -> None:
    import grpc

    code = grpc.StatusCode[_CODES.get(refusal.status, "INTERNAL")]
    trailing = ((_RETRY_HEADER, str(refusal.retry_after)),) if refusal.retry_after else ()
    await context.abort(code, refusal.detail, trailing)


def _token(authorization: str) -> str:
    """Returns the key in a header: that of `Bearer`, or the password of `Basic`, whatever its user name."""
    scheme, _, given = authorization.partition(" ")
    if scheme.lower() == "bearer":
        return given.strip()
    if scheme.lower() != "basic":
        return ""
    given = given.strip()
    try:
        # Go's client leaves the padding out.
        text = base64.b64decode(given + "=" * (-len(given) % 4), validate=True).decode()
    except (binascii.Error, ValueError):
        raise Invalid("authorization: it is not `Basic` with a user name and a key in Base64.") from None
    return text.partition(":")[2]
