"""llama-stack-client 0.2.x and 0.3.x: traces, spans, trees, metrics and exports. Prints what it found as JSON.

python telemetry.py '"http://127.0.0.1:8321"' '{"trace_id": ..., "root": ..., "leaf": ..., "metric": ...}'
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any

import llama_stack_client
from llama_stack_client import LlamaStackClient

url, sent = (json.loads(argument) for argument in sys.argv[1:])
client = LlamaStackClient(base_url=url, max_retries=0)
telemetry = client.telemetry
OURS = {"key": "of clients", "op": "eq", "value": True}
DATASET = f"spans-{llama_stack_client.__version__}"


def status_of(call: Callable[[], Any]) -> int:
    try:
        call()
    except llama_stack_client.APIStatusError as error:
        return error.status_code
    return 200


traces = telemetry.query_traces(attribute_filters=[OURS], limit=5, offset=0, order_by=["-start_time"])
trace = telemetry.get_trace(sent["trace_id"])
span = telemetry.get_span(sent["leaf"], trace_id=sent["trace_id"])
tree = telemetry.get_span_tree(sent["root"], attributes_to_return=["number"], max_depth=2)
whole = telemetry.get_span_tree(sent["root"])
spans = telemetry.query_spans(attribute_filters=[OURS], attributes_to_return=["number"])
telemetry.save_spans_to_dataset(attribute_filters=[OURS], attributes_to_save=["number"], dataset_id=DATASET)
found: dict[str, Any] = {
    "traces": [one.trace_id for one in traces],
    "trace": [trace.root_span_id, trace.start_time.isoformat(), str(trace.end_time - trace.start_time)],
    "span": [span.name, span.parent_span_id, span.attributes],
    "tree": {key: [one.status, one.attributes] for key, one in tree.items()},
    "whole": list(whole),
    "spans": [[one.span_id, one.attributes] for one in spans],
    "rows": [row["number"] for row in client.datasets.iterrows(DATASET).data],
    "unknown": [
        status_of(lambda: telemetry.get_trace("0" * 31 + "1")),
        status_of(lambda: telemetry.get_span("0" * 15 + "1", trace_id=sent["trace_id"])),
        status_of(lambda: telemetry.get_span_tree("0" * 15 + "1")),
    ],
    "refused": status_of(lambda: telemetry.query_traces(order_by=["size"])),
}
if hasattr(telemetry, "query_metrics"):
    series = telemetry.query_metrics(
        sent["metric"],
        query_type="range",
        start_time=sent["start_time"],
        end_time=sent["start_time"] + 119,
        granularity="1m",
        label_matchers=[{"name": "model", "operator": "=~", "value": "a|b"}],
    )
    found["metric"] = [
        [{label.name: label.value for label in one.labels}, [point.value for point in one.values]]
        for one in series
    ]
client.datasets.unregister(DATASET)
print(json.dumps(found))
