"""`replaystack eval` as a user runs it: against a real server that evaluates with a scripted and the demo model."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cli.folders import replaystack
from tests.server.evals import READING, Benchmark, Evals, asked
from tests.server.process import ROOT, Replaystack, wait_until
from tests.servers.fixtures import scripted_server
from tests.servers.processes import RunningServer

pytestmark = pytest.mark.slow

__all__ = ["scripted_server"]

SHORTER = "scripted/text;chunks=2"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, scripted_server: RunningServer) -> Iterator[Replaystack]:
    """A server with a benchmark of 8 rows (`plain`) that has two jobs, and the project's own (`own/reading`)."""
    data = tmp_path_factory.mktemp("eval") / "data"
    with Replaystack(data, model_url=scripted_server.base_url) as server, server.http() as http:
        evals = Evals(http)
        evals.registered(READING, ["basic::subset_of"], name="own/reading")
        plain = evals.registered(asked(8), name="plain")
        plain.job()
        plain.job({"eval_candidate": candidate(SHORTER)})
        yield server


def candidate(model: str) -> dict[str, Any]:
    return {"type": "model", "model": model, "sampling_params": {"strategy": {"type": "greedy"}}}


def run(server: Replaystack, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return replaystack("eval", *arguments, "--data", server.data)


def told(done: subprocess.CompletedProcess[str], exit_code: int = 0) -> str:
    assert done.returncode == exit_code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout


def refused(done: subprocess.CompletedProcess[str], exit_code: int) -> str:
    told(done, exit_code)
    return done.stderr


def test_a_benchmark_is_run_to_its_table(server: Replaystack) -> None:
    text = told(run(server, "own/reading", "--model", "demo/extractive"))
    assert "own/reading/0 completed: 25 of 25 rows" in text
    assert "basic::subset_of" in text and "(20 of 25)" in text


def test_its_address_is_enough(server: Replaystack) -> None:
    found = json.loads(
        told(
            replaystack(
                "eval", "run", "plain", "--url", server.url, "--model", SHORTER, "--examples", "3", "--system", "S",
                "--temperature", "0.5", "--max-tokens", "9", "--json",
            )
        )
    )  # fmt: skip
    assert (found["status"], found["num_rows"]) == ("completed", 3)
    assert len(found["result"]["generations"]) == 3


def test_an_agent_is_run_from_its_file(server: Replaystack, tmp_path: Path) -> None:
    file = tmp_path / "agent.json"
    file.write_text(json.dumps({"model": "scripted/text;chunks=3", "instructions": "Answer."}))
    text = told(run(server, "plain", "--agent", file))
    assert "completed: 8 of 8 rows" in text and "0.5 (4 of 8)" in text
    file.write_text("{")
    assert "is not JSON" in refused(run(server, "plain", "--agent", file), 2)


def test_a_job_that_fails_says_why_and_fails(server: Replaystack) -> None:
    text = told(run(server, "plain", "--model", "scripted/status;code=400;message=not today"), 1)
    assert "failed: 8 of 8 rows" in text and "All 8 rows failed" in text and "not today" in text
    assert "3 more" in text


def test_jobs_are_scheduled_shown_listed_and_cancelled(server: Replaystack) -> None:
    name = told(run(server, "plain", "--model", "scripted/silent", "--detach")).strip()
    assert name.startswith("plain/")
    assert told(run(server, "cancel", name)) == ""
    assert "cancelled: 0 of 8 rows" in told(run(server, "show", name), 1)
    listed = told(run(server, "list", "plain"))
    assert name in listed and "plain/0" in listed and "8/8" in listed
    assert "own/reading" in told(run(server, "list"))


def test_two_jobs_are_compared(server: Replaystack) -> None:
    text = told(run(server, "compare", "plain/0", "plain/1"))
    assert "scripted/text;chunks=3" in text and SHORTER in text
    assert "8 rows compared" in text and "-0.500" in text
    assert "Newcombe" in text and "The answer comes" in text
    assert "worse than A" not in text


@pytest.mark.parametrize(
    ("arguments", "exit_code"),
    [
        (["plain/0", "plain/1"], 1),
        (["0", "1", "--benchmark", "plain"], 1),
        (["plain/1", "plain/0"], 0),
        (["plain/0", "plain/0"], 0),
        (["plain/0", "plain/1", "--tolerance", "0.5"], 0),
        (["plain/0", "plain/1", "--tolerance", "0.4"], 1),
        (["plain/0", "plain/1", "--certain"], 1),
        (["plain/0", "plain/1", "--certain", "--tolerance", "0.4"], 0),
    ],
)
def test_a_worse_job_fails_the_command_when_asked_to(
    server: Replaystack, arguments: list[str], exit_code: int
) -> None:
    text = told(run(server, "compare", *arguments, "--fail-if-worse"), exit_code)
    assert ("B is worse than A by basic::equality" in text) is bool(exit_code)


def test_a_comparison_comes_as_json_too(server: Replaystack) -> None:
    found = json.loads(told(run(server, "compare", "plain/0", "plain/1", "--json", "--fail-if-worse"), 1))
    assert found["worse"] == ["basic::equality"]
    assert found["scoring_functions"]["basic::equality"]["worse"] == 4


@pytest.mark.parametrize(
    ("arguments", "exit_code", "said"),
    [
        (["plain"], 2, "Say what to evaluate"),
        (["no one", "--model", "demo/extractive"], 1, "no one"),
        (["plain", "--model", "no one/knows"], 1, "no one/knows"),
        (["compare", "plain/0", "own/reading/0"], 4, "different benchmarks"),
        (["compare", "plain/0", "plain/99"], 4, "'99'"),
        (["show", "plain"], 2, "<benchmark>/<number>"),
        (["show", "plain/99"], 1, "'99'"),
        (["cancel", "plain/99"], 1, "'99'"),
    ],
)
def test_what_cannot_be_done_is_said(
    server: Replaystack, arguments: list[str], exit_code: int, said: str
) -> None:
    assert said in refused(run(server, *arguments), exit_code)


def test_without_a_server_it_says_so(tmp_path: Path) -> None:
    done = replaystack("eval", "list", "--data", tmp_path)
    assert "replaystack serve" in refused(done, 1)


def test_it_follows_its_job_over_a_crash(tmp_path: Path, scripted_server: RunningServer) -> None:
    with Replaystack(tmp_path / "data", model_url=scripted_server.base_url) as server:
        with server.http() as http:
            Evals(http).registered(asked(120), name="long")
        arguments = [
            "long",
            "--model",
            "scripted/text;chunks=3;first_ms=80",
            "--json",
            "--data",
            str(server.data),
        ]
        done: list[subprocess.CompletedProcess[str]] = []
        thread = threading.Thread(target=lambda: done.append(replaystack("eval", *arguments)))
        thread.start()
        with server.http() as http:
            benchmark = Benchmark(Evals(http), "long")
            wait_until(lambda: benchmark.get("0").status_code == 200)
            benchmark.until("0", 10)
        server.kill9()
        server.start()
        thread.join(60)
    found = json.loads(told(done[0]))
    assert (found["status"], found["num_done"]) == ("completed", 120)


def test_an_interrupt_leaves_the_job_running(server: Replaystack) -> None:
    command = [sys.executable, "-P", "-m", "stack.cli", "eval", "plain", "--model", "scripted/silent"]
    # A shell that started the tests in the background has them ignore SIGINT, and so would their children.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        process = subprocess.Popen(
            [*command, "--data", str(server.data)],
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            stderr=subprocess.PIPE,
            text=True,
        )
    finally:
        signal.signal(signal.SIGINT, before)
    with server.http() as http:
        benchmark = Benchmark(Evals(http), "plain")
        jobs = benchmark.http.get(f"{benchmark.path}/jobs").json()["data"]

        def begun() -> list[dict[str, Any]]:
            listed: list[dict[str, Any]] = benchmark.http.get(f"{benchmark.path}/jobs").json()["data"]
            return listed[len(jobs) :]

        [job] = wait_until(begun)
        wait_until(lambda: benchmark.status(job["job_id"]) == "in_progress")
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=120)
        assert process.returncode == 1
        assert f"replaystack eval cancel plain/{job['job_id']}" in said
        assert benchmark.status(job["job_id"]) == "in_progress"
        benchmark.cancel(job["job_id"])
