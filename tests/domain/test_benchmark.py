"""Benchmarks: what may be registered, and numbers of jobs that are never used twice."""

import pytest
from msgspec import Raw

from schemas.api.benchmark import RegisterBenchmarkRequest
from schemas.events.base import Erased, Redacted
from schemas.events.benchmark import (
    BenchmarkJobClosed,
    BenchmarkJobScheduled,
    BenchmarkRegistered,
    BenchmarkUnregistered,
)
from stack.domain.benchmark import (
    MAX_OPEN_JOBS,
    BenchmarkState,
    close_job,
    definition,
    evolve,
    existing,
    is_number,
    register,
    schedule_evaluation,
    schedule_job,
    unregister,
)
from stack.errors import Conflict, Invalid, NotFound


def wanted(benchmark_id="b", dataset_id="d", functions=("basic::equality",), **more):
    return RegisterBenchmarkRequest(
        benchmark_id=benchmark_id, dataset_id=dataset_id, scoring_functions=list(functions), **more
    )


REGISTERED = definition(wanted(metadata={"a": Raw(b"1"), "b": Raw(b"9007199254740993")}))


def given(*events):
    state = BenchmarkState()
    for version, event in enumerate(events, 1):
        state = evolve(state, event, version * 10, version)
    return state


def scheduled(state):
    job_id, [event] = schedule_job(state)
    return job_id, evolve(state, event, 1, 1)


def test_a_registered_benchmark_has_its_defaults():
    assert REGISTERED.provider_id == "replaystack"
    assert REGISTERED.provider_resource_id == "b"
    assert bytes(REGISTERED.metadata) == b'{"a":1,"b":9007199254740993}'


def test_the_same_registration_changes_nothing_and_another_is_a_conflict():
    state = given(REGISTERED)
    again = definition(wanted(metadata={"b": Raw(b"9007199254740993"), "a": Raw(b"1")}))
    assert register(state, again, "b") == []
    for other, named in (
        (wanted(), "metadata"),
        (wanted(dataset_id="e"), "dataset_id and metadata"),
        (wanted(functions=()), "scoring_functions and metadata"),
    ):
        with pytest.raises(Conflict, match=named):
            register(state, definition(other), "b")


def test_jobs_are_numbered_from_0_and_evaluations_take_no_number():
    state = given(REGISTERED)
    numbers = []
    for _ in range(3):
        job_id, state = scheduled(state)
        numbers.append(job_id)
        for event in schedule_evaluation(state, f"rows-{job_id}"):
            state = evolve(state, event, 1, 1)
    assert numbers == ["0", "1", "2"]
    assert state.open_jobs == {"0", "1", "2", "rows-0", "rows-1", "rows-2"}


def test_numbers_go_on_after_the_benchmark_was_registered_anew():
    state = given(REGISTERED, BenchmarkJobScheduled(job_id="0"), *close_job("0", "completed"))
    [gone] = unregister(state, Erased())
    assert gone == BenchmarkUnregistered(next_job=1, erased=Erased())
    # What is read later: all that came before the tombstone is redacted.
    state = given(Redacted(), Redacted(), Redacted(), gone, REGISTERED)
    assert scheduled(state)[0] == "1"
    [gone] = unregister(state, Erased())
    assert scheduled(given(Redacted(), gone, REGISTERED))[0] == "1"


def test_a_benchmark_with_open_jobs_stays():
    with pytest.raises(Conflict, match="0"):
        unregister(given(REGISTERED, BenchmarkJobScheduled(job_id="0")), Erased())


@pytest.mark.parametrize("events", [(), (REGISTERED, BenchmarkUnregistered(next_job=0))])
def test_unknown_and_unregistered_benchmarks_are_not_there(events):
    with pytest.raises(NotFound, match="'b'"):
        existing(given(*events), "b")


def test_the_number_of_open_jobs_is_bounded():
    events = [BenchmarkJobScheduled(job_id=str(number)) for number in range(MAX_OPEN_JOBS)]
    state = given(REGISTERED, *events)
    with pytest.raises(Conflict, match=str(MAX_OPEN_JOBS)):
        schedule_job(state)
    schedule_job(evolve(state, BenchmarkJobClosed(job_id="5", status="cancelled"), 1, 1))


@pytest.mark.parametrize(
    ("benchmark_id", "problem"),
    [
        ("", "empty"),
        ("a//b", "slash"),
        ("a/", "slash"),
        ("/a", "slash"),
        ("a/..", "slash"),
        ("a\nb", "control"),
        ("x" * 256, "256"),
        ("a/jobs", "path 'jobs'"),
        ("a/evaluations", "path 'evaluations'"),
        ("a/compare", "path 'compare'"),
        ("a/jobs/b", "path 'jobs/b'"),
        ("a/jobs/0/result", "path 'jobs/0/result'"),
    ],
)
def test_ids_that_no_path_could_name_are_refused(benchmark_id, problem):
    with pytest.raises(Invalid, match=problem):
        definition(wanted(benchmark_id))


@pytest.mark.parametrize("benchmark_id", ["meta::mmlu", "a/b/c", "jobs", "jobs/0", "a/result", "a b", "über"])
def test_other_ids_are_taken(benchmark_id):
    assert isinstance(definition(wanted(benchmark_id)), BenchmarkRegistered)


def test_a_function_is_named_once():
    with pytest.raises(Invalid, match=r"scoring_functions\[1\] is 'f' for the second time"):
        definition(wanted(functions=("f", "f")))


@pytest.mark.parametrize(
    ("job_id", "number"), [("0", True), ("17", True), ("01", False), ("-1", False), ("", False), ("²", False)]
)
def test_job_numbers_are_written_in_one_way(job_id, number):
    assert is_number(job_id) is number
