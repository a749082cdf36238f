"""Events of `benchmark/<benchmark_id>`. A benchmark holds references to its jobs, never their rows or results.

An id may be used again after it was unregistered; job numbers continue from the last one and are never used
twice.
"""

from __future__ import annotations

from msgspec import Raw

from schemas.events.base import Deletion, Event


class BenchmarkRegistered(Event, frozen=True, tag="benchmark.registered.1"):
    """`metadata` is the JSON object that was sent."""

    dataset_id: str
    scoring_functions: list[str]
    provider_id: str
    provider_resource_id: str
    metadata: Raw = Raw(b"{}")


class BenchmarkJobScheduled(Event, frozen=True, tag="benchmark.job_scheduled.1"):
    """Appended together with the job's `evaljob.scheduled`; its version in this stream makes a second job of
    the same number a conflict. `job_id` is the number, or the id of an evaluation of rows that were sent with
    a request."""

    job_id: str


class BenchmarkJobClosed(Event, frozen=True, tag="benchmark.job_closed.1"):
    """Appended together with the end of the job: a benchmark can be unregistered only if none of its jobs is
    open."""

    job_id: str
    status: str


class BenchmarkUnregistered(Deletion, frozen=True, tag="benchmark.unregistered.1"):
    """The content of the benchmark and of its jobs is redacted in the same transaction. `next_job` is the
    number that the next job would have had."""

    next_job: int


EVENTS = (BenchmarkRegistered, BenchmarkJobScheduled, BenchmarkJobClosed, BenchmarkUnregistered)
BenchmarkEvent = BenchmarkRegistered | BenchmarkJobScheduled | BenchmarkJobClosed | BenchmarkUnregistered
