"""Performs a POST once: a repetition gets the first request's response and has no second effect.

A repetition is recognised in two ways: by `Idempotency-Key` (kept 24 h; the same key with another body is a
conflict), and by `x-stainless-retry-count` greater than 0, which the Python clients send on their automatic
retries (the same path and body within 10 minutes). The log identifies a POST by the command id of its append:

    key/<digest of caller, method, path, key>/<digest of body>[/<position of the key's previous, expired command>]
    req/<digest of caller, method, path, body>/<UUIDv7>

so a repetition is recognised after a crash too. Two processes that receive one key at the same time compute
the same command id, and the log accepts it from one of them. Only refused requests (4xx) of a key are kept in
memory.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

import uuid_utils
from cachetools import TTLCache
from msgspec import Struct

from stack.errors import Conflict, Invalid, ReplaystackError
from stack.eventstore import Command, CommandKnown, EventStore, split_stream
from stack.off_loop import off_loop_if
from stack.services.effects import new_id

KEY_KEPT_S = 24 * 3600
RETRY_KEPT_S = 600
MAX_KEY_CHARACTERS = 255
KEPT_REFUSALS = 4096

T = TypeVar("T")


class Post(Struct, frozen=True):
    """The parts of a POST that identify a repetition. `retry` is the client's retry count, 0 for a first
    attempt."""

    actor: str
    path: str
    body: bytes
    key: str = ""
    retry: int = 0

    @property
    def is_repeatable(self) -> bool:
        """Whether it may repeat an earlier POST."""
        return bool(self.key or self.retry)


class Prior(Struct, frozen=True):
    """The record of the first request: the ids of the streams that it wrote by category (`{"turn": id,
    ...}`), the position of its first event, and all its streams in order, as category and id."""

    ids: dict[str, str]
    position: int
    streams: tuple[tuple[str, str], ...] = ()


class _Refusal(Struct, frozen=True):
    body_digest: str
    error: ReplaystackError


class _Running:
    """A running request. `body_digest` is set once it is known to be the first of its key; until then it may
    be the one that conflicts."""

    def __init__(self) -> None:
        self.body_digest = ""
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()


class Once:
    """`clock_s` returns seconds since 1970."""

    def __init__(self, store: EventStore, clock_s: Callable[[], float] | None = None) -> None:
        self._store = store
        self._clock_s = clock_s or (lambda: time.time())
        self._running: dict[str, _Running] = {}
        self._refusals: TTLCache[str, _Refusal] = TTLCache(KEPT_REFUSALS, KEY_KEPT_S, self._clock_s)

    async def perform(self, post: Post, work: Callable[[str], Awaitable[T]]) -> T | Prior:
        """Returns the result of `work`, or the record of the request that `post` repeats.

        `work` is called at most once, with the command id under which it must append. Raises its errors, the
        earlier refusal of the same key, and Conflict for a key that was used with another body.
        """
        if len(post.key) > MAX_KEY_CHARACTERS:
            raise Invalid(f"Idempotency-Key is longer than {MAX_KEY_CHARACTERS} characters.")
        prefix, body_digest = await _digests(post)
        while post.is_repeatable and (other := self._running.get(prefix)) is not None:
            if post.key and other.body_digest not in ("", body_digest):
                raise _other_body(post.key)
            await asyncio.shield(other.ended)
        own = _Running()
        is_first = self._running.setdefault(prefix, own) is own
        try:
            command = f"{prefix}{body_digest}" if post.key else f"{prefix}{new_id()}"
            if post.is_repeatable:
                self._repeat_refusal(post, prefix, body_digest)
                newest = await self._store.find_command(prefix)
                if newest is not None and self._is_kept(post, newest):
                    if post.key and newest.command.removeprefix(prefix).partition("/")[0] != body_digest:
                        raise _other_body(post.key)
                    return _prior(newest)
                if newest is not None and post.key:
                    # The log still contains the command ids of expired keys, and accepts none of them twice.
                    command = f"{command}/{newest.first_position}"
            own.body_digest = body_digest
            return await self._perform(post, prefix, body_digest, command, work)
        finally:
            if is_first:
                del self._running[prefix]
            own.ended.set_result(None)

    async def _perform(
        self,
        post: Post,
        prefix: str,
        body_digest: str,
        command: str,
        work: Callable[[str], Awaitable[T]],
    ) -> T | Prior:
        try:
            return await work(command)
        except CommandKnown:
            # Another process has recorded the same request since the log was queried; `work` has recorded
            # nothing.
            recorded = await self._store.find_command(command)
            if recorded is None:
                raise
            return _prior(recorded)
        except ReplaystackError as error:
            if post.key and 400 <= error.status < 500 and error.status != 429:
                self._refusals[prefix] = _Refusal(body_digest, error)
            raise

    def _is_kept(self, post: Post, command: Command) -> bool:
        """Returns whether `post` repeats the command if it is the same request. A command with a time in the
        future was recorded, or followed one that was, while the clock was ahead: its key is kept until the
        clock has caught up (never twice), while a retry also needs the time in the command's id, which is the
        clock's."""
        now_s = self._clock_s()
        if post.key:
            return now_s - command.recorded_at / 1e6 <= KEY_KEPT_S
        made_s = uuid_utils.UUID(command.command.rpartition("/")[2]).timestamp / 1e3
        return now_s - command.recorded_at / 1e6 <= RETRY_KEPT_S and abs(now_s - made_s) <= RETRY_KEPT_S

    def _repeat_refusal(self, post: Post, prefix: str, body_digest: str) -> None:
        refusal = self._refusals.get(prefix)
        if refusal is None:
            return
        if refusal.body_digest != body_digest:
            raise _other_body(post.key)
        raise refusal.error


def _prior(command: Command) -> Prior:
    streams = tuple(split_stream(stream)[1:] for stream in command.streams)
    return Prior(dict(streams), command.first_position, streams)


def _other_body(key: str) -> Conflict:
    return Conflict(
        f"Idempotency-Key {key[:40]!r} was used with another body. Use a new key for a new request."
    )


async def _digests(post: Post) -> tuple[str, str]:
    """Returns the prefix of the command ids of repetitions of this POST, and the digest of its body."""
    body_digest = await off_loop_if(len(post.body) > 2**20, _digest, post.body)
    if post.key:
        scope = _digest("\0".join(("POST", post.actor, post.path, post.key)).encode())
        return f"key/{scope}/", body_digest
    scope = _digest("\0".join(("POST", post.actor, post.path, body_digest)).encode())
    return f"req/{scope}/", body_digest


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:32]
