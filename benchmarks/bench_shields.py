"""Shields that ask no model, on a text of 2 kB: through the effects port, with their spans, in one process."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from statistics import median
from typing import Any

import msgspec

from benchmarks.report import standalone
from benchmarks.result import Result, of_rounds
from benchmarks.texts import Texts
from stack.providers.shields.port import ShieldMessage, ShieldRequest
from stack.providers.shields.registry import Shields
from stack.providers.shields.settings import ShieldSettings
from stack.providers.shields.settings_check import check
from stack.services.effects import RealEffects
from stack.services.safety.judging import judge
from telemetry.own.metrics import Metrics
from telemetry.own.model_call import ModelCalls
from telemetry.own.tracing import Tracing

CHARACTERS = 2_000
BAR_MS = 1.0
PATTERNS = {
    "aws-key": "AKIA[0-9A-Z]{16}",
    "mail-address": r"(?i)[a-z0-9._%+-]+@[a-z0-9.-]+\.[a-z]{2,}",
    "card": r"\b(?:\d[ -]?){13,16}\b",
    "phone": r"\+\d{1,3}[ -]?\d{2,4}[ -]?\d{4,8}",
    "private-key": "-----BEGIN [A-Z ]*PRIVATE KEY-----",
}
SETTINGS: list[dict[str, Any]] = [
    {
        "id": "pattern",
        "kind": "pattern",
        "patterns": [{"name": n, "pattern": p} for n, p in PATTERNS.items()],
    },
    {"id": "prompt-length", "kind": "prompt-length", "max_characters": 100_000, "max_tokens": 100_000},
    {"id": "injection", "kind": "injection"},
]


async def _unasked(model: str, prompt: str, labels: Mapping[str, str]) -> str:
    raise RuntimeError("no model is asked")


async def _medians(shield_ids: list[str], rounds: int, checks: int) -> list[float]:
    settings = [msgspec.convert(one, ShieldSettings) for one in SETTINGS if one["id"] in shield_ids]
    for one in settings:
        check(one)
    shields = Shields(settings, _unasked)
    tracing = Tracing(None)
    effects = RealEffects(ModelCalls(tracing, Metrics(enabled=False)), tracing)
    text = Texts().text(400)[:CHARACTERS]
    request = ShieldRequest(checked=[ShieldMessage("user", text)])

    async def took_ms() -> float:
        begun = time.perf_counter()
        if await judge(effects, list(shields.by_id.values()), request, "user-input") is not None:
            raise RuntimeError("a shield objects to a harmless text")
        return (time.perf_counter() - begun) * 1_000

    try:
        for _ in range(5):
            await took_ms()
        return [median([await took_ms() for _ in range(checks)]) for _ in range(rounds)]
    finally:
        await shields.aclose()


def run(quick: bool) -> list[Result]:
    """Medians of one judgement."""
    rounds, checks = (3, 50) if quick else (9, 200)
    measured = [
        ("pattern (5 patterns)", ["pattern"], BAR_MS),
        ("prompt-length", ["prompt-length"], BAR_MS),
        ("both at the same time", ["pattern", "prompt-length"], BAR_MS),
        ("injection, in its worker process", ["injection"], None),
    ]
    return [
        of_rounds(f"shields on 2 kB: {name}, p50", asyncio.run(_medians(ids, rounds, checks)), "ms", bar)
        for name, ids, bar in measured
    ]


if __name__ == "__main__":
    standalone(run, "shields", __doc__)
