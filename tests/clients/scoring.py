"""llama-stack-client 0.2.x and 0.3.x: scoring functions, scores of rows and of datasets. Prints what it found as JSON.

python scoring.py '"http://127.0.0.1:8321"' '"<model that judges>"' '"<model that says B>"' '"<real model>"'
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any

import llama_stack_client
from llama_stack_client import LlamaStackClient

url, echo, says_b, real = (json.loads(argument) for argument in sys.argv[1:])
client = LlamaStackClient(base_url=url, max_retries=0)
rows: list[dict[str, Any]] = [
    {"input_query": "1+1?", "expected_answer": "2", "generated_answer": answer} for answer in ("2", "3", "2")
]


def status_of(call: Callable[[], Any]) -> int:
    try:
        call()
    except llama_stack_client.APIStatusError as error:
        return error.status_code
    return 200


def judging(model: str, **more: Any) -> dict[str, Any]:
    own: dict[str, Any] = {"judge_score_regexes": [], "aggregation_functions": []}
    return {"type": "llm_as_judge", "judge_model": model} | own | more


def plain(results: dict[str, Any]) -> dict[str, Any]:
    return {
        name: {"score_rows": one.score_rows, "aggregated_results": one.aggregated_results}
        for name, one in results.items()
    }


listed = client.scoring_functions.list()
found: dict[str, Any] = {
    "listed": [one.identifier for one in listed],
    "typed": [
        (one.provider_id, one.type, one.return_type.type, one.params.type, one.metadata == {})
        for one in listed
    ],
    "retrieved": [client.scoring_functions.retrieve(one.identifier) == one for one in listed],
}
functions: dict[str, Any] = {
    "basic::equality": {"type": "basic", "aggregation_functions": ["accuracy", "average", "median"]},
    "basic::subset_of": None,
    "llm-as-judge::405b-simpleqa": judging(says_b),
    "llm-as-judge::base": judging(
        echo,
        prompt_template="The grade is <{generated_answer}>.",
        judge_score_regexes=["<(\\d)>"],
        aggregation_functions=["average", "categorical_count"],
    ),
}
scores = client.scoring.score(input_rows=rows, scoring_functions=functions)
found["scores"] = plain(scores.results)
of_real = client.scoring.score(
    input_rows=rows[:1], scoring_functions={"llm-as-judge::405b-simpleqa": judging(real)}
)
found["real"] = of_real.results["llm-as-judge::405b-simpleqa"].score_rows

registered = client.datasets.register(purpose="eval/question-answer", source={"type": "rows", "rows": rows})
batch = client.scoring.score_batch(
    dataset_id=registered.identifier,
    scoring_functions={"basic::equality": None},
    save_results_dataset=True,
)
found["batch"] = plain(batch.results)
kept = client.datasets.iterrows(batch.dataset_id)
found["kept"] = [row["scores"]["basic::equality"] for row in kept.data]
found["refused"] = [
    status_of(lambda: client.scoring.score(input_rows=rows, scoring_functions={"basic::none": None})),
    status_of(
        lambda: client.scoring.score(
            input_rows=rows, scoring_functions={"llm-as-judge::base": judging("demo/extractive")}
        )
    ),
]
found["unknown"] = status_of(
    lambda: client.scoring.score_batch(
        dataset_id="none", scoring_functions={"basic::equality": None}, save_results_dataset=False
    )
)
print(json.dumps(found))
