"""llama-stack-client 0.2.x and 0.3.x: datasets and their rows. Prints what it found as JSON.

python datasets.py '"http://127.0.0.1:8321"'
"""

from __future__ import annotations

import base64
import json
import sys
from collections.abc import Callable
from typing import Any

import llama_stack_client
from llama_stack_client import LlamaStackClient

[url] = (json.loads(argument) for argument in sys.argv[1:])
client = LlamaStackClient(base_url=url, max_retries=0)
datasets = client.datasets
ID = f"clients/{llama_stack_client.__version__}"
ROWS = [
    {"question": f"{number}+1?", "answer": number + 1, "share": 0.5, "more": {"a": [None]}}
    for number in range(25)
]


def status_of(call: Callable[[], Any]) -> int:
    try:
        call()
    except llama_stack_client.APIStatusError as error:
        return error.status_code
    return 200


def register(rows: list[dict[str, Any]], **more: Any) -> Any:
    return datasets.register(purpose="eval/question-answer", source={"type": "rows", "rows": rows}, **more)


def pages(dataset_id: str, size: int) -> list[Any]:
    rows: list[Any] = []
    while True:
        page = datasets.iterrows(dataset_id, start_index=len(rows), limit=size)
        rows += page.data
        if not page.has_more:
            return rows


registered = register(ROWS, dataset_id=ID, metadata={"kind": "sums"})
csv = base64.b64encode(b"question,answer\n1+1?,2\n2+2?,4\n").decode()
of_uri = datasets.register(
    purpose="eval/question-answer", source={"type": "uri", "uri": f"data:csv;base64,{csv}"}
)
appends = hasattr(datasets, "appendrows")
if appends:
    datasets.appendrows(ID, rows=ROWS[:2])
found: dict[str, Any] = {
    "registered": [registered.identifier, registered.provider_id, registered.type, registered.metadata],
    "retrieved": datasets.retrieve(ID).source.rows[:25] == ROWS,
    "listed": ID in [one.identifier for one in datasets.list()],
    "rows": pages(ID, 10) == ROWS + (ROWS[:2] if appends else []),
    "appends": appends,
    "whole": len(datasets.iterrows(ID).data),
    "of_uri": datasets.iterrows(of_uri.identifier).data,
    "again": status_of(lambda: register(ROWS, dataset_id=ID, metadata={"kind": "sums"})),
    "other": status_of(lambda: register(ROWS[:3], dataset_id=ID)),
    "unknown": [status_of(lambda: datasets.retrieve("none")), status_of(lambda: datasets.iterrows("none"))],
}
datasets.unregister(ID)
datasets.unregister(of_uri.identifier)
found["gone"] = status_of(lambda: datasets.retrieve(ID))
print(json.dumps(found))
