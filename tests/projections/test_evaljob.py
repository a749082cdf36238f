"""The results of the read models of benchmarks and their jobs for recorded events."""

from __future__ import annotations

import json
from typing import Any

import msgspec

from projections import benchmark, comparison, evaljob
from projections.evaljob import JobView
from projections.warehouse.engine import Engine
from projections.warehouse.instance import Warehouse
from schemas.api.evaljob import Job
from tests.projections import histories as h
from tests.projections.feeds import ListFeed

View = tuple[Warehouse, Engine]
EQUALITY = "basic::equality"


def follow(view: View, position: int) -> Warehouse:
    warehouse, engine = view
    engine.reached_blocking(position, 10)
    return warehouse


def job_of(reader: Warehouse, benchmark_id: str, job_id: str, as_of: int | None = None) -> JobView:
    found = evaljob.get(reader, benchmark_id, job_id, as_of)
    assert found is not None
    return found


def result_of(reader: Warehouse, benchmark_id: str, job_id: str) -> dict[str, Any]:
    result: dict[str, Any] = json.loads(evaljob.result(reader, job_of(reader, benchmark_id, job_id)))
    return result


def test_benchmarks_are_listed_in_the_order_of_registration(view: View, feed: ListFeed) -> None:
    feed.append(h.benchmark_registered("b/1"), h.benchmark_registered("a"))
    metadata = {"n": 9007199254740993, "none": None}
    reader = follow(view, feed.append(h.benchmark_registered("c::x", metadata=metadata)))
    assert [one.identifier for one in benchmark.listing(reader)] == ["b/1", "a", "c::x"]
    assert [one.identifier for one in benchmark.listing(reader, as_of=1)] == ["b/1"]
    found = benchmark.get(reader, "c::x")
    assert found is not None and json.loads(bytes(found.metadata)) == metadata
    assert benchmark.get(reader, "c") is None and benchmark.get(reader, "c::x", as_of=2) is None


def test_a_job_counts_what_is_done(view: View, feed: ListFeed) -> None:
    feed.append(h.benchmark_registered("a/b"), *h.job_scheduled("a/b", "0", 3, agent_id="agent-1"))
    reader = follow(view, feed.append(h.job_started("a/b", "0"), h.row_evaluated("a/b", "0", 1)))
    found = job_of(reader, "a/b", "0")
    assert found.job == Job("0", "in_progress") and not found.has_ended
    assert (found.outcome.num_rows, found.outcome.num_done, found.row_count) == (3, 1, 2)
    assert (found.outcome.dataset_id, found.outcome.dataset_version) == ("data/0", 3)
    assert found.outcome.agent_id == "agent-1" and found.outcome.completed_at is None
    feed.append(h.row_evaluated("a/b", "0", 0, error="gone"))
    reader = follow(view, feed.append(*h.job_ended("a/b", "0", "failed")))
    found = job_of(reader, "a/b", "0")
    assert found.has_ended and found.outcome.status == "failed"
    assert (found.outcome.num_done, found.outcome.num_failed) == (2, 1)
    assert found.outcome.usage.input_tokens == 20
    assert found.outcome.error is not None and found.outcome.error.status == 404
    assert job_of(reader, "a/b", "0", as_of=5).outcome.num_done == 1


def test_jobs_are_told_apart(view: View, feed: ListFeed) -> None:
    """Ids with slashes end in ids of jobs: `a` with job 0 is another than `a/0` with job 1."""
    feed.append(*h.job_scheduled("a", "0", 1), *h.job_scheduled("a/0", "1", 1), *h.job_scheduled("a", "1", 1))
    feed.append(h.row_evaluated("a", "0", 0), h.row_evaluated("a/0", "1", 0))
    reader = follow(view, feed.append(*h.job_ended("a", "0")))
    assert evaljob.page(reader, "a") == ([Job("0", "completed"), Job("1", "scheduled")], False)
    assert evaljob.page(reader, "a", 0, 1) == ([Job("0", "completed")], True)
    assert evaljob.page(reader, "a/0") == ([Job("1", "scheduled")], False)
    assert evaljob.open_jobs(reader) == [("a/0", "1"), ("a", "1")]
    assert job_of(reader, "a", "1").outcome.num_done == 0
    assert evaljob.get(reader, "a", "2") is None and evaljob.get(reader, "b", "0") is None
    assert [job.job_id for job in benchmark.jobs(reader, "a")] == ["0", "1"]


def test_a_result_has_every_row_at_its_place(view: View, feed: ListFeed) -> None:
    feed.append(*h.job_scheduled("a", "0", 4))
    odd = 'é "quoted" \\ \n\u0000 {"$blob"} 12345678901234567890'
    feed.append(h.row_evaluated("a", "0", 2, 0.1 + 0.2, odd), h.row_evaluated("a", "0", 0, "C"))
    feed.append(h.row_evaluated("a", "0", 3, error="gone"))
    reader = follow(view, feed.append(*h.job_ended("a", "0", "cancelled")))
    result = result_of(reader, "a", "0")
    missing = {"error": evaljob.NOT_EVALUATED}
    assert result["generations"] == [
        {"generated_answer": "A"},
        {"generated_answer": "", **missing},
        {"generated_answer": odd},
        {"generated_answer": "", "error": "gone"},
    ]
    scores = result["scores"][EQUALITY]
    assert scores["score_rows"] == [
        {"score": "C"},
        {"score": 0, **missing},
        {"score": 0.1 + 0.2},
        {"score": 0, "error": "gone"},
    ]
    assert scores["aggregated_results"] == {"accuracy": {"accuracy": 0.5}}


def test_a_result_without_rows_or_functions_is_empty(view: View, feed: ListFeed) -> None:
    feed.append(*h.job_scheduled("a", "0", 4, scoring_functions=[]))
    reader = follow(view, feed.append(*h.job_ended("a", "0", "cancelled")))
    assert result_of(reader, "a", "0") == {"generations": [], "scores": {}}


def test_nothing_of_an_unregistered_benchmark_stays(view: View, feed: ListFeed) -> None:
    feed.append(h.benchmark_registered("a"), *h.job_scheduled("a", "0", 1), h.row_evaluated("a", "0", 0))
    feed.append(*h.job_ended("a", "0"))
    # All in one batch: what comes behind the tombstone is there.
    feed.append(
        h.benchmark_unregistered("a", 1),
        h.benchmark_registered("a"),
        *h.job_scheduled("a", "1", 1),
        h.row_evaluated("a", "1", 0, answer="new"),
    )
    reader = follow(view, feed.append(*h.job_ended("a", "1")))
    assert evaljob.get(reader, "a", "0") is None
    assert result_of(reader, "a", "1")["generations"] == [{"generated_answer": "new"}]
    reader = follow(view, feed.append(h.benchmark_unregistered("a", 2)))
    assert benchmark.listing(reader) == [] and evaljob.get(reader, "a", "1") is None
    warehouse, _ = view
    with warehouse.write() as transaction:
        ((schema,),) = transaction.rows("SELECT schema_name FROM views.main.served")
        counts = transaction.rows(f"SELECT count(*) FROM views.{schema}.evaljob_rows")
        deletions = transaction.rows(f"SELECT benchmark_id FROM views.{schema}.benchmark_deletions")
    assert counts == [(0,)] and deletions == [("a",), ("a",)]


def test_scores_can_be_asked_for_in_sql(view: View, feed: ListFeed) -> None:
    feed.append(*h.job_scheduled("a", "0", 4), h.job_started("a", "0"))
    scores = {EQUALITY: {"score": True}, "llm-as-judge::base": {"score": "B", "judge_feedback": "B."}}
    feed.append(h.row_evaluated("a", "0", 0, scores=scores), h.row_evaluated("a", "0", 1, "0.25"))
    follow(view, feed.append(h.row_evaluated("a", "0", 2, error="gone"), *h.job_ended("a", "0")))
    warehouse, _ = view
    with warehouse.write() as transaction:
        ((schema,),) = transaction.rows("SELECT schema_name FROM views.main.served")
        found = transaction.rows(
            "SELECT row_number, scoring_function, score, error, generated_answer "
            f"FROM views.{schema}.evaljob_scores ORDER BY ALL"
        )
        [job] = transaction.rows(
            f"SELECT status, model, num_rows, num_done, num_failed, input_tokens FROM views.{schema}.evaljobs"
        )
    assert found == [
        (0, EQUALITY, 1.0, None, "A"),
        (0, "llm-as-judge::base", None, None, "A"),
        (1, EQUALITY, 0.25, None, "A"),
        (2, EQUALITY, 0.0, "gone", ""),
    ]
    assert job == ("completed", "demo/extractive", 4, 3, 1, 30)


def test_two_jobs_are_compared_row_by_row(view: View, feed: ListFeed) -> None:
    feed.append(*h.job_scheduled("a", "0", 9), *h.job_scheduled("a", "1", 9))
    first = [("A", 0.0), ("A", 1.0), ("A", 0.5), ("A", 0.5), ("A", "x"), ("A", 1.0), ("A", 1.0)]
    second = [("B", 1.0), ("B", 0.0), ("B", 0.5), ("A", 0.5), ("A", "y"), ("B", 0.0)]
    for job, rows in (("0", first), ("1", second)):
        feed.append(*(h.row_evaluated("a", job, n, score, answer) for n, (answer, score) in enumerate(rows)))
    position = feed.append(
        h.row_evaluated("a", "1", 6, 0.0, input_digest="other"), h.row_evaluated("a", "1", 8)
    )
    reader = follow(view, position)
    assert comparison.coverage(reader, "a", "0", "1") == comparison.Coverage(6, 1, 0, 1)
    found = comparison.summary(reader, "a", "0", "1", EQUALITY)
    assert (found.better, found.worse, found.changed, found.same) == (1, 2, 2, 1)
    assert (found.count, found.mean_a, found.mean_b, found.binary) == (5, 0.6, 0.4, False)
    assert found.mean is not None and abs(found.mean + 0.2) < 1e-12
    assert abs(found.squares - (1.2**2 + 2 * 0.8**2 + 2 * 0.2**2)) < 1e-12
    rows, has_more = comparison.rows(reader, "a", "0", "1", EQUALITY, 4)
    assert [(one.row, one.change) for one in rows] == [
        (1, "worse"),
        (5, "worse"),
        (0, "better"),
        (2, "changed"),
    ]
    assert has_more and msgspec.to_builtins(rows[0]) == {
        "row": 1,
        "change": "worse",
        "a": {"score": 1.0},
        "b": {"score": 0.0},
        "answer_a": "A",
        "answer_b": "B",
    }
    none = comparison.summary(reader, "a", "0", "7", EQUALITY)
    assert (none.count, none.mean, none.same) == (0, None, 0)
