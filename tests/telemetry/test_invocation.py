"""Invocations of agents as metrics: how long they took, and the calls of models and tools that they made."""

from __future__ import annotations

from typing import Any

from opentelemetry.sdk.metrics.export import InMemoryMetricReader, Metric
from opentelemetry.sdk.resources import Resource

from telemetry.own.invocation import Invocations
from telemetry.own.metrics import Metrics
from telemetry.own.model_call import ModelCalls
from telemetry.own.tracing import Tracing


def counted(metrics: Metrics) -> dict[str, Metric]:
    reader = InMemoryMetricReader()
    metrics.open(Resource({}), [reader], "1")
    metrics.count()
    data = reader.get_metrics_data()
    assert data is not None
    found = {one.name: one for one in data.resource_metrics[0].scope_metrics[0].metrics}
    metrics.close(5)
    return found


def test_invocations_and_their_calls() -> None:
    metrics = Metrics()
    invocations, calls = Invocations(metrics), ModelCalls(Tracing(None), metrics)

    def call() -> None:
        with calls.begin("up", "m", "", {}) as one:
            one.answered(("stop",))

    with invocations.begin("harbour", "up/m") as one:
        call()
        call()
        one.tool_called("look", "function", 2.5)
        one.tool_called("absent", "function", None)  # Nothing ran.
        one.failed("500")
        one.ended = True
    with invocations.begin("harbour", "up/m"):
        call()  # The invocation was cut short.
    call()  # Of no agent.
    found = counted(metrics)

    def only(name: str) -> tuple[float, str, dict[str, Any], list[float]]:
        [point] = found[name].data.data_points
        assert point.count == 1
        return point.sum, found[name].unit or "", dict(point.attributes), list(point.explicit_bounds)

    took, unit, labels, bounds = only("gen_ai.invoke_agent.duration")
    assert took > 0 and unit == "s" and (bounds[0], bounds[-1]) == (0.1, 409.6)
    assert labels == {"gen_ai.agent.name": "harbour", "gen_ai.request.model": "up/m", "error.type": "500"}
    bounds, agent = [0, 1, 2, 4, 8, 16, 32, 64], {"gen_ai.agent.name": "harbour"}
    assert only("gen_ai.invoke_agent.inference_calls") == (2, "{inference_call}", agent, bounds)
    assert only("gen_ai.invoke_agent.tool_calls") == (2, "{tool_call}", agent, bounds)
    took, unit, labels, bounds = only("gen_ai.execute_tool.duration")
    assert (took, unit, bounds[0], bounds[-1]) == (2.5, "s", 0.01, 81.92)
    assert labels == agent | {"gen_ai.tool.name": "look", "gen_ai.tool.type": "function"}
