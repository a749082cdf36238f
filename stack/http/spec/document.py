"""The OpenAPI document of the server: generated when it is first requested, and kept as bytes."""

from __future__ import annotations

import functools

import msgspec

from stack.http.spec import (
    agent,
    chat_completion,
    dataset,
    eval,
    extension,
    jaeger,
    otlp,
    post_training,
    rerank,
    scoring,
    telemetry,
)
from stack.http.spec.components import Components, Schema
from stack.http.spec.operation import described, shared_responses
from stack.version import VERSION

OPERATIONS = (
    *agent.OPERATIONS,
    *dataset.OPERATIONS,
    *eval.OPERATIONS,
    *post_training.OPERATIONS,
    *telemetry.OPERATIONS,
    *rerank.OPERATIONS,
    *extension.OPERATIONS,
)

DESCRIPTION = """\
An agent backend that forgets nothing, behind the Llama Stack experimental API.

Everything under `/v1alpha` and `/v1beta` also answers under the deprecated `/v1`, for older clients. Times are RFC 3339 in UTC
with microseconds. Absent optional fields are left out, and unknown ones refused. Every answer carries `x-trace-id`.
A POST that changes something takes an `Idempotency-Key`: the same key and body get the first answer again.
"""

TAGS = {
    agent.TAG: "Agents, their sessions, and the turns and steps in them.",
    dataset.TAG: "Datasets, their versions and their rows.",
    eval.TAG: "Benchmarks, the jobs that evaluate models and agents on them, and their comparison.",
    post_training.TAG: "Jobs that train models, their progress and their checkpoints.",
    telemetry.TAG: "Traces and metrics, of the server itself and of everyone who sends them.",
    rerank.TAG: "Reranking.",
    extension.TAG: "What clients and their helpers call although it is not part of the Llama Stack specification.",
}


def document() -> Schema:
    details = (
        agent,
        dataset,
        scoring,
        eval,
        post_training,
        telemetry,
        rerank,
        chat_completion,
        otlp,
        jaeger,
    )
    components = Components(
        {kind: one for module in details for kind, one in module.DETAILS.items()},
        [*agent.NAMED, *dataset.NAMED, *scoring.NAMED, *eval.NAMED, *post_training.NAMED, *telemetry.NAMED],
        agent.PLAIN,
    )
    paths: dict[str, Schema] = {}
    for operation in OPERATIONS:
        paths.setdefault(operation.path, {})[operation.method] = described(operation, components)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Replaystack",
            "version": VERSION,
            "description": DESCRIPTION,
        },
        "tags": [{"name": name, "description": text} for name, text in TAGS.items()],
        "paths": paths,
        "components": {
            "responses": shared_responses(components),
            "schemas": components.schemas,
            "securitySchemes": {
                "key": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "A key from the server's settings, where it has any.",
                }
            },
        },
        "security": [{}, {"key": []}],
    }


@functools.cache
def as_json() -> bytes:
    return msgspec.json.format(msgspec.json.encode(document()), indent=2)


@functools.cache
def as_yaml() -> bytes:
    return msgspec.yaml.encode(document())
