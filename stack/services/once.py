"""Never twice: a repeated POST gets the first one's answer and has no second effect.

Two ways a repetition is known: `Idempotency-Key` (kept 24 h; the same key with another body is a conflict), and
`x-stainless-retry-count` above 0, which the Python clients send on their automatic retries (the same path and
body within 10 minutes). What the log remembers is the command id of an append:

    key/<digest of caller, method, path, key>/<digest of body>
    req/<digest of caller, method, path, body>/<id>

so a repetition is recognised after a crash too. Only refused requests (4xx) of a key are kept in memory.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections import OrderedDict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from msgspec import Struct

from stack.errors import Conflict, Invalid, ReplaystackError
from stack.eventstore import EventStore, split_stream
from stack.services.effects import new_id

KEY_KEPT_S = 24 * 3600
RETRY_KEPT_S = 600
MAX_KEY_CHARACTERS = 255
KEPT_REFUSALS = 4096


class Post(Struct, frozen=True):
    """A POST as far as repetition is concerned. `retry` is the client's retry count, 0 for a first try."""

    actor: str
    path: str
    body: bytes
    key: str = ""
    retry: int = 0


class Ticket:
    """The right to do what a POST asks for, once.

    `prior` holds the streams that the first request wrote, by category (`{"turn": id, ...}`), when this one
    repeats it, and `position` that of its first event; otherwise do the work under `command`.
    """

    def __init__(self, command: str, prior: dict[str, str] | None = None, position: int = 0) -> None:
        self.command = command
        self.prior = prior
        self.position = position


class _Refusal(Struct, frozen=True):
    body_digest: str
    error: ReplaystackError
    at: float


class _UnderWay:
    """A request that has begun. `works_for` is the digest of its body once it is known to be the first of its key; until
    then it may be the one that conflicts."""

    def __init__(self) -> None:
        self.works_for = ""
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()


class Once:
    def __init__(self, store: EventStore) -> None:
        self._store = store
        self._under_way: dict[str, _UnderWay] = {}
        self._refusals: OrderedDict[str, _Refusal] = OrderedDict()

    @asynccontextmanager
    async def only(self, post: Post) -> AsyncIterator[Ticket]:
        """Hold this around the work. Raises Conflict for a key that was used with another body, and repeats
        the refusal that a key got before."""
        if len(post.key) > MAX_KEY_CHARACTERS:
            raise Invalid(f"Idempotency-Key is longer than {MAX_KEY_CHARACTERS} characters.")
        prefix, body_digest = await _digests(post)
        repeatable = bool(post.key or post.retry)
        while repeatable and (other := self._under_way.get(prefix)) is not None:
            if post.key and other.works_for not in ("", body_digest):
                raise _other_body(post.key)
            await asyncio.shield(other.ended)
        own = _UnderWay()
        first = self._under_way.setdefault(prefix, own) is own
        try:
            prior = await self._prior(post, prefix, body_digest) if repeatable else None
            if prior is not None:
                yield prior
                return
            own.works_for = body_digest
            try:
                yield Ticket(f"{prefix}{body_digest if post.key else new_id()}")
            except ReplaystackError as error:
                # Of the work alone: a conflict that another body ran into above is not the key's answer.
                if post.key and 400 <= error.status < 500 and error.status != 429:
                    self._remember(prefix, body_digest, error)
                raise
        finally:
            if first:
                del self._under_way[prefix]
            own.ended.set_result(None)

    async def _prior(self, post: Post, prefix: str, body_digest: str) -> Ticket | None:
        refusal = self._refusals.get(prefix)
        if refusal is not None and time.monotonic() - refusal.at < KEY_KEPT_S:
            if refusal.body_digest != body_digest:
                raise _other_body(post.key)
            raise refusal.error
        kept_s = KEY_KEPT_S if post.key else RETRY_KEPT_S
        command = await self._store.find_command(prefix, int((time.time() - kept_s) * 1e6))
        if command is None:
            return None
        if post.key and command.command != prefix + body_digest:
            raise _other_body(post.key)
        streams = [split_stream(stream) for stream in command.streams]
        prior = {category: stream_id for _, category, stream_id in streams}
        return Ticket("", prior, command.first_position)

    def _remember(self, prefix: str, body_digest: str, error: ReplaystackError) -> None:
        self._refusals[prefix] = _Refusal(body_digest, error, time.monotonic())
        while len(self._refusals) > KEPT_REFUSALS:
            self._refusals.popitem(last=False)


def _other_body(key: str) -> Conflict:
    return Conflict(
        f"Idempotency-Key {key[:40]!r} was used with another body. Use a new key for a new request."
    )


async def _digests(post: Post) -> tuple[str, str]:
    """The prefix of the command ids that a repetition of this POST would have, and the digest of its body."""
    if len(post.body) > 2**20:
        body_digest = await asyncio.to_thread(_digest, post.body)
    else:
        body_digest = _digest(post.body)
    if post.key:
        scope = _digest("\0".join(("POST", post.actor, post.path, post.key)).encode())
        return f"key/{scope}/", body_digest
    scope = _digest("\0".join(("POST", post.actor, post.path, body_digest)).encode())
    return f"req/{scope}/", body_digest


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:32]
