"""Events as services record them, as (stream, name, payload) for a test feed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

Happening = tuple[str, str, dict[str, Any] | bytes]


def agent_created(agent_id: str, model: str = "demo/extractive", **more: Any) -> Happening:
    config = {"model": model, "instructions": f"Be {agent_id}.", "name": agent_id}
    return (f"agent/{agent_id}", "agent.created.1", {"config": config, "actor": "key-1", **more})


def agent_updated(agent_id: str, instructions: str) -> Happening:
    config = {"model": "demo/extractive", "instructions": instructions, "name": agent_id}
    return (f"agent/{agent_id}", "agent.updated.1", {"config": config, "actor": "key-3"})


def agent_deleted(agent_id: str) -> Happening:
    return (f"agent/{agent_id}", "agent.deleted.1", {"actor": "key-2"})


def session_created(session_id: str, agent_id: str) -> Happening:
    return (
        f"session/{session_id}",
        "session.created.1",
        {"agent_id": agent_id, "session_name": f"About {session_id}", "trace_id": "ab" * 16},
    )


def session_forked(
    session_id: str, agent_id: str, parent: str, turns: list[str], root: str = ""
) -> list[Happening]:
    """The two events of a fork, in the order of the log."""
    root = root or parent
    forked = {"agent_id": agent_id, "session_name": f"Fork {session_id}", "parent": parent, "root": root}
    return [
        (f"session/{root}", "session.fork_added.1", {"session_id": session_id}),
        (
            f"session/{session_id}",
            "session.forked.1",
            {**forked, "parent_version": 1, "turns": turns},
        ),
    ]


def session_deleted(session_id: str, kept: Sequence[str] = (), freed: Sequence[str] = ()) -> Happening:
    said = {"kept": list(kept), "freed": list(freed)}
    return (f"session/{session_id}", "session.deleted.1", {key: ids for key, ids in said.items() if ids})


def turn_opened(turn_id: str, session_id: str, agent_id: str, text: str = "Hello?") -> list[Happening]:
    """The two events that open a turn, in the order of the log."""
    return [
        (f"session/{session_id}", "session.turn_opened.1", {"turn_id": turn_id}),
        (
            f"turn/{turn_id}",
            "turn.started.1",
            {
                "session_id": session_id,
                "agent_id": agent_id,
                "owner": {"node": "node-1", "boot": "boot-1"},
                "input_messages": [{"role": "user", "content": text}],
                "stream": True,
            },
        ),
    ]


def turn_restarted(turn_id: str, attempt: int) -> Happening:
    owner = {"node": "node-1", "boot": f"boot-{attempt}"}
    return (f"turn/{turn_id}", "turn.restarted.1", {"owner": owner, "attempt": attempt})


def step_started(turn_id: str, step_id: str, attempt: int = 1) -> Happening:
    return (
        f"turn/{turn_id}",
        "turn.step_started.1",
        {
            "step_id": step_id,
            "step_type": "inference",
            "attempt": attempt,
            "model": "demo/extractive",
            "parameters": {"strategy": {"type": "greedy"}},
            "request_digest": "0f" * 32,
        },
    )


def step_completed(turn_id: str, step_id: str, text: str = "Hi.") -> Happening:
    return (
        f"turn/{turn_id}",
        "turn.step_completed.1",
        {
            "step_id": step_id,
            "step_type": "inference",
            "output": message(text),
            "usage": {"input_tokens": 10, "output_tokens": 3},
            "trace": {"lengths": [2, 1], "delays_ms": [5, 6]},
            "response_id": "r-1",
            "response_model": "m-1",
        },
    )


def step_failed(turn_id: str, step_id: str) -> Happening:
    error = {"status": 502, "title": "Bad Gateway", "detail": "The model went away."}
    return (
        f"turn/{turn_id}",
        "turn.step_failed.1",
        {"step_id": step_id, "step_type": "inference", "error": error},
    )


def turn_completed(turn_id: str, session_id: str, text: str = "Hi.") -> list[Happening]:
    return _ended(turn_id, session_id, "completed", {"output_message": message(text)})


def turn_failed(turn_id: str, session_id: str) -> list[Happening]:
    error = {"status": 502, "title": "Bad Gateway", "detail": "The model went away."}
    return _ended(turn_id, session_id, "failed", {"error": error, "output_message": message("Hi")})


def turn_cancelled(turn_id: str, session_id: str) -> list[Happening]:
    return _ended(turn_id, session_id, "cancelled", {"reason": "asked for", "output_message": message("H")})


def whole_turn(turn_id: str, session_id: str, agent_id: str, steps: int = 1) -> list[Happening]:
    """A turn from its opening to its completion."""
    happenings = turn_opened(turn_id, session_id, agent_id, f"What about {turn_id}?")
    for number in range(1, steps + 1):
        step_id = f"{turn_id}-step-{number}"
        happenings += [step_started(turn_id, step_id), step_completed(turn_id, step_id, f"Part {number}")]
    return happenings + turn_completed(turn_id, session_id, f"All of {turn_id}")


def dataset_registered(dataset_id: str, rows: int, **more: Any) -> Happening:
    """Registered with rows `{"row": 0}` and so on, in place."""
    payload = {
        "purpose": "eval/question-answer",
        "provider_id": "localfs",
        "row_count": rows,
        "digest": "0d" * 32,
        "chunks": [row_chunk(0, rows)] if rows else [],
        "metadata": {"of": dataset_id},
        "actor": "key-1",
    }
    return (f"dataset/{dataset_id}", "dataset.registered.1", payload | more)


def rows_appended(dataset_id: str, first_row: int, rows: int, **more: Any) -> Happening:
    payload = {"first_row": first_row, "row_count": rows, "chunks": [row_chunk(first_row, rows)]}
    return (f"dataset/{dataset_id}", "dataset.rows_appended.1", payload | more)


def dataset_unregistered(dataset_id: str) -> Happening:
    return (f"dataset/{dataset_id}", "dataset.unregistered.1", {"actor": "key-2"})


def row_chunk(first_row: int, rows: int) -> dict[str, Any]:
    return {
        "count": rows,
        "bytes": 12 * rows,
        "blob": "",
        "rows": [{"row": number} for number in range(first_row, first_row + rows)],
    }


def blob_chunk(rows: int, blob: str = "ab" * 32) -> dict[str, Any]:
    return {"count": rows, "bytes": 12 * rows, "blob": blob}


def benchmark_registered(benchmark_id: str, **more: Any) -> Happening:
    payload = {
        "dataset_id": "data/0",
        "scoring_functions": ["basic::equality"],
        "provider_id": "replaystack",
        "provider_resource_id": benchmark_id,
        "metadata": {"of": benchmark_id},
        "actor": "key-1",
    }
    return (f"benchmark/{benchmark_id}", "benchmark.registered.1", payload | more)


def benchmark_unregistered(benchmark_id: str, next_job: int) -> Happening:
    return (f"benchmark/{benchmark_id}", "benchmark.unregistered.1", {"next_job": next_job, "actor": "key-2"})


def job_scheduled(benchmark_id: str, job_id: str, rows: int, **more: Any) -> list[Happening]:
    """The two events that schedule a job, in the order of the log."""
    candidate = {"type": "model", "model": "demo/extractive", "sampling_params": {}}
    payload = {
        "benchmark_id": benchmark_id,
        "num_rows": rows,
        "config": {"eval_candidate": candidate},
        "scoring_functions": ["basic::equality"],
        "dataset_id": "data/0",
        "dataset_version": 3,
    }
    return [
        (f"benchmark/{benchmark_id}", "benchmark.job_scheduled.1", {"job_id": job_id}),
        (f"evaljob/{benchmark_id}/{job_id}", "evaljob.scheduled.1", payload | more),
    ]


def job_started(benchmark_id: str, job_id: str, attempt: int = 1) -> Happening:
    owner = {"node": "node-1", "boot": f"boot-{attempt}"}
    return (f"evaljob/{benchmark_id}/{job_id}", "evaljob.started.1", {"owner": owner, "attempt": attempt})


def row_evaluated(
    benchmark_id: str,
    job_id: str,
    row: int,
    score: Any = 1.0,
    answer: str = "A",
    error: str = "",
    **more: Any,
) -> Happening:
    payload: dict[str, Any] = {
        "row": row,
        "input_digest": f"{row:016x}",
        "generation": {"generated_answer": answer},
        "scores": {"basic::equality": {"score": score}},
        "attempts": 1,
        "duration_ms": 7,
        "usage": {"input_tokens": 10, "output_tokens": 3},
    }
    if error:
        payload["generation"] = {"generated_answer": "", "error": error}
        payload["scores"] = {"basic::equality": {"score": 0, "error": error}}
        payload["error"] = {"status": 502, "title": "Bad Gateway", "detail": error}
    return (f"evaljob/{benchmark_id}/{job_id}", "evaljob.row_evaluated.1", payload | more)


def job_ended(benchmark_id: str, job_id: str, status: str = "completed") -> list[Happening]:
    payload: dict[str, Any] = {"aggregates": {"basic::equality": {"accuracy": {"accuracy": 0.5}}}}
    if status == "failed":
        payload["error"] = {"status": 404, "title": "Not Found", "detail": "The dataset is gone."}
    if status == "cancelled":
        payload["reason"] = "asked for"
    closed = {"job_id": job_id, "status": status}
    return [
        (f"evaljob/{benchmark_id}/{job_id}", f"evaljob.{status}.1", payload),
        (f"benchmark/{benchmark_id}", "benchmark.job_closed.1", closed),
    ]


def message(text: str) -> dict[str, Any]:
    return {"role": "assistant", "content": text, "stop_reason": "end_of_turn"}


def _ended(turn_id: str, session_id: str, status: str, payload: dict[str, Any]) -> list[Happening]:
    return [
        (f"turn/{turn_id}", f"turn.{status}.1", payload),
        (f"session/{session_id}", "session.turn_closed.1", {"turn_id": turn_id, "status": status}),
    ]
