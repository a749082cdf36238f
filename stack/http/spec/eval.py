"""Description of benchmarks, evaluation jobs and their comparison."""

from __future__ import annotations

from typing import Any

from schemas.api.benchmark import Benchmark, ListBenchmarksResponse, RegisterBenchmarkRequest
from schemas.api.comparison import Comparison
from schemas.api.eval import BenchmarkConfig, EvaluateResponse, EvaluateRowsRequest, RunEvalRequest
from schemas.api.evaljob import Job, JobOutcome, JobStreamChunk
from schemas.api.page import PaginatedResponse
from stack.http.spec.components import ANY_OBJECT, Details, Schema
from stack.http.spec.dataset import resource_type
from stack.http.spec.operation import AS_OF, LAST_EVENT_ID, PAGE, Operation, Parameter

TAG = "Benchmarks and evaluation"

_ROWS: Schema = {"type": "array", "items": ANY_OBJECT}

DETAILS: dict[type, Details] = {
    RegisterBenchmarkRequest: Details(schemas={"metadata": ANY_OBJECT}),
    Benchmark: Details(
        required=frozenset(("type",)),
        optional=frozenset(("provider_resource_id",)),
        schemas={"type": resource_type("benchmark"), "metadata": ANY_OBJECT},
    ),
    BenchmarkConfig: Details(hidden=frozenset(("type",)), required=frozenset(("scoring_params",))),
    EvaluateRowsRequest: Details(schemas={"input_rows": _ROWS}),
}

NAMED: list[tuple[str, Any, Schema | None]] = []

_BENCHMARKS = "/v1alpha/eval/benchmarks"
_BENCHMARK = _BENCHMARKS + "/{benchmark_id}"
_JOBS = _BENCHMARK + "/jobs"
_JOB = _JOBS + "/{job_id}"
_EXTENSION = "Not part of the Llama Stack specification."
_WITHOUT_A_BODY = "The answer has no body."
_ROWS_NEED = (
    "A row holds `chat_completion_input` or `messages` (a list of messages), or `completion_input` or `question`, and "
    "`expected_answer` or `answer`."
)
_RESULT = (
    "A row that failed has an `error` and the score 0. The headers `x-job-status` and `x-dataset-version` say how the "
    "job ended and which version of the dataset its rows are of."
)


def _job(name: str) -> Parameter:
    return Parameter(name=name, kind=str, description="A job that has ended.", extension=True)


OPERATIONS = (
    Operation(
        method="get",
        path=_BENCHMARKS,
        id="list_benchmarks",
        tag=TAG,
        summary="List benchmarks, oldest first.",
        parameters=(AS_OF,),
        answer=ListBenchmarksResponse,
        says="All benchmarks.",
    ),
    Operation(
        method="post",
        path=_BENCHMARKS,
        id="register_benchmark",
        tag=TAG,
        summary="Register a benchmark: a dataset and the functions that score the answers to its rows.",
        description="The same benchmark again under the same id changes nothing; another one is refused.",
        body=RegisterBenchmarkRequest,
        says=_WITHOUT_A_BODY,
    ),
    Operation(
        method="get",
        path=_BENCHMARK,
        id="get_benchmark",
        tag=TAG,
        summary="Read a benchmark.",
        parameters=(AS_OF,),
        answer=Benchmark,
        says="The benchmark.",
    ),
    Operation(
        method="delete",
        path=_BENCHMARK,
        id="unregister_benchmark",
        tag=TAG,
        summary="Cancel the jobs of a benchmark and remove it with all of them.",
        description="The agents that were made for its jobs go with it. Numbers of jobs are never used again, even "
        "where the benchmark is registered again.",
        says=_WITHOUT_A_BODY,
    ),
    Operation(
        method="post",
        path=_BENCHMARK + "/evaluations",
        id="evaluate_rows",
        tag=TAG,
        summary="Evaluate rows that come with the request.",
        description=f"{_ROWS_NEED} What they give is recorded as a job of its own, whose id is the header `x-job-id`. "
        "A row that failed has an `error` and the score 0.",
        body=EvaluateRowsRequest,
        answer=EvaluateResponse,
        says="The generations and scores, in the order of the rows.",
    ),
    Operation(
        method="post",
        path=_JOBS,
        id="run_eval",
        tag=TAG,
        summary="Run a job: evaluate the rows of the benchmark's dataset as it is now.",
        description=f"{_ROWS_NEED} Waits up to 2 s for the end, `Prefer: wait=N` for up to N seconds; the job continues "
        "when the caller leaves, and after a crash or a restart of the server.",
        body=RunEvalRequest,
        answer=Job,
        says="The job as it stands.",
    ),
    Operation(
        method="get",
        path=_JOBS,
        id="list_jobs",
        tag=TAG,
        summary="List the jobs of a benchmark, oldest first.",
        description=_EXTENSION,
        parameters=(*PAGE, AS_OF),
        answer=PaginatedResponse,
        says=f"A page of jobs ({', '.join(Job.__struct_fields__)}).",
    ),
    Operation(
        method="get",
        path=_JOB,
        id="get_job",
        tag=TAG,
        summary="Read how a job stands.",
        parameters=(AS_OF,),
        answer=Job,
        says="The job.",
    ),
    Operation(
        method="delete",
        path=_JOB,
        id="cancel_job",
        tag=TAG,
        summary="Cancel a job that is scheduled or running.",
        description="The rows that are done are kept. A job that has ended is left as it is.",
        says=f"The job has ended. {_WITHOUT_A_BODY}",
    ),
    Operation(
        method="get",
        path=_JOB + "/result",
        id="get_job_result",
        tag=TAG,
        summary="Read the result of a job, once it has ended.",
        description=f"Waits up to 30 s for the end, then answers 409. {_RESULT}",
        parameters=(AS_OF,),
        answer=EvaluateResponse,
        says="The generations and scores, in the order of the rows.",
    ),
    Operation(
        method="get",
        path=_JOB + "/outcome",
        id="get_job_outcome",
        tag=TAG,
        summary="Read how a job stands or ended.",
        description=f"{_EXTENSION} Status, error, tokens used, rows done and failed, version of the dataset.",
        parameters=(AS_OF,),
        answer=JobOutcome,
        says="The outcome.",
    ),
    Operation(
        method="get",
        path=_JOB + "/events",
        id="follow_job",
        tag=TAG,
        summary="Follow a job row by row, or read all of one that has ended.",
        description=_EXTENSION,
        parameters=(LAST_EVENT_ID,),
        frames=JobStreamChunk,
        says="The frames.",
    ),
    Operation(
        method="get",
        path=_BENCHMARK + "/compare",
        id="compare_jobs",
        tag=TAG,
        summary="Compare two jobs of a benchmark.",
        description=f"{_EXTENSION} Which rows got better, worse or changed from job `a` to job `b`, and the difference of "
        "the mean scores with a 95 % interval: Newcombe's for paired proportions where all scores are 0 or 1, else "
        "Student's t over the differences.",
        parameters=(
            _job("a"),
            _job("b"),
            Parameter(
                name="limit",
                kind=int,
                description="How many rows to show of each function; 100 where absent.",
            ),
            AS_OF,
        ),
        answer=Comparison,
        says="The comparison.",
    ),
)
