"""Training jobs over kills, stops and starts of their server."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path

import httpx
import pytest

from tests.server.conftest import FreshServer
from tests.server.process import Replaystack, wait_until
from tests.server.trainings import Trainings
from tests.servers import fake_trainer

pytestmark = [pytest.mark.slow, pytest.mark.long]


def started(fresh_server: FreshServer, tmp_path: Path, **settings: object) -> tuple[Replaystack, Path]:
    roots = tmp_path / "models"
    roots.mkdir()
    python = fake_trainer.interpreter(tmp_path / "python")
    own = {"train_python": python, "train_roots": roots, "shutdown_grace_s": 0}
    return fresh_server(**own | settings), roots


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def all_gone(pids: list[int]) -> bool:
    return not any(map(is_alive, pids))


def has_done(trainings: Trainings, jobs: list[str], epochs: int) -> bool:
    return sum(trainings.outcome(job)["epochs_done"] for job in jobs) >= epochs


def test_jobs_at_every_stage_survive_kills(fresh_server: FreshServer, tmp_path: Path) -> None:
    """Jobs of different paces are at different events when the server is killed; none gets lost or differs."""
    server, roots = started(fresh_server, tmp_path, train_running_jobs=6, restart_limit=20)
    with server.http() as http:
        trainings = Trainings(http, roots)
        models = [trainings.model(step_ms=5 * 2**number, load_ms=30 * number) for number in range(6)]
        jobs = [trainings.scheduled(trainings.body(model, rows=8, n_epochs=3)) for model in models]
    for epochs in (1, 4, 8):
        with server.http() as http:
            trainings = Trainings(http, roots)
            wait_until(partial(has_done, trainings, jobs, epochs))
        pids = [start["pid"] for model in models for start in trainings.starts(model)]
        server.kill9()
        wait_until(partial(all_gone, pids))
        server.start()
    with server.http() as http:
        trainings = Trainings(http, roots)
        for job, model in zip(jobs, models, strict=True):
            assert trainings.ended(job)["status"] == "completed"
            assert trainings.losses(job) == {step: fake_trainer.loss_of(42, step) for step in range(1, 13)}
            assert [one["epoch"] for one in trainings.status(job)["checkpoints"]] == [1, 2, 3]
            starts = [start["epochs_done"] for start in trainings.starts(model)]
            assert starts == sorted(starts)
        assert sum(len(trainings.starts(model)) for model in models) > len(models)
    wait_until(lambda: not list((server.data / "training").iterdir()))
    server.check_healthy()


def test_a_stop_ends_the_worker_and_the_next_start_goes_on(fresh_server: FreshServer, tmp_path: Path) -> None:
    server, roots = started(fresh_server, tmp_path)
    with server.http() as http:
        trainings = Trainings(http, roots)
        model = trainings.model(step_ms=30)
        job = trainings.scheduled(trainings.body(model, n_epochs=4))
        waiting = trainings.scheduled(trainings.body(trainings.model()))
        wait_until(lambda: trainings.outcome(job)["epochs_done"])
    assert server.stop() == 0
    [first] = trainings.starts(model)
    assert not is_alive(first["pid"])
    server.start()
    with server.http() as http:
        trainings = Trainings(http, roots)
        assert trainings.ended(job)["status"] == trainings.ended(waiting)["status"] == "completed"
        assert trainings.starts(model)[1]["epochs_done"] >= 1
        frames = trainings.frames(job)
        assert [frame["attempt"] for frame in frames if frame["event_type"] == "started"] == [1, 2]
        ids = [one["job_uuid"] for one in http.get(f"{trainings.path}/jobs").json()["data"]]
        assert ids == [job, waiting]


def test_a_cancel_that_a_crash_cut_off_is_finished(fresh_server: FreshServer, tmp_path: Path) -> None:
    server, roots = started(fresh_server, tmp_path, train_cancel_grace_s=600)
    with server.http() as http:
        trainings = Trainings(http, roots)
        model = trainings.model(at_step={"2": "hang"}, ignore_term=True)
        job = trainings.scheduled(trainings.body(model))
        wait_until(lambda: trainings.outcome(job).get("total_steps"))
        with pytest.raises(httpx.ReadTimeout):
            http.post(f"{trainings.path}/job/cancel", json={"job_uuid": job}, timeout=0.5)
    server.kill9()
    server.start()
    with server.http() as http:
        trainings = Trainings(http, roots)
        assert trainings.ended(job)["status"] == "cancelled"
        assert len(trainings.starts(model)) == 1


def test_a_job_that_never_gets_further_is_given_up(fresh_server: FreshServer, tmp_path: Path) -> None:
    server, roots = started(fresh_server, tmp_path, restart_limit=0)
    with server.http() as http:
        trainings = Trainings(http, roots)
        job = trainings.scheduled(trainings.body(trainings.model(at_step={"2": "hang"})))
        wait_until(lambda: trainings.outcome(job).get("total_steps"))
    server.kill9()
    server.start()
    with server.http() as http:
        outcome = Trainings(http, roots).ended(job)
    assert outcome["status"] == "failed" and "interrupted too often" in outcome["error"]["detail"]
