"""The results of the read models of training jobs for recorded events."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from projections import trainjob
from projections.warehouse.engine import Engine
from projections.warehouse.instance import Warehouse
from schemas.api.trainjob import PostTrainingJob, PostTrainingMetric
from tests.projections import training_history as h
from tests.projections.feeds import ListFeed
from tests.projections.user_view_files import UserSql, user_sql

View = tuple[Warehouse, Engine]


def follow(view: View, position: int) -> Warehouse:
    warehouse, engine = view
    engine.reached_blocking(position, 10)
    return warehouse


def test_a_job_that_was_taken_up_again(view: View, feed: ListFeed) -> None:
    reader = follow(view, feed.append(*h.interrupted("job")))
    status = trainjob.status(reader, "job")
    assert status is not None
    assert (status.status, status.resources_allocated) == ("completed", {"device": "cpu"})
    assert [one.identifier for one in status.checkpoints] == ["job-epoch-1", "job-epoch-2"]
    assert status.checkpoints[1].training_metrics == PostTrainingMetric(2, 0.75, 0.9, 1.9)
    assert status.scheduled_at and status.started_at and status.completed_at
    outcome = trainjob.outcome(reader, "job")
    assert outcome is not None
    assert (outcome.epochs_done, outcome.step, outcome.total_steps, outcome.train_loss) == (2, 4, 4, 0.75)
    then = trainjob.outcome(reader, "job", as_of=7)
    assert then is not None and (then.status, then.epochs_done, then.step) == ("in_progress", 1, 3)
    assert trainjob.checkpoint(reader, "job-epoch-2") == ("/checkpoints/job/epoch-2", "adapter")
    assert trainjob.checkpoint(reader, "job-epoch-3") is None


def test_jobs_are_told_apart(view: View, feed: ListFeed) -> None:
    feed.append(h.scheduled("a", validated=False), h.scheduled("b"), h.scheduled("c"))
    feed.append(*h.started("a"), h.epoch_done("a", 1, 1, 2.0), h.saved("a", 1, 1))
    reader = follow(view, feed.append(h.failed("b"), h.happened("c", "cancel_requested", reason="Enough.")))
    assert trainjob.listing(reader) == [PostTrainingJob("a"), PostTrainingJob("b"), PostTrainingJob("c")]
    assert trainjob.listing(reader, as_of=2) == [PostTrainingJob("a"), PostTrainingJob("b")]
    assert trainjob.open_jobs(reader) == ["a", "c"]
    found = trainjob.artifacts(reader, "a")
    assert found is not None and found.checkpoints[0].training_metrics is None
    outcomes = [trainjob.outcome(reader, job) for job in ("a", "b", "c")]
    assert [one and one.status for one in outcomes] == ["in_progress", "failed", "scheduled"]
    assert outcomes[1] is not None and outcomes[1].error is not None
    assert trainjob.status(reader, "d") is None and trainjob.artifacts(reader, "d") is None


@pytest.fixture(scope="module")
def sql(tmp_path_factory: pytest.TempPathFactory) -> Iterator[UserSql]:
    events = [*h.interrupted("job"), h.scheduled("other"), h.failed("other")]
    with user_sql(tmp_path_factory.mktemp("views"), events, []) as opened:
        yield opened


def test_the_views_show_repeated_steps_once(sql: UserSql) -> None:
    columns = "epoch, step, loss, epoch_train_loss, epoch_validation_loss"
    assert sql.rows(f"SELECT {columns} FROM training_metrics ORDER BY step") == [
        (1, 1, 2.0, 1.75, 1.9),
        (1, 2, 1.5, 1.75, 1.9),
        (2, 3, 1.0, 0.75, 0.9),
        (2, 4, 0.5, 0.75, 0.9),
    ]
    jobs = "job_uuid, status, epochs_done, steps_done, total_steps, attempts, train_loss, created_by, error_detail"
    assert sql.rows(f"SELECT {jobs} FROM training_jobs ORDER BY 1") == [
        ("job", "completed", 2, 4, 4, 2, 0.75, "key-1", None),
        ("other", "failed", 0, 0, None, 0, None, "key-1", "The worker ended."),
    ]
    kept = "identifier, epoch, kind, train_loss, size_bytes"
    assert sql.rows(f"SELECT {kept} FROM training_checkpoints ORDER BY epoch") == [
        ("job-epoch-1", 1, "adapter", 1.75, 10),
        ("job-epoch-2", 2, "adapter", 0.75, 10),
    ]
