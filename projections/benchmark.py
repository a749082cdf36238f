"""Existing benchmarks, in the order of registration."""

from __future__ import annotations

from msgspec import Raw, Struct
from msgspec.json import Decoder

from projections.warehouse.plan import ReadModel
from projections.warehouse.reader import NOW, Reader, Row
from schemas.api.benchmark import Benchmark

# Runs after the jobs' statements: a deletion must also cover what the same batch has just written.
READ_MODEL = ReadModel(
    name="benchmark",
    tables=("benchmarks", "benchmark_deletions"),
    apply=(
        "benchmark_registered",
        "benchmark_deletion",
        "benchmark_deleted",
        "benchmark_deleted_evaljob_changes",
        "benchmark_deleted_evaljob_rows",
    ),
    queries=("benchmarks", "benchmark_by_id", "benchmark_jobs"),
)


class _Registered(Struct, frozen=True):
    dataset_id: str
    scoring_functions: list[str]
    provider_id: str
    provider_resource_id: str
    metadata: Raw = Raw(b"{}")


class BenchmarkJob(Struct, frozen=True):
    """`agent_id` is the agent that was created for the job; empty if the candidate is a model."""

    job_id: str
    agent_id: str


_registered = Decoder(_Registered)


def listing(reader: Reader, as_of: int | None = None) -> list[Benchmark]:
    """Returns all benchmarks in the order of registration. `as_of` is a position of the log (None: now)."""
    rows = reader.read("benchmarks", {"as_of": NOW if as_of is None else as_of})
    return [_benchmark(reader, row) for row in rows]


def get(reader: Reader, benchmark_id: str, as_of: int | None = None) -> Benchmark | None:
    """Returns None if the benchmark is unknown or unregistered."""
    params = {"benchmark_id": benchmark_id, "as_of": NOW if as_of is None else as_of}
    rows = reader.read("benchmark_by_id", params)
    return _benchmark(reader, rows[0]) if rows else None


def jobs(reader: Reader, benchmark_id: str) -> list[BenchmarkJob]:
    """Returns all jobs, including ended ones and those of rows that were sent with a request."""
    return [BenchmarkJob(*row) for row in reader.read("benchmark_jobs", {"benchmark_id": benchmark_id})]


def _benchmark(reader: Reader, row: Row) -> Benchmark:
    benchmark_id, event = row
    registered = _registered.decode(reader.hydrate(event.encode()))
    return Benchmark(
        identifier=benchmark_id,
        provider_resource_id=registered.provider_resource_id,
        provider_id=registered.provider_id,
        dataset_id=registered.dataset_id,
        scoring_functions=registered.scoring_functions,
        metadata=registered.metadata,
    )
