"""Evaluation jobs: what their events fold to, and how they end."""

import msgspec
import pytest

from schemas.api.agent import SamplingParams as RequestedParams
from schemas.api.eval import BenchmarkConfig as RequestedConfig
from schemas.api.eval import ModelCandidate
from schemas.events.base import Redacted
from schemas.events.evaljob import (
    EvalJobCancelled,
    EvalJobCancelRequested,
    EvalJobCompleted,
    EvalJobFailed,
    EvalJobRowEvaluated,
    EvalJobScheduled,
    EvalJobStarted,
    Generation,
)
from schemas.events.payload import BenchmarkConfig, EvalCandidate, SamplingParams, TurnError, TurnUsage
from schemas.events.turn import Owner
from stack.domain import payload
from stack.domain.evaljob import (
    EvalJobState,
    end,
    evolve,
    existing,
    failed_row_error,
    num_rows,
    start,
)
from stack.domain.row_set import RowSet
from stack.errors import Invalid, NotFound

CONFIG = BenchmarkConfig(
    eval_candidate=EvalCandidate(type="model", model="m", sampling_params=SamplingParams())
)
SCHEDULED = EvalJobScheduled(
    benchmark_id="b", num_rows=3, config=CONFIG, scoring_functions=["f"], trace_id="ab" * 16
)
OWNER = Owner("node", "boot")
ERROR = TurnError(502, "Bad Gateway", "gone")


def row(number, failed=False):
    return EvalJobRowEvaluated(
        row=number,
        input_digest="00",
        generation=Generation("", "gone") if failed else Generation("x"),
        scores={"f": {"score": 0}},
        attempts=1,
        duration_ms=5,
        usage=TurnUsage(10, 2),
        error=ERROR if failed else None,
    )


def given(*events):
    state = EvalJobState()
    for version, event in enumerate(events, 1):
        state = evolve(state, event, version * 10, version)
    return state


STARTED = EvalJobStarted(owner=OWNER, attempt=1)


def test_a_job_counts_its_rows_and_tokens():
    state = given(SCHEDULED, STARTED, row(1), row(0, failed=True))
    assert (state.status, state.num_rows, state.trace_id) == ("in_progress", 3, "ab" * 16)
    assert state.done == RowSet(2)
    assert list(state.done.missing(state.num_rows)) == [2]
    assert (state.failed, state.first_error, state.usage) == (1, ERROR, TurnUsage(20, 4))
    assert state.is_open


def test_starts_without_a_row_between_them_are_counted():
    again = EvalJobStarted(owner=OWNER, attempt=2)
    assert given(SCHEDULED, STARTED, again).starts_without_progress == 2
    assert given(SCHEDULED, STARTED, again, row(0)).starts_without_progress == 0
    assert start(given(SCHEDULED, STARTED), OWNER) == [again]


@pytest.mark.parametrize(
    ("event", "status"),
    [
        (EvalJobCompleted(aggregates={"f": {}}), "completed"),
        (EvalJobFailed(error=ERROR, aggregates={"f": {}}), "failed"),
        (EvalJobCancelled(reason="enough", aggregates={"f": {}}), "cancelled"),
    ],
)
def test_each_end_closes_the_job(event, status):
    state = given(SCHEDULED, STARTED, event)
    assert (state.status, state.ended_at, state.is_open) == (status, 30, False)
    assert state.aggregates == {"f": {}}


def test_a_requested_cancel_is_known_before_it_is_done():
    state = given(SCHEDULED, STARTED, EvalJobCancelRequested(reason="enough"))
    assert (state.status, state.cancel_reason, state.is_open) == ("in_progress", "enough", True)


def test_a_job_whose_rows_all_fail_is_failed():
    aggregates = {"f": {"accuracy": {"accuracy": 0.0}}}
    some = given(SCHEDULED, STARTED, row(0, True), row(1, True), row(2))
    assert end(some, aggregates) == EvalJobCompleted(aggregates=aggregates)
    ended = end(given(SCHEDULED, STARTED, row(0, True), row(1, True), row(2, True)), aggregates)
    assert isinstance(ended, EvalJobFailed)
    assert ended.error.status == 502
    assert ended.error.detail == "All 3 rows failed. The first failure: gone"


def test_a_row_that_nothing_could_score_failed():
    assert failed_row_error({}) == ""
    assert failed_row_error({"f": {"score": 1}, "g": {"score": 0, "error": "e"}}) == ""
    assert failed_row_error({"f": {"score": 0, "error": "e"}, "g": {"score": 0, "error": "h"}}) == "e"


@pytest.mark.parametrize(("examples", "rows"), [(None, 10), (3, 3), (99, 10)])
def test_examples_bound_the_rows(examples, rows):
    assert num_rows(10, examples, "benchmark_config") == rows


@pytest.mark.parametrize("examples", [0, -1])
def test_no_examples_are_refused(examples):
    with pytest.raises(Invalid, match=r"benchmark_config\.num_examples is"):
        num_rows(10, examples, "benchmark_config")


@pytest.mark.parametrize("events", [(), (Redacted(), Redacted())])
def test_unknown_and_redacted_jobs_are_not_there(events):
    with pytest.raises(NotFound, match="no job '0' of benchmark 'b'"):
        existing(given(*events), "b", "0")


def test_what_only_old_clients_say_is_not_kept():
    requested = RequestedConfig(eval_candidate=ModelCandidate("m", RequestedParams()), type="benchmark")
    assert payload.benchmark_config(requested, CONFIG.eval_candidate) == CONFIG
    assert b"benchmark" not in msgspec.json.encode(CONFIG)
