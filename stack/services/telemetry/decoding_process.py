"""The process that decodes larger requests of telemetry."""

from __future__ import annotations

from stack.workers.limits import Limits
from stack.workers.pool import OneWorker
from stack.workers.process import Spec
from telemetry.store import decoding_worker


def decoding_process(wait_s: float = decoding_worker.ANSWER_S) -> OneWorker:
    limits = Limits(memory_bytes=decoding_worker.MEMORY_BYTES, wait_s=wait_s)
    return OneWorker(Spec(module=decoding_worker.__name__, limits=limits))
