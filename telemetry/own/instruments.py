"""The instruments of the server's own metrics, by OpenTelemetry's GenAI conventions v0.1.0
(https://github.com/open-telemetry/semantic-conventions-genai), by their earlier names if requested, and by
the names of the reference server."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from opentelemetry.util.types import AttributeValue

from telemetry.own import conventions as names

if TYPE_CHECKING:
    from opentelemetry.metrics import Counter, Histogram, Meter

    from telemetry.own.metrics import MeasuredCall, MeasuredInvocation, MeasuredSteps, MeasuredTool

OPT_IN = "OTEL_SEMCONV_STABILITY_OPT_IN"
BOTH = ("gen_ai/dup", "gen_ai_latest_experimental/dup")
"""Values, in a comma-separated list, that request the earlier names in addition to the current ones. The
conventions' own value, `gen_ai_latest_experimental`, requests the current names only, which is also the
default."""

Labels = dict[str, AttributeValue]


def emits_earlier_names() -> bool:
    wanted = os.environ.get(OPT_IN, "").split(",")
    return any(one.strip().lower() in BOTH for one in wanted)


class Instruments:
    """The instruments of one meter. Not thread-safe. Call `flush` after several records: sums are accumulated
    first, because the SDK takes 12 to 17 us for each value."""

    def __init__(self, meter: Meter, with_earlier_names: bool) -> None:
        self._counted: dict[str, dict[tuple[tuple[str, AttributeValue], ...], int]] = {}
        self._counters: dict[str, Counter] = {}
        self._histograms: dict[str, Histogram] = {}
        for name, unit, description in names.COUNTERS:
            self._counters[name] = meter.create_counter(name, unit, description)
        self._gauges = {
            name: meter.create_gauge(name, unit, description) for name, unit, description in names.GAUGES
        }
        histograms = [*names.HISTOGRAMS, *(names.EARLIER_HISTOGRAMS if with_earlier_names else ())]
        for name, unit, boundaries, description in histograms:
            self._histograms[name] = meter.create_histogram(
                name, unit, description, explicit_bucket_boundaries_advisory=boundaries
            )

    def call(self, call: MeasuredCall) -> None:
        labels = _labels_of(call)
        failed: Labels = {names.ERROR_TYPE: call.error} if call.error else {}
        self._record(names.GEN_AI_CLIENT_INFERENCE_DURATION, call.duration_s, labels | failed)
        self._record(names.GEN_AI_CLIENT_OPERATION_DURATION, call.duration_s, labels | failed)
        if call.first_chunk_s is not None:
            self._record(names.GEN_AI_CLIENT_INFERENCE_TIME_TO_FIRST_CHUNK, call.first_chunk_s, labels)
        reference: Labels = {
            names.MODEL_ID: f"{call.provider}/{call.model}",
            names.PROVIDER_ID: call.provider,
        }
        for tokens, kind, usage, operation, own in (
            (call.input_tokens, "input", *names.INPUT_TOKENS),
            (call.output_tokens, "output", *names.OUTPUT_TOKENS),
        ):
            # A count that the model server does not report is unknown, not 0.
            if tokens is None:
                continue
            self._count(usage, tokens, labels | {names.GEN_AI_TOKEN_MODALITY: names.UNKNOWN})
            self._record(operation, tokens, labels | failed)
            self._record(names.GEN_AI_CLIENT_TOKEN_USAGE, tokens, labels | {names.GEN_AI_TOKEN_TYPE: kind})
            self._count(own, tokens, reference)
            self._count(names.TOTAL_TOKENS, tokens, reference)

    def invocation(self, one: MeasuredInvocation) -> None:
        labels: Labels = {names.GEN_AI_AGENT_NAME: one.agent} if one.agent else {}
        calls = dict(labels)
        labels[names.GEN_AI_REQUEST_MODEL] = one.model
        if one.error:
            labels[names.ERROR_TYPE] = one.error
        self._record(names.GEN_AI_INVOKE_AGENT_DURATION, one.duration_s, labels)
        self._record(names.GEN_AI_INVOKE_AGENT_INFERENCE_CALLS, one.inference_calls, calls)
        self._record(names.GEN_AI_INVOKE_AGENT_TOOL_CALLS, one.tool_calls, calls)

    def tool(self, one: MeasuredTool) -> None:
        labels: Labels = {names.GEN_AI_TOOL_NAME: one.tool, names.GEN_AI_TOOL_TYPE: one.kind}
        if one.agent:
            labels[names.GEN_AI_AGENT_NAME] = one.agent
        self._record(names.GEN_AI_EXECUTE_TOOL_DURATION, one.duration_s, labels)

    def steps(self, one: MeasuredSteps) -> None:
        labels: Labels = {names.GEN_AI_REQUEST_MODEL: one.model, names.TRAINING_ALGORITHM: one.algorithm}
        self._count(names.TRAINING_STEPS, len(one.durations_s), labels)
        self._count(names.TRAINING_TOKENS, one.tokens, labels)
        for duration_s in one.durations_s:
            self._record(names.TRAINING_STEP_DURATION, duration_s, labels)
        self._gauges[names.TRAINING_LOSS].set(one.loss, {"job_uuid": one.job_uuid})

    def flush(self) -> None:
        """Records the accumulated sums."""
        for name, sums in self._counted.items():
            for labels, value in sums.items():
                self._counters[name].add(value, dict(labels))
        self._counted.clear()

    def _record(self, name: str, value: float, labels: Labels) -> None:
        histogram = self._histograms.get(name)
        if histogram is not None:
            histogram.record(value, labels)

    def _count(self, name: str, value: int, labels: Labels) -> None:
        sums = self._counted.setdefault(name, {})
        key = tuple(labels.items())
        sums[key] = sums.get(key, 0) + value


def _labels_of(call: MeasuredCall) -> Labels:
    labels: Labels = {
        names.GEN_AI_OPERATION_NAME: call.operation,
        names.GEN_AI_PROVIDER_NAME: call.provider,
        names.GEN_AI_REQUEST_MODEL: call.model,
    }
    if call.response_model:
        labels[names.GEN_AI_RESPONSE_MODEL] = call.response_model
    if call.address:
        labels |= {names.SERVER_ADDRESS: call.address, names.SERVER_PORT: call.port}
    return labels
