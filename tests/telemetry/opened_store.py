"""A store of telemetry without a server, and spans to fill it with."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from projections.warehouse.instance import Warehouse
from stack.services.telemetry.decoding_process import decoding_process
from telemetry.log.port import Content
from telemetry.store.store import OnDamage, TelemetryStore
from telemetry.store.upkeep import Retention
from tests.telemetry.otlp_metrics import PlainPoint, metrics_request
from tests.telemetry.otlp_requests import BASE_NS, PlainSpan, trace_request

FOREVER = Retention(10_000.0, 2**40, 8_000)
SEALED = Retention(10_000.0, 2**40, 8_000, sealed_spans=100)
CHANCE = random.Random(7)


class Opened:
    """A store, its warehouse, and what its tables hold."""

    def __init__(self, folder: Path, retention: Retention, **flags: bool) -> None:
        self.folder = folder
        self.warehouse = Warehouse.open(folder)
        self.store = TelemetryStore(
            folder, self.warehouse, retention, decoding_process(), on_damage=OnDamage(**flags)
        )
        self.store.start()

    async def send(self, spans: Sequence[PlainSpan]) -> None:
        await self.send_raw("traces", trace_request(spans))

    async def send_raw(self, signal: Any, body: bytes) -> None:
        reservation = await self.store.intake.reserve(len(body))
        await self.store.intake.take(Content(signal), body, 2**24, reservation)

    async def rows(self, sql: str, **params: Any) -> list[Any]:
        await self.store.reached()
        with self.warehouse.snapshot() as snapshot:
            return snapshot.rows(sql, params)

    async def spans(self) -> list[tuple[str, str]]:
        return sorted(await self.rows("SELECT trace_id, span_id FROM now.spans"))

    async def contents(self) -> dict[str, list[Any]]:
        """All that readers can see, in an order of its own."""
        sql = {
            "spans": "SELECT * FROM now.spans ORDER BY ALL",
            "traces": "SELECT * FROM now.traces ORDER BY ALL",
            "pairs": "SELECT pair, start_ns, number FROM now.span_pairs UNION ALL "
            "SELECT unnest(pairs), start_ns, number FROM now.spans_recent ORDER BY ALL",
            "logs": "SELECT * FROM now.logs ORDER BY ALL",
            "streams": "SELECT * EXCLUDE (stream_id) FROM now.metric_streams ORDER BY ALL",
            "points": "SELECT s.name, s.labels, p.* EXCLUDE (stream_id) FROM now.metric_points AS p "
            "JOIN now.metric_streams AS s ON s.stream_id = p.stream_id ORDER BY ALL",
            "resources": "SELECT * FROM now.telemetry_resources ORDER BY ALL",
            "scopes": "SELECT * FROM now.telemetry_scopes ORDER BY ALL",
        }
        return {name: await self.rows(text) for name, text in sql.items()}

    async def close(self) -> None:
        await self.store.stop()
        self.warehouse.close()


@asynccontextmanager
async def opened(folder: Path, retention: Retention = FOREVER, **flags: bool) -> AsyncIterator[Opened]:
    made = Opened(folder, retention, **flags)
    try:
        yield made
    finally:
        await made.close()


def some(count: int, trace: int | None = None, **more: Any) -> list[PlainSpan]:
    of_all = trace or CHANCE.getrandbits(128) | 1
    ids = [CHANCE.getrandbits(64) | 1 for _ in range(count)]
    return [
        PlainSpan(
            trace=of_all,
            span=own,
            parent=ids[0] if number else None,
            name=f"step {number}",
            status=2 if number % 5 == 4 else 0,
            start_ns=BASE_NS + number,
            attributes={
                "number": number,
                "gen_ai.usage.input_tokens": 2,
                "gen_ai.request.model": f"m{number}",
            },
            resource={"service.name": f"service {number % 2}"},
            scope=f"scope {number % 3}",
            **more,
        )
        for number, own in enumerate(ids)
    ]


def ids_of(spans: Sequence[PlainSpan]) -> list[tuple[str, str]]:
    return sorted({(span.trace_id, span.span_id) for span in spans})


async def filled(made: Opened) -> list[PlainSpan]:
    sent: list[PlainSpan] = []
    traces = [CHANCE.getrandbits(128) | 1 for _ in range(5)]
    for number in range(12):
        sent += some(10, traces[number % 5])
        await made.send(sent[-10:])
        await made.send_raw(
            "metrics",
            metrics_request(
                [
                    PlainPoint(
                        metric=f"m{number % 3}",
                        kind="sum",
                        value=number,
                        time_ns=BASE_NS + number,
                        labels={"n": str(number % 2)},
                    )
                ]
            ),
        )
    return sent


async def until(condition: Callable[[], bool]) -> None:
    for _ in range(1200):
        if condition():
            return
        await asyncio.sleep(0.05)
    raise AssertionError("it did not come to that")
