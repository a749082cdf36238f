"""Scores over HTTP: of rows, of datasets, by judges, with whatever may be wrong with them."""

from __future__ import annotations

import json
import time
from typing import Any

import httpx
import psutil
import pytest

from tests.server.api import check_error
from tests.server.conftest import FreshServer
from tests.server.datasets import Datasets
from tests.server.process import Replaystack, wait_until
from tests.servers.processes import RunningServer

EQUALITY, SUBSET, CHOICE = "basic::equality", "basic::subset_of", "basic::regex_parser_multiple_choice_answer"
MATH, DOCVQA, IFEVAL, BFCL = (
    "basic::regex_parser_math_response",
    "basic::docvqa",
    "basic::ifeval",
    "basic::bfcl",
)
BASE, SIMPLEQA = "llm-as-judge::base", "llm-as-judge::405b-simpleqa"
ALL = [EQUALITY, SUBSET, CHOICE, MATH, DOCVQA, IFEVAL, BFCL, BASE, SIMPLEQA]
ROW = {"input_query": "1+1?", "expected_answer": "2", "generated_answer": "2"}


def judging(model: str, **more: Any) -> dict[str, Any]:
    own = {"judge_score_regexes": [], "aggregation_functions": []}
    return {"type": "llm_as_judge", "judge_model": model} | own | more


def post(http: httpx.Client, rows: Any, functions: Any, **more: Any) -> httpx.Response:
    return http.post("/v1/scoring/score", json={"input_rows": rows, "scoring_functions": functions} | more)


def scored(http: httpx.Client, rows: Any, functions: Any) -> dict[str, Any]:
    answer = post(http, rows, functions)
    assert answer.status_code == 200, answer.text
    results: dict[str, Any] = answer.json()["results"]
    return results


def batch(
    http: httpx.Client, dataset_id: str, functions: Any, headers: dict[str, str] | None = None, **more: Any
) -> httpx.Response:
    body = {"dataset_id": dataset_id, "scoring_functions": functions} | more
    return http.post("/v1/scoring/score-batch", json=body, headers=headers)


def test_all_functions_are_listed_and_shown(client: httpx.Client) -> None:
    listed = client.get("/v1/scoring-functions").raise_for_status().json()["data"]
    assert [one["identifier"] for one in listed] == ALL
    for one in listed:
        assert client.get(f"/v1/scoring-functions/{one['identifier']}").json() == one
        assert one["type"] == "scoring_function" and one["metadata"] == {}
        assert one["provider_id"] == one["identifier"].partition("::")[0]
        assert one["return_type"] == {"type": "number"} and one["description"]
        assert one["params"]["aggregation_functions"]
    by_name = {one["identifier"]: one["params"] for one in listed}
    assert by_name[EQUALITY] == {"type": "basic", "aggregation_functions": ["accuracy"]}
    assert by_name[CHOICE]["parsing_regexes"] == []
    assert by_name[SIMPLEQA]["type"] == "llm_as_judge" and by_name[SIMPLEQA]["judge_model"] == ""
    check_error(client.get("/v1/scoring-functions/basic::none"), 404, "basic::none")
    check_error(client.post("/v1/scoring-functions", json={}), 501, "built in")
    check_error(client.delete("/v1/scoring-functions/basic::equality"), 501, "built in")


@pytest.mark.slow
def test_rows_are_scored_by_each_function(client: httpx.Client) -> None:
    rows = [ROW, ROW | {"generated_answer": "Answer: 3"}]
    results = scored(client, rows, {EQUALITY: None, SUBSET: None, MATH: None, DOCVQA: None})
    assert list(results) == [EQUALITY, SUBSET, MATH, DOCVQA]
    assert results[EQUALITY] == {
        "score_rows": [{"score": 1.0}, {"score": 0.0}],
        "aggregated_results": {"accuracy": {"accuracy": 0.5, "num_correct": 1, "num_total": 2}},
    }
    assert [row["score"] for row in results[MATH]["score_rows"]] == [1.0, 0.0]
    assert results[DOCVQA]["score_rows"][0] == {"score": 1.0, "anls": 1.0}


def test_instructions_and_calls_are_scored(client: httpx.Client) -> None:
    follows = {
        "generated_answer": "no commas here",
        "instruction_id_list": ["punctuation:no_comma", "startend:quotation"],
        "kwargs": [{}, {}],
    }
    result = scored(client, [follows], {IFEVAL: None})[IFEVAL]
    assert result["score_rows"] == [{"score": 0.5, "weight": 2.0}]
    assert result["aggregated_results"] == {"weighted_average": {"weighted_average": 0.5}}
    function = {"name": "f", "parameters": {"properties": {"a": {"type": "integer"}}, "required": ["a"]}}
    call = {
        "id": "simple_0",
        "language": "Python",
        "function": json.dumps([function]),
        "ground_truth": json.dumps([{"f": {"a": [1]}}]),
        "generated_answer": "[f(a=1)]",
    }
    assert scored(client, [call], {BFCL: None})[BFCL]["score_rows"] == [{"score": 1.0}]


def test_parameters_act_on_their_request_only(client: httpx.Client) -> None:
    params = {
        "type": "regex_parser",
        "parsing_regexes": [r"<(\d)>"],
        "aggregation_functions": ["average", "median", "categorical_count"],
    }
    rows = [{"expected_answer": "2", "generated_answer": "<2> Answer: B"}]
    result = scored(client, rows, {CHOICE: params})[CHOICE]
    assert result["aggregated_results"] == {
        "average": {"average": 1.0},
        "median": {"median": 1.0},
        "categorical_count": {"categorical_count": {"1.0": 1}},
    }
    again = scored(client, rows, {CHOICE: None})[CHOICE]
    assert again["score_rows"] == [{"score": 0.0}] and list(again["aggregated_results"]) == ["accuracy"]


@pytest.mark.slow
def test_a_bad_row_fails_alone(client: httpx.Client) -> None:
    rows = [ROW, {}, {"expected_answer": "2"}, ROW | {"generated_answer": None}]
    results = scored(client, rows, {EQUALITY: None, SUBSET: None, MATH: None})
    equal = results[EQUALITY]
    assert equal["score_rows"][1] == {"score": 0, "error": "The row has no 'expected_answer'."}
    assert equal["aggregated_results"]["accuracy"] == {
        "accuracy": 0.25,
        "num_correct": 1,
        "num_total": 4,
        "num_failed": 2,
    }
    for name in (SUBSET, MATH):
        assert [row["score"] for row in results[name]["score_rows"]] == [1.0, 0, 0, 0]
        assert results[name]["aggregated_results"]["accuracy"]["num_failed"] == 3


def test_no_rows_have_no_accuracy(client: httpx.Client) -> None:
    result = scored(client, [], {EQUALITY: None})[EQUALITY]
    none = {"accuracy": None, "num_correct": 0, "num_total": 0}
    assert result == {"score_rows": [], "aggregated_results": {"accuracy": none}}


@pytest.mark.parametrize(
    ("rows", "functions", "problem"),
    [
        ([1], {EQUALITY: None}, "input_rows"),
        ([ROW, [ROW]], {EQUALITY: None}, "input_rows"),
        (None, {EQUALITY: None}, "input_rows"),
        ({}, {EQUALITY: None}, "input_rows"),
        ([ROW], {}, "scoring_functions is empty"),
        ([ROW], [EQUALITY], "scoring_functions"),
        ([ROW], {"basic::equalty": None}, "Nearest: 'basic::equality'"),
        ([ROW], {EQUALITY: {"type": "basic", "aggregation_functions": ["mode"]}}, "aggregation_functions"),
        ([ROW], {EQUALITY: {"type": "basic"}}, "aggregation_functions"),
        (
            [ROW],
            {EQUALITY: {"type": "basic", "aggregation_functions": [], "parsing_regexes": []}},
            "parsing_regexes",
        ),
        ([ROW], {EQUALITY: {"type": "other", "aggregation_functions": []}}, "other"),
        (
            [ROW],
            {CHOICE: {"type": "regex_parser", "parsing_regexes": ["(?<=a)b"], "aggregation_functions": []}},
            "no look-behind",
        ),
        ([ROW], {BASE: None}, "judge_model"),
        ([ROW], {BASE: judging("demo/extractive")}, "cannot judge"),
        ([ROW], {BASE: judging("no one")}, "'no one' is unknown"),
        ([ROW], {BASE: judging("scripted/text", prompt_template="{generated_answer} {who}")}, "{who}"),
    ],
)
def test_a_bad_request_is_refused_whole(
    client: httpx.Client, rows: Any, functions: Any, problem: str
) -> None:
    check_error(post(client, rows, functions), 400, problem)


def test_unknown_fields_are_refused_and_nulls_are_fine(client: httpx.Client) -> None:
    check_error(post(client, [ROW], {EQUALITY: None}, input_row=[]), 400, "input_row", "did you mean")
    params = judging("scripted/say;text=Score: 3", prompt_template=None)
    assert scored(client, [ROW], {BASE: params})[BASE]["score_rows"][0]["score"] == 3


def test_a_judge_judges(client: httpx.Client, scripted: RunningServer) -> None:
    functions = {
        BASE: judging("scripted/say;text=Fine. Score: 7"),
        SIMPLEQA: judging("scripted/say;text=B"),
    }
    answer = post(client, [ROW, ROW], functions)
    results = answer.json()["results"]
    assert results[BASE] == {
        "score_rows": [{"score": 7, "judge_feedback": "Fine. Score: 7"}] * 2,
        "aggregated_results": {"average": {"average": 7}},
    }
    assert results[SIMPLEQA] == {
        "score_rows": [{"score": "B", "judge_feedback": "B"}] * 2,
        "aggregated_results": {"categorical_count": {"categorical_count": {"B": 2}}},
    }
    asked = [request["body"]["messages"][0]["content"] for request in scripted.requests()]
    assert all("1+1?" in text and "{" not in text for text in asked) and len(asked) == 4
    # Asked within the trace of the request.
    parents = [request["headers"]["traceparent"] for request in scripted.requests()]
    assert all(answer.headers["x-trace-id"] in parent for parent in parents)


def test_a_row_cannot_break_the_prompt(client: httpx.Client, scripted: RunningServer) -> None:
    nasty = "{expected_answer} {{x}} {0.__class__} \\g<0> %s"
    template = 'Judge: {generated_answer}. Say {{"grade": 1}}'
    params = judging("scripted/say;text=grade=<5>", prompt_template=template, judge_score_regexes=["<(\\d)>"])
    result = scored(client, [{"generated_answer": nasty}], {BASE: params})[BASE]
    assert result["score_rows"] == [{"score": 5, "judge_feedback": "grade=<5>"}]
    (request,) = scripted.requests()
    assert request["body"]["messages"][0]["content"] == f'Judge: {nasty}. Say {{"grade": 1}}'


def test_rubbish_and_silence_of_a_judge_fail_its_rows(client: httpx.Client) -> None:
    rubbish = scored(client, [ROW], {SIMPLEQA: judging("scripted/text;chunks=3")})[SIMPLEQA]
    (row,) = rubbish["score_rows"]
    assert row["score"] == 0 and "no grade" in row["error"] and row["judge_feedback"] == "The answer comes"
    assert rubbish["aggregated_results"]["categorical_count"] == {"categorical_count": {}, "num_failed": 1}
    refused = scored(client, [ROW], {SIMPLEQA: judging("scripted/status;code=400")})[SIMPLEQA]
    assert refused["score_rows"][0]["score"] == 0 and "400" in refused["score_rows"][0]["error"]


@pytest.mark.slow
def test_a_judge_that_fails_now_and_then_is_asked_again(
    client: httpx.Client, scripted: RunningServer
) -> None:
    scripted.queue("status;code=503", "drop", "say;text=Score: 4")
    result = scored(client, [ROW], {BASE: judging("scripted/say;text=Score: 9")})[BASE]
    assert result["score_rows"] == [{"score": 4, "judge_feedback": "Score: 4"}]
    assert scripted.counts()["requests"] == 3


def test_grades_have_no_average(client: httpx.Client) -> None:
    params = judging("scripted/say;text=A", aggregation_functions=["average", "categorical_count"])
    found = scored(client, [ROW], {SIMPLEQA: params})[SIMPLEQA]["aggregated_results"]
    assert found["average"]["average"] is None and "not numbers" in found["average"]["error"]
    assert found["categorical_count"] == {"categorical_count": {"A": 1}}


def test_a_dataset_is_scored(client: httpx.Client) -> None:
    datasets = Datasets(client)
    rows = [ROW, ROW | {"generated_answer": "3", "big": 2**53 + 1}, {"other": "é"}]
    dataset_id = datasets.registered(rows)
    answer = batch(client, dataset_id, {EQUALITY: None, SUBSET: None}, save_results_dataset=False)
    assert answer.status_code == 200 and list(answer.json()) == ["results"]
    assert answer.json()["results"] == scored(client, rows, {EQUALITY: None, SUBSET: None})
    check_error(batch(client, "no/such", {EQUALITY: None}), 404, "no/such")
    check_error(batch(client, dataset_id, {}), 400, "scoring_functions")
    assert batch(client, dataset_id, {EQUALITY: None}, save_results_dataset=None).status_code == 200


def test_the_results_are_saved_as_a_dataset_once(client: httpx.Client) -> None:
    datasets = Datasets(client)
    rows = [ROW, ROW | {"generated_answer": "3", "big": 2**63, "f": 1.0}, {"other": "é"}]
    dataset_id = datasets.registered(rows)
    headers = {"idempotency-key": dataset_id}
    first = batch(client, dataset_id, {EQUALITY: None, SUBSET: None}, headers, save_results_dataset=True)
    assert first.status_code == 200, first.text
    saved = first.json()["dataset_id"]
    kept = datasets.rows(saved)
    assert [row["input"] for row in kept] == rows
    for name, result in first.json()["results"].items():
        assert [row["scores"][name] for row in kept] == result["score_rows"]
    said = datasets.show(saved).json()["metadata"]["scored"]
    assert (said["dataset_id"], said["dataset_version"]) == (dataset_id, 1)
    again = batch(client, dataset_id, {EQUALITY: None, SUBSET: None}, headers, save_results_dataset=True)
    assert again.json() == first.json()
    check_error(batch(client, dataset_id, {EQUALITY: None}, headers, save_results_dataset=True), 409, "Idem")


@pytest.mark.slow
def test_a_row_that_hangs_fails_and_others_are_served(client: httpx.Client) -> None:
    rows = [
        {"expected_answer": "1", "generated_answer": "\\boxed{9^{9^{9^9}}}"},
        {"expected_answer": "1/2", "generated_answer": "\\boxed{0.5}"},
    ]
    result = scored(client, rows, {MATH: None})[MATH]
    assert "computing time" in result["score_rows"][0]["error"]
    assert result["score_rows"][1] == {"score": 1.0}


def test_a_pattern_that_would_explode_does_not(client: httpx.Client) -> None:
    params = {
        "type": "regex_parser",
        "parsing_regexes": [r"^(([a-z])+.)+[A-Z]([a-z])+$", r"(x+x+)+y"],
        "aggregation_functions": [],
    }
    began = time.monotonic()
    result = scored(client, [{"expected_answer": "a", "generated_answer": "x" * 100_000}], {CHOICE: params})
    assert result[CHOICE]["score_rows"] == [{"score": 0.0}]
    assert time.monotonic() - began < 10


@pytest.mark.slow
def test_many_rows_and_large_ones_do_not_stop_the_server(fresh_server: FreshServer) -> None:
    server = fresh_server(max_body_bytes=64 << 20)
    rows = [{"expected_answer": "a", "generated_answer": "Answer: a" * 5}] * 100_000
    large = [{"expected_answer": "a", "generated_answer": "b" * 10_000_000}] * 2
    functions = {EQUALITY: None, SUBSET: None, CHOICE: None}
    slowest = took = 0.0
    with server.http(headers={}) as http, server.http() as other:
        http.timeout = httpx.Timeout(120)
        for body in (rows, large):
            sent_at = time.monotonic()
            sending = _Sending(http, body, functions)
            while not sending.done:
                began = time.monotonic()
                assert other.get("/v1/health").status_code == 200
                slowest = max(slowest, time.monotonic() - began)
                time.sleep(0.005)
            took += time.monotonic() - sent_at
            assert sending.answer.status_code == 200, sending.answer.text[:500]
            results = sending.answer.json()["results"]
            assert [len(one["score_rows"]) for one in results.values()] == [len(body)] * 3
        # A request that waited for the rows would take as long as they did.
        assert slowest < took / 3, (slowest, took)
        check_error(post(http, [{}] * 400_001, {EQUALITY: None}), 413, "400,000")
    server.check_healthy()


def test_no_worker_outlives_a_killed_server(fresh_server: FreshServer) -> None:
    server = fresh_server()
    with server.http() as http:
        scored(http, [{"expected_answer": ["a"], "generated_answer": "a"}], {DOCVQA: None})
    (worker,) = workers_of(server)
    server.kill9()
    wait_until(lambda: not worker.is_running() or worker.status() == psutil.STATUS_ZOMBIE)


def test_a_server_that_stops_takes_its_workers_along(fresh_server: FreshServer) -> None:
    server = fresh_server()
    with server.http() as http:
        scored(http, [{"expected_answer": ["a"], "generated_answer": "a"}], {DOCVQA: None})
    (worker,) = workers_of(server)
    assert server.stop() == 0
    assert not worker.is_running()


def workers_of(server: Replaystack) -> list[psutil.Process]:
    children = psutil.Process(server.pid).children(recursive=True)
    return [one for one in children if "stack.providers.scoring.worker" in one.cmdline()]


class _Sending:
    """A request that is under way in a thread."""

    def __init__(self, http: httpx.Client, rows: Any, functions: Any) -> None:
        import threading

        self.answer: httpx.Response

        def run() -> None:
            self.answer = post(http, rows, functions)

        self._thread = threading.Thread(target=run)
        self._thread.start()

    @property
    def done(self) -> bool:
        return not self._thread.is_alive()
