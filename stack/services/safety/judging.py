"""Asks several shields at the same time, and closes if one of them does not decide."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

from schemas.events.payload import Violation
from stack.domain.shield import severest
from stack.errors import ReplaystackError, TooManyRequests, Unavailable, UpstreamFailed, UpstreamTimeout
from stack.providers.shields.port import Shield, ShieldRequest
from stack.services.effects import Effects

logger = logging.getLogger("replaystack.shields")

_KEPT = (TooManyRequests, Unavailable, UpstreamTimeout)


async def judge(
    effects: Effects, shields: Sequence[Shield], request: ShieldRequest, touchpoint: str = ""
) -> Violation | None:
    """Returns the severest objection, that of the first shield among equals. All shields are awaited, so that the outcome
    does not depend on their speed. Raises TooManyRequests, Unavailable, UpstreamFailed or UpstreamTimeout, which name the
    first shield that did not decide, whatever the others said."""
    found = await asyncio.gather(
        *(_judged(effects, shield, request, touchpoint) for shield in shields), return_exceptions=True
    )
    for one in found:
        if isinstance(one, BaseException):
            raise one
    return severest(one for one in found if not isinstance(one, BaseException))


async def _judged(
    effects: Effects, shield: Shield, request: ShieldRequest, touchpoint: str
) -> Violation | None:
    try:
        return await effects.check(shield, request, touchpoint)
    except TimeoutError:
        raise UpstreamTimeout(
            f"Shield {shield.id!r} did not decide within {shield.timeout_s:g} s, so nothing was passed on."
        ) from None
    except ReplaystackError as error:
        kind = type(error) if isinstance(error, _KEPT) else UpstreamFailed
        reason = f"Shield {shield.id!r} failed, so nothing was passed on: {error.detail}"
        raise kind(reason, retry_after=error.retry_after) from error
    except Exception:
        logger.exception("shield %s failed unexpectedly", shield.id)
        raise UpstreamFailed(
            f"Shield {shield.id!r} failed inside the server, so nothing was passed on. The server's log has the reason."
        ) from None
