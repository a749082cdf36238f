"""Decoding outside of the caller: the same answer from the thread and the process, whatever happens to that."""

from __future__ import annotations

import gzip
from collections.abc import Iterator

import psutil
import pytest

from stack.services.telemetry.decoding_process import decoding_process
from telemetry.log.port import Content
from telemetry.store import decoding_worker
from telemetry.store.decoding import SMALL_BYTES, Decoder
from telemetry.wire.refusals import Malformed, TooLarge
from tests.telemetry.otlp_requests import PlainSpan, trace_request

TRACES = Content("traces")
ZIPPED = Content("traces", "protobuf", "gzip")
MAX_BYTES = 2**22
LARGE = trace_request(
    [PlainSpan(trace=1, span=n + 1, attributes={"text": "x" * 100, "n": n}) for n in range(500)]
)


@pytest.fixture
def decoder() -> Iterator[Decoder]:
    made = Decoder(decoding_process())
    yield made
    made.close()


def test_the_process_answers_as_the_thread_does(decoder: Decoder) -> None:
    small = trace_request([PlainSpan(trace=1, span=2, attributes={"a": [1, {"b": b"c"}]})])
    assert len(small) < SMALL_BYTES < len(LARGE)
    here = decoder.decode(TRACES, small, MAX_BYTES).result(20)
    there = decoder.decode(ZIPPED, gzip.compress(small), MAX_BYTES).result(20)
    assert here == there and here.accepted == 1
    assert decoder.decode(TRACES, LARGE, MAX_BYTES).result(20).accepted == 500


@pytest.mark.parametrize(
    ("content", "body"), [(TRACES, b"\xff" * 10), (TRACES, b"\xff" * 50_000), (ZIPPED, b"x")]
)
def test_what_is_malformed_is_so_on_both_ways(decoder: Decoder, content: Content, body: bytes) -> None:
    for _ in range(2):
        with pytest.raises(Malformed):
            decoder.decode(content, body, MAX_BYTES).result(20)
    with pytest.raises(TooLarge):
        decoder.decode(ZIPPED, gzip.compress(bytes(2 * MAX_BYTES)), MAX_BYTES).result(20)


@pytest.mark.slow
def test_a_process_that_is_gone_is_replaced(decoder: Decoder) -> None:
    for _ in range(3):
        assert decoder.decode(TRACES, LARGE, MAX_BYTES).result(20).accepted == 500
        (worker,) = [one for one in psutil.Process().children() if decoding_worker.__name__ in one.cmdline()]
        worker.kill()


def test_a_request_that_no_process_survives_is_refused() -> None:
    """No process answers so fast."""
    decoder = Decoder(decoding_process(wait_s=0.001))
    with pytest.raises(Malformed, match="could not be decoded"):
        decoder.decode(TRACES, LARGE, MAX_BYTES).result(20)
    small = trace_request([PlainSpan(trace=1, span=2)])
    assert decoder.decode(TRACES, small, MAX_BYTES).result(20).accepted == 1
    decoder.close()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("content", "body"),
    [
        (
            Content("traces", "json"),
            b'{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"%032x","spanId":"%016x","attributes":['
            % (1, 1)
            + b"0," * 10_000_000
            + b"0]}]}]}]}",
        ),
        (Content("logs", "json"), b'{"resourceLogs":[' + b"{}," * 6_000_000 + b"{}]}"),
        (Content("metrics", "json"), b'{"resourceMetrics":' + b"[" * 10_000_000),
    ],
)
def test_a_request_of_nothings_is_refused_within_bounds(
    decoder: Decoder, content: Content, body: bytes
) -> None:
    with pytest.raises((Malformed, TooLarge)):
        decoder.decode(content, body, 2**25).result(60)
    assert decoder.decode(TRACES, LARGE, MAX_BYTES).result(20).accepted == 500


def test_nothing_is_decoded_once_it_is_closed() -> None:
    decoder = Decoder(decoding_process())
    decoder.close()
    with pytest.raises(RuntimeError):
        decoder.decode(TRACES, b"", MAX_BYTES)
