"""Benchmarks: a dataset and the functions that score the answers generated for its rows (spec tag:
Benchmarks)."""

from __future__ import annotations

from typing import Literal

from msgspec import Raw, Struct


class RegisterBenchmarkRequest(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Registers a benchmark. The values of `metadata` are kept as JSON text."""

    benchmark_id: str
    dataset_id: str
    scoring_functions: list[str]
    provider_benchmark_id: str | None = None
    provider_id: str | None = None
    metadata: dict[str, Raw] | None = None


class Benchmark(Struct, frozen=True, kw_only=True):
    identifier: str
    provider_resource_id: str
    provider_id: str
    type: Literal["benchmark"] = "benchmark"
    dataset_id: str
    scoring_functions: list[str]
    metadata: Raw


class ListBenchmarksResponse(Struct, frozen=True):
    data: list[Benchmark]
