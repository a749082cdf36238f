"""llama-stack-client 0.2.x and 0.3.x: benchmarks, evaluations and jobs. Prints what it found as JSON.

python evals.py '"http://127.0.0.1:8321"' '{"model": ..., "real_model": ..., "silent_model": ...}'
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from typing import Any

import llama_stack_client
from llama_stack_client import LlamaStackClient

url, wanted = (json.loads(argument) for argument in sys.argv[1:])
client = LlamaStackClient(base_url=url)
older = not hasattr(client, "alpha")
evals: Any = client.eval if older else client.alpha.eval
benchmarks: Any = next(
    holder.benchmarks for holder in (client, getattr(client, "alpha", None)) if hasattr(holder, "benchmarks")
)
ID = f"clients::eval/{llama_stack_client.__version__}"
FUNCTIONS = ["basic::equality", "basic::subset_of"]
CHAT = [{"role": "user", "content": "Say it."}]
ROWS: list[dict[str, Any]] = [
    {"chat_completion_input": json.dumps(CHAT), "input_query": "Say it.", "expected_answer": answer}
    for answer in ("The answer comes", "answer", "something else")
]


def status_of(call: Callable[[], Any]) -> int:
    try:
        call()
    except llama_stack_client.APIStatusError as error:
        return error.status_code
    return 200


def config(model: str, **more: Any) -> dict[str, Any]:
    """As the client's own command writes it."""
    params = {"temperature": 0.0, "max_tokens": 64, "top_p": 0.9, "repeat_penalty": 1.0}
    candidate = {"type": "model", "model": model, "sampling_params": params}
    return {"type": "benchmark", "eval_candidate": candidate, "scoring_params": {}, **more}


def agent(model: str) -> dict[str, Any]:
    own = {"model": model, "instructions": "Answer.", "sampling_params": {"strategy": {"type": "greedy"}}}
    return {"eval_candidate": {"type": "agent", "config": own}, "scoring_params": {}}


def scores_of(answer: Any) -> dict[str, Any]:
    return {
        "answers": [one["generated_answer"] for one in answer.generations],
        "scores": {name: [row["score"] for row in one.score_rows] for name, one in answer.scores.items()},
        "aggregated": {name: one.aggregated_results for name, one in answer.scores.items()},
    }


def run(benchmark_config: dict[str, Any]) -> dict[str, Any]:
    """A job, asked for its status until it has ended, and its result."""
    job = evals.run_eval(ID, benchmark_config=benchmark_config)
    deadline = time.monotonic() + 60
    while job.status in ("scheduled", "in_progress") and time.monotonic() < deadline:
        time.sleep(0.05)
        job = evals.jobs.status(job.job_id, benchmark_id=ID)
    result = evals.jobs.retrieve(job.job_id, benchmark_id=ID)
    return {"job_id": job.job_id, "status": job.status, **scores_of(result)}


client.datasets.register(purpose="eval/question-answer", dataset_id=ID, source={"type": "rows", "rows": ROWS})
benchmarks.register(benchmark_id=ID, dataset_id=ID, scoring_functions=FUNCTIONS)
benchmarks.register(benchmark_id=ID, dataset_id=ID, scoring_functions=FUNCTIONS)
shown = benchmarks.retrieve(ID)
rows = client.datasets.iterrows(ID).data
found: dict[str, Any] = {
    "shown": [shown.identifier, shown.dataset_id, shown.scoring_functions, shown.type],
    "listed": ID in [one.identifier for one in benchmarks.list()],
    "rows": scores_of(
        evals.evaluate_rows(
            ID, input_rows=rows, scoring_functions=FUNCTIONS, benchmark_config=config(wanted["model"])
        )
    ),
    "one_by_one": [
        evals.evaluate_rows(
            ID, input_rows=[row], scoring_functions=FUNCTIONS, benchmark_config=config(wanted["model"])
        )
        .scores["basic::equality"]
        .score_rows[0]["score"]
        for row in rows
    ],
    "job": run(config(wanted["model"])),
    "agent": run(agent(wanted["model"])),
    "real": run(config(wanted["real_model"], num_examples=2)),
}
hangs = evals.run_eval(ID, benchmark_config=config(wanted["silent_model"]))
began = time.monotonic()
evals.jobs.cancel(hangs.job_id, benchmark_id=ID)
found["cancelled"] = {
    "before": hangs.status,
    "after": evals.jobs.status(hangs.job_id, benchmark_id=ID).status,
    "within_s": time.monotonic() - began,
}
found["refused"] = [
    status_of(lambda: benchmarks.retrieve("none")),
    status_of(lambda: evals.run_eval("none", benchmark_config=config(wanted["model"]))),
    status_of(lambda: evals.jobs.status("99", benchmark_id=ID)),
    status_of(lambda: benchmarks.register(benchmark_id=ID, dataset_id=ID, scoring_functions=[])),
    status_of(lambda: evals.run_eval(ID, benchmark_config=config("no one/knows"))),
]
if hasattr(benchmarks, "unregister"):
    benchmarks.unregister(ID)
    found["gone"] = status_of(lambda: benchmarks.retrieve(ID))
print(json.dumps(found))
