"""Evaluation jobs: their status, and their results row by row."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Raw, Struct
from msgspec.json import Decoder, encode

from projections.job_status import ENDS, STATUS
from projections.warehouse.plan import ReadModel
from projections.warehouse.reader import NOW, PAGE_BYTES, Reader, Row, page_of, rfc3339
from schemas.api.error import Error
from schemas.api.evaljob import Job, JobOutcome, JobStatus
from schemas.api.turn import TurnUsage
from schemas.events.evaljob import AGENT_VERSION
from schemas.events.payload import EvalCandidate, TurnError

READ_MODEL = ReadModel(
    name="evaljob",
    tables=("evaljob_changes", "evaljob_rows"),
    views=("evaljobs", "evaljob_scores"),
    apply=("evaljob_changes", "evaljob_rows"),
    queries=(
        "evaljob_changes_of_job",
        "evaljob_progress",
        "evaljob_generations",
        "evaljob_score_rows",
        "evaljobs_of_benchmark",
        "open_evaljobs",
    ),
)

NOT_EVALUATED = "The row was not evaluated: the job ended before."
_NO_GENERATION = encode({"generated_answer": "", "error": NOT_EVALUATED}).decode()
_NO_SCORE = encode({"score": 0, "error": NOT_EVALUATED}).decode()

_JOB_BYTES = 64


class _Config(Struct, frozen=True):
    eval_candidate: EvalCandidate


class _Scheduled(Struct, frozen=True):
    num_rows: int
    config: _Config
    scoring_functions: list[str]
    dataset_id: str = ""
    dataset_version: int = 0
    agent_id: str = ""


class _Ended(Struct, frozen=True):
    aggregates: dict[str, Raw] = {}
    error: TurnError | None = None


_scheduled = Decoder(_Scheduled)
_ended = Decoder(_Ended)


class JobView(Struct, frozen=True):
    """A job and its status or end. `first` and `last` are the positions of its first and last events. There
    are results for `row_count` rows, from row 0 to the last one evaluated. `aggregates` maps functions to
    results."""

    benchmark_id: str
    outcome: JobOutcome
    candidate: EvalCandidate
    scoring_functions: list[str]
    aggregates: Mapping[str, Raw]
    first: int
    last: int
    row_count: int

    @property
    def job(self) -> Job:
        return Job(self.outcome.job_id, self.outcome.status)

    @property
    def has_ended(self) -> bool:
        return self.outcome.status in ENDS


def get(reader: Reader, benchmark_id: str, job_id: str, as_of: int | None = None) -> JobView | None:
    """Returns the job, or None if it is unknown, was deleted with its benchmark, or belongs to another
    benchmark. `as_of` is a position of the log (None: now)."""
    until = NOW if as_of is None else as_of
    job = {"benchmark_id": benchmark_id, "job_id": job_id}
    rows = reader.read("evaljob_changes_of_job", job | {"as_of": until})
    # Without its first event it is what remains of a job whose content was redacted.
    if not rows or rows[0][0] != "scheduled":
        return None
    first, last = rows[0][3], rows[-1][3] if rows[-1][0] in ENDS else until
    [progress] = reader.read("evaljob_progress", job | {"first": first, "last": last})
    return _view(reader, benchmark_id, job_id, rows, progress, last)


def result(reader: Reader, view: JobView) -> bytes:
    """Returns the rows' generations and scores: an EvaluateResponse as JSON."""
    place = {
        "benchmark_id": view.benchmark_id,
        "job_id": view.outcome.job_id,
        "first": view.first,
        "last": view.last,
        "row_count": view.row_count,
    }
    [[generations]] = reader.read("evaljob_generations", place | {"missing": _NO_GENERATION})
    pieces = [b'{"generations":[', reader.hydrate(generations.encode()), b'],"scores":{']
    for number, name in enumerate(view.scoring_functions):
        path = f'$."{name}"'
        [[score_rows]] = reader.read("evaljob_score_rows", place | {"missing": _NO_SCORE, "path": path})
        pieces += [b"," if number else b"", encode(name), b':{"score_rows":[']
        pieces += [reader.hydrate(score_rows.encode()), b'],"aggregated_results":']
        pieces += [bytes(view.aggregates.get(name, Raw(b"{}"))), b"}"]
    return b"".join((*pieces, b"}}"))


def page(
    reader: Reader,
    benchmark_id: str,
    start_index: int = 0,
    limit: int | None = None,
    as_of: int | None = None,
    max_bytes: int = PAGE_BYTES,
) -> tuple[list[Job], bool]:
    """Returns jobs of a benchmark from `start_index` on, in the order of scheduling, at most `limit` (None:
    all) and `max_bytes`, and whether more follow."""

    def fetch(offset: int, row_count: int, after: int) -> list[Row]:
        return reader.read(
            "evaljobs_of_benchmark",
            {
                "benchmark_id": benchmark_id,
                "start_index": offset,
                "row_count": row_count,
                "after": after,
                "as_of": NOW if as_of is None else as_of,
            },
        )

    def make(row: Row) -> tuple[Job, int]:
        job_id, change, _ = row
        return Job(job_id, STATUS[change]), _JOB_BYTES

    return page_of(fetch, make, start_index, limit, max_bytes)


def open_jobs(reader: Reader) -> list[tuple[str, str]]:
    """Returns benchmark and id of each job that has not ended, oldest first. Scans all jobs: use it at
    startup only."""
    return [(benchmark_id, job_id) for benchmark_id, job_id in reader.read("open_evaljobs", {})]


def _view(
    reader: Reader, benchmark_id: str, job_id: str, rows: list[Row], progress: Row, last: int
) -> JobView:
    scheduled = _scheduled.decode(reader.hydrate(rows[0][2].encode()))
    status: JobStatus = "scheduled"
    ended, ended_us = _Ended(), 0
    for change, at_us, event, _ in rows:
        status = STATUS.get(change, status)
        if change in ENDS:
            ended, ended_us = _ended.decode(reader.hydrate(event.encode())), at_us
    num_done, num_failed, tokens_in, tokens_out, highest_row = progress
    error = ended.error
    outcome = JobOutcome(
        job_id=job_id,
        status=status,
        usage=TurnUsage(tokens_in, tokens_out),
        error=Error(error.status, error.title, error.detail) if error else None,
        num_rows=scheduled.num_rows,
        num_done=num_done,
        num_failed=num_failed,
        dataset_id=scheduled.dataset_id or None,
        dataset_version=scheduled.dataset_version or None,
        agent_id=scheduled.agent_id or None,
        agent_version=AGENT_VERSION if scheduled.agent_id else None,
        created_at=rfc3339(rows[0][1]),
        completed_at=rfc3339(ended_us) if ended_us else None,
    )
    return JobView(
        benchmark_id=benchmark_id,
        outcome=outcome,
        candidate=scheduled.config.eval_candidate,
        scoring_functions=scheduled.scoring_functions,
        aggregates=ended.aggregates,
        first=rows[0][3],
        last=last,
        row_count=highest_row + 1,
    )
