"""Decodes requests one after the other, outside of the caller: small ones in a thread, others in a process."""

from __future__ import annotations

import logging
import os
import select
import subprocess
import sys
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import telemetry
from telemetry.log.port import Content
from telemetry.store.decoding_worker import (
    Answer,
    Question,
    answer,
    answer_of,
    encode,
    read_frame,
    write_frame,
)
from telemetry.wire.decoded import Decoded
from telemetry.wire.refusals import Malformed, TooLarge

logger = logging.getLogger("replaystack.telemetry")

SMALL_BYTES = 16_384
"""Up to here decoding takes less time than what the process adds."""
ANSWER_S = 60.0
"""A request of 20 MiB takes half a second."""


class Decoder:
    """Its process is started when it is needed for the first time, and again when it has ended."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="decoding")
        self._worker: _Worker | None = None

    def decode(self, content: Content, body: bytes, max_bytes: int) -> Future[Decoded]:
        """As `receive`; any thread. Raises RuntimeError once it is closed."""
        return self._thread.submit(self._decode, content, body, max_bytes)

    def _decode(self, content: Content, body: bytes, max_bytes: int) -> Decoded:
        question = Question(*content, max_bytes, body)
        if content.compression == "identity" and len(body) <= SMALL_BYTES:
            answered = answer(question)
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
        """A process that is gone is replaced once; a request that a second one does not survive is refused."""
        for is_last in (False, True):
            if self._worker is None:
                self._worker = _Worker()
            try:
                return self._worker.ask(question)
            except _Ended as ended:
                self._worker.end()
                self._worker = None
                logger.warning("the process that decodes telemetry has ended: %s", ended)
                if is_last:
                    raise Malformed(
                        "The request could not be decoded: it takes too long or too much."
                    ) from None
        raise AssertionError

    def close(self) -> None:
        self._thread.shutdown(wait=True, cancel_futures=True)
        if self._worker is not None:
            self._worker.end()
            self._worker = None


class _Ended(Exception):
    """The process has not answered."""


class _Worker:
    def __init__(self) -> None:
        root = str(Path(telemetry.__file__).parents[1])
        # It needs nothing of the server's environment, and there may be keys in it.
        environment = {"PYTHONPATH": root, "PATH": os.environ.get("PATH", ""), "LANG": "C.UTF-8"}
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "telemetry.store.decoding_worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
            start_new_session=True,
            pipesize=2**20 if sys.platform == "linux" else -1,
        )
        self._answers = select.poll()
        assert self._process.stdout is not None
        self._answers.register(self._process.stdout, select.POLLIN)

    @property
    def pid(self) -> int:
        return self._process.pid

    def ask(self, question: bytes) -> Answer:
        """Blocks. Raises _Ended."""
        process = self._process
        assert process.stdin is not None and process.stdout is not None
        try:
            write_frame(process.stdin.fileno(), question)
            if not self._answers.poll(ANSWER_S * 1000):
                raise _Ended(f"no answer within {ANSWER_S:g} s")
            frame = read_frame(process.stdout.read)
        except OSError as error:
            raise _Ended(str(error)) from None
        if not frame:
            raise _Ended(f"code {process.wait()}")
        return answer_of(frame)

    def end(self) -> None:
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
