"""The load of the telemetry crash test: senders that export until their server is killed, and what they know by then."""

from __future__ import annotations

import gzip
import threading

import httpx
from msgspec import Struct

from tests.server.process import Replaystack
from tests.server.telemetry import PROTOBUF, Telemetry
from tests.telemetry.otlp_requests import BASE_NS, PlainSpan, trace_request

SMALL, LARGE = 2, 32
"""Traces of a request. The server decodes small ones by itself, others in a process of its own."""
SPANS_OF_A_TRACE = 16
FILLED = 0
"""The round before the first."""


class Request(Struct):
    """A request of so many traces with 16 spans each; `number` is its own among all, `round` that in which it is
    first sent."""

    number: int
    round: int
    traces: int
    acknowledged: bool = False
    tries: int = 0

    @property
    def body(self) -> bytes:
        """Always the same bytes: a sender repeats what was not acknowledged."""
        body = _TEMPLATES[self.traces].replace(_MARK.to_bytes(8, "big"), self._high.to_bytes(8, "big"))
        return body.replace(round_text(0).encode(), round_text(self.round).encode())

    @property
    def plain(self) -> list[PlainSpan]:
        return _plain(self.traces, self._high, round_text(self.round))

    @property
    def trace_ids(self) -> list[str]:
        return [f"{self._high:016x}{trace:016x}" for trace in range(1, self.traces + 1)]

    @property
    def spans(self) -> list[tuple[str, str]]:
        """Trace id and span id of each."""
        return [(trace_id, f"{span:016x}") for trace_id in self.trace_ids for span in _SPANS]

    @property
    def _high(self) -> int:
        """The first half of its trace ids."""
        return 0x7E57_0000_0000_0000 + self.number


def round_text(number: int) -> str:
    """The attribute `round` of all spans that were first sent in that round."""
    return f"round {number:05}"


class Senders:
    """Five senders: of large requests, of small ones, two that compress these, and one that reads each of its requests
    back. What a sender could not deliver it delivers first when it begins again."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.surprises: list[str] = []
        self.round = 0
        self._unfinished: dict[str, Request] = {}
        self._numbers = threading.Lock()
        self._threads: list[threading.Thread] = []

    def fill(self, server: Replaystack, spans: int) -> None:
        """Sends so many spans to a server that lives on."""
        with server.http() as http:
            for _ in range(0, spans, LARGE * SPANS_OF_A_TRACE):
                self._send(http, "large")

    def begin(self, server: Replaystack) -> None:
        self.round += 1
        self._threads = [
            threading.Thread(target=self._until_it_is_gone, args=(server.url, sender))
            for sender in ("large", "small", "large gzip", "small gzip", "small reading")
        ]
        for thread in self._threads:
            thread.start()

    def end(self) -> None:
        """Returns when all have noticed that the server is gone."""
        for thread in self._threads:
            thread.join(30)
            assert not thread.is_alive(), "a sender still waits for a server that was killed"

    def deliver(self, server: Replaystack) -> None:
        """Everything that was not acknowledged so far."""
        with server.http() as http:
            for sender in list(self._unfinished):
                while sender in self._unfinished:
                    self._send(http, sender)

    def _until_it_is_gone(self, url: str, sender: str) -> None:
        with httpx.Client(base_url=url, trust_env=False, timeout=20) as http:
            try:
                while True:
                    self._send(http, sender)
            except httpx.TransportError:
                return
            except Exception as surprise:
                self.surprises.append(repr(surprise))

    def _send(self, http: httpx.Client, sender: str) -> None:
        request = self._unfinished.get(sender) or self._new(sender)
        request.tries += 1
        body, headers = request.body, PROTOBUF
        if "gzip" in sender:
            body, headers = gzip.compress(body, 1), PROTOBUF | {"content-encoding": "gzip"}
        answer = http.post("/v1/traces", content=body, headers=headers)
        if answer.status_code == 503:
            return
        assert answer.status_code == 200 and answer.content == b"", answer.text
        request.acknowledged = True
        del self._unfinished[sender]
        if "reading" in sender:
            found = Telemetry(http).trace_spans(request.trace_ids[-1])
            assert len(found) == SPANS_OF_A_TRACE, f"what was acknowledged has {len(found)} spans"

    def _new(self, sender: str) -> Request:
        with self._numbers:
            request = Request(len(self.requests), self.round, LARGE if "large" in sender else SMALL)
            self.requests.append(request)
        self._unfinished[sender] = request
        return request


def _plain(traces: int, high: int, of_round: str) -> list[PlainSpan]:
    return [
        PlainSpan(
            trace=(high << 64) + trace,
            span=span,
            parent=None if span == _SPANS[0] else _SPANS[0],
            name=f"step {span % 16}",
            start_ns=BASE_NS + trace * 1_000_000 + span % 16 * 1_000,
            end_ns=BASE_NS + trace * 1_000_000 + 900_000,
            attributes={
                "round": of_round,
                "n": span % 16,
                "text": f"words of span {span}",
                "gen_ai.request.model": f"model-{trace % 5}",
                "gen_ai.usage.input_tokens": trace,
            },
            resource={"service.name": "crash"},
            scope="senders",
        )
        for trace in range(1, traces + 1)
        for span in _SPANS
    ]


_SPANS = range(0x0B0B_0000_0000_0100, 0x0B0B_0000_0000_0100 + SPANS_OF_A_TRACE)
_MARK = 0x5A5B_5C5D_5E5F_5051
_TEMPLATES = {traces: trace_request(_plain(traces, _MARK, round_text(0))) for traces in (SMALL, LARGE)}
