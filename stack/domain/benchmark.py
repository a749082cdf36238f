"""Benchmarks: which benchmarks may be registered, and the numbers of their jobs."""

from __future__ import annotations

from msgspec import Raw, Struct, json
from msgspec.structs import replace

from schemas.api.benchmark import RegisterBenchmarkRequest
from schemas.events.base import Erased, Event
from schemas.events.benchmark import (
    BenchmarkJobClosed,
    BenchmarkJobScheduled,
    BenchmarkRegistered,
    BenchmarkUnregistered,
)
from stack.domain.benchmark_path import split_path
from stack.domain.chosen_id import check_chosen_id
from stack.errors import Conflict, Invalid, NotFound

PROVIDER = "replaystack"
MAX_SCORING_FUNCTIONS = 64
MAX_OPEN_JOBS = 1_000


class BenchmarkState(Struct, frozen=True):
    """`definition` is None before registration and after unregistration. `next_job` is the number of the next
    job, `open_jobs` holds the ids of the jobs that have not ended."""

    definition: BenchmarkRegistered | None = None
    next_job: int = 0
    open_jobs: frozenset[str] = frozenset()


def evolve(state: BenchmarkState, event: Event, recorded_at: int, version: int) -> BenchmarkState:
    match event:
        case BenchmarkRegistered():
            return replace(state, definition=event)
        case BenchmarkJobScheduled(job_id=job_id):
            next_job = int(job_id) + 1 if is_number(job_id) else state.next_job
            return replace(state, next_job=next_job, open_jobs=state.open_jobs | {job_id})
        case BenchmarkJobClosed(job_id=job_id):
            return replace(state, open_jobs=state.open_jobs - {job_id})
        case BenchmarkUnregistered(next_job=next_job):
            return BenchmarkState(next_job=next_job)
    return state


def existing(state: BenchmarkState, benchmark_id: str) -> BenchmarkRegistered:
    """Returns the registration. Raises NotFound if the benchmark never existed or was unregistered."""
    if state.definition is None:
        raise unknown(benchmark_id)
    return state.definition


def unknown(benchmark_id: str) -> NotFound:
    return NotFound(f"There is no benchmark {benchmark_id!r}. List the benchmarks to see their ids.")


def definition(request: RegisterBenchmarkRequest) -> BenchmarkRegistered:
    """Converts a request to the event that registers it, with defaults filled in. Raises Invalid."""
    check_id(request.benchmark_id)
    if not request.dataset_id:
        raise Invalid("dataset_id is empty; name a dataset.")
    check_functions(request.scoring_functions)
    return BenchmarkRegistered(
        dataset_id=request.dataset_id,
        scoring_functions=request.scoring_functions,
        provider_id=request.provider_id or PROVIDER,
        provider_resource_id=request.provider_benchmark_id or request.benchmark_id,
        metadata=Raw(json.encode(request.metadata or {})),
    )


def register(state: BenchmarkState, wanted: BenchmarkRegistered, benchmark_id: str) -> list[Event]:
    """Returns no events if it is registered with the same values. Raises Conflict if the values differ."""
    if state.definition is None:
        return [wanted]
    fields = ("dataset_id", "scoring_functions", "provider_id", "provider_resource_id")
    differing = [field for field in fields if getattr(state.definition, field) != getattr(wanted, field)]
    if json.decode(state.definition.metadata) != json.decode(wanted.metadata):
        differing.append("metadata")
    if differing:
        raise Conflict(
            f"benchmark_id {benchmark_id!r} is registered with another {' and '.join(differing)}. Choose another "
            "id, or unregister that one first."
        )
    return []


def schedule_job(state: BenchmarkState) -> tuple[str, list[Event]]:
    """Returns the id of the next job and the events that schedule it. Raises Conflict if too many jobs are
    open."""
    job_id = str(state.next_job)
    return job_id, schedule_evaluation(state, job_id)


def schedule_evaluation(state: BenchmarkState, job_id: str) -> list[Event]:
    """Like `schedule_job`, for rows that were sent with a request, under a separate id."""
    if len(state.open_jobs) >= MAX_OPEN_JOBS:
        raise Conflict(
            f"{len(state.open_jobs)} jobs of this benchmark are scheduled or running; at most {MAX_OPEN_JOBS} may "
            "be. Wait for some to end, or cancel them."
        )
    return [BenchmarkJobScheduled(job_id=job_id)]


def close_job(job_id: str, status: str) -> list[Event]:
    return [BenchmarkJobClosed(job_id=job_id, status=status)]


def unregister(state: BenchmarkState, erased: Erased) -> list[Event]:
    """Raises Conflict while a job is open."""
    if state.open_jobs:
        raise Conflict(f"Jobs of this benchmark are running: {', '.join(sorted(state.open_jobs)[:20])}.")
    return [BenchmarkUnregistered(next_job=state.next_job, erased=erased)]


def check_id(benchmark_id: str) -> None:
    """Raises Invalid for an id that a path cannot contain, or that looks like a path under another
    benchmark."""
    check_chosen_id(benchmark_id, "benchmark_id")
    found = split_path(benchmark_id)
    if found.below:
        raise Invalid(
            f"benchmark_id is {benchmark_id!r}, which is also the path {found.below!r} of a benchmark "
            f"{found.benchmark_id!r}. Choose another id."
        )


def check_functions(names: list[str], where: str = "scoring_functions") -> None:
    """Raises Invalid for duplicate names and for more than 64 names."""
    if len(names) > MAX_SCORING_FUNCTIONS:
        raise Invalid(f"{where} has {len(names)} names; at most {MAX_SCORING_FUNCTIONS} are allowed.")
    for index, name in enumerate(names):
        if name in names[:index]:
            raise Invalid(f"{where}[{index}] is {name!r} for the second time; names must differ.")


def is_number(job_id: str) -> bool:
    """Returns whether the id is the number of a job in its canonical form."""
    return job_id.isascii() and job_id.isdigit() and (job_id == "0" or job_id[0] != "0")
