"""Decodes requests one after the other, outside of the caller's thread: small ones in a thread, others in a
process."""

from __future__ import annotations

import logging
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Protocol

from telemetry.log.port import Content
from telemetry.store.decoding_worker import Answer, Question, answer_of, answer_to, encode
from telemetry.wire.decoded import Decoded
from telemetry.wire.refusals import Malformed, TooLarge

logger = logging.getLogger("replaystack.telemetry")

SMALL_BYTES = 16_384
"""Up to this size in bytes decoding takes less time than the overhead of the process."""


class DecodingProcess(Protocol):
    """A process with `decoding_worker.answer`, started on first use, and restarted after it has ended. Used
    by one thread."""

    def ask(self, task: bytes, /) -> bytes:
        """Blocks. Raises OSError if the process has not responded in time, or has ended."""

    def close(self) -> None:
        """Ends the process."""


class Decoder:
    def __init__(self, process: DecodingProcess) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="decoding")
        self._process = process

    def decode(self, content: Content, body: bytes, max_bytes: int) -> Future[Decoded]:
        """Like `receive`; thread-safe. Raises RuntimeError after `close`."""
        return self._thread.submit(self._decode, content, body, max_bytes)

    def _decode(self, content: Content, body: bytes, max_bytes: int) -> Decoded:
        question = Question(*content, max_bytes, body)
        if content.compression == "identity" and len(body) <= SMALL_BYTES:
            answered = answer_to(question)
        else:
            answered = self._ask(encode(question))
        match answered.refused:
            case "malformed":
                raise Malformed(answered.reason)
            case "too large":
                raise TooLarge(answered.reason)
        assert answered.decoded is not None
        return answered.decoded

    def _ask(self, question: bytes) -> Answer:
        """A process that has ended is replaced once; a request that ends a second one too is refused."""
        for is_last in (False, True):
            try:
                return answer_of(self._process.ask(question))
            except OSError as error:
                logger.warning("the process that decodes telemetry has ended: %s", error)
                if is_last:
                    raise Malformed(
                        "The request could not be decoded: it takes too long or too much."
                    ) from None
        raise AssertionError

    def close(self) -> None:
        self._thread.shutdown(wait=True, cancel_futures=True)
        self._process.close()
