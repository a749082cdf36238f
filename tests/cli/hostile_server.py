"""A server whose every text tries to take over the terminal of its client."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

SEQUENCE = "\x1b[38;5;201m"
"""None of our own styles."""
HOSTILE = f"{SEQUENCE}EVIL\x1b]0;title\x07\x1b[2J\x9b31m\x90q\x9c\u202etxt.exe\u2066\u200b\u2028\x7f\x08\r\nFORGED [link=http://x]l[/]"
TIME = "2026-01-02T03:04:05.678901Z"
JOB = {
    "job_id": "1",
    "status": HOSTILE,
    "num_rows": 1,
    "num_failed": 1,
    "candidate": {"type": "model", "model": HOSTILE},
}
DATASET = {
    "identifier": HOSTILE,
    "purpose": HOSTILE,
    "source": {"type": "uri", "uri": HOSTILE},
    "metadata": {HOSTILE: HOSTILE},
}
OUTCOME = {
    **JOB,
    "num_done": 1,
    "created_at": TIME,
    "started_at": TIME,
    "ended_at": TIME,
    "dataset_id": HOSTILE,
    "dataset_version": 1,
    "usage": {"input_tokens": 1, "output_tokens": 1},
    "error": {"title": HOSTILE, "detail": HOSTILE},
}
SCORES = {
    "score_rows": [{"score": HOSTILE}],
    "aggregated_results": {"categorical_count": {"categorical_count": {HOSTILE: 1}}},
}
RESULT = {"generations": [{"generated_answer": HOSTILE, "error": HOSTILE}], "scores": {HOSTILE: SCORES}}
COMPARISON = {
    "benchmark_id": HOSTILE,
    "a": JOB,
    "b": JOB,
    "compared": 1,
    "only_a": 0,
    "only_b": 0,
    "other_input": 0,
    "scoring_functions": {
        HOSTILE: {
            "scores": {"mean_a": 1.0, "mean_b": 0.0, "difference": -1.0},
            "better": 0,
            "worse": 1,
            "changed": 0,
            "same": 0,
            "rows": [
                {
                    "row": 0,
                    "change": "worse",
                    "a": {"score": HOSTILE},
                    "b": {"error": HOSTILE},
                    "answer_a": HOSTILE,
                    "answer_b": HOSTILE,
                }
            ],
            "has_more": False,
        }
    },
}
SPAN = {
    "trace_id": "1" * 32,
    "span_id": "2" * 16,
    "name": HOSTILE,
    "start_time": TIME,
    "end_time": TIME,
    "status": "error",
    "status_message": HOSTILE,
    "model": HOSTILE,
    "operation": "chat",
    "attributes": {HOSTILE: HOSTILE},
    "resource": {"service.name": HOSTILE},
    "events": [
        {"name": "exception", "attributes": {"exception.message": HOSTILE, "exception.type": HOSTILE}}
    ],
}
TRACE = {**SPAN, "span_count": 1, "error_count": 1, "models": [HOSTILE], "service": HOSTILE}
LOG = {"time": TIME, "trace_id": "1" * 32, "severity_text": HOSTILE, "severity_number": 17, "body": HOSTILE}
ERASURE = {
    "id": HOSTILE,
    "kinds": [HOSTILE],
    "requested_at": TIME,
    "state": "content_remains",
    "erased": {},
    "waits_for": HOSTILE,
    "removed": [HOSTILE],
    "remains": [{"what": HOSTILE, "where": HOSTILE}],
}
VERSION = {
    "version": 1,
    "created_at": TIME,
    "change": HOSTILE,
    "rows_added": 1,
    "row_count": 1,
    "actor": HOSTILE,
}
BENCHMARK = {"identifier": HOSTILE, "dataset_id": HOSTILE, "scoring_functions": [HOSTILE]}

END = 'data: {"event": {"event_type": "completed"}}\n\n'

ANSWERS: dict[str, Any] = {
    r"/v1beta/datasets": {"data": [DATASET], **DATASET},
    r"/v1beta/datasets/.*/versions.*": {"data": [VERSION]},
    r"/v1beta/datasets/.*": DATASET,
    r"/v1beta/datasetio/.*": {"data": [{HOSTILE: HOSTILE, "n": 1}], "has_more": False},
    r".*/eval/benchmarks": {"data": [BENCHMARK]},
    r".*/jobs": {"data": [JOB]},
    r".*/compare.*": COMPARISON,
    r".*/outcome": OUTCOME,
    r".*/result": RESULT,
    r".*/events.*": (200, END),
    r".*/telemetry/traces": {"data": [TRACE]},
    r".*/telemetry/traces/.*": {"data": [SPAN]},
    r".*/telemetry/logs": {"data": [LOG, LOG | {"span_id": "2" * 16}]},
    r".*/erasures/refused": (400, {"status": 400, "title": HOSTILE, "detail": HOSTILE}),
    r".*/erasures/noise": (502, HOSTILE),
    r".*/erasures/.*": ERASURE,
    r".*/models": (500, {"error": {"message": HOSTILE}}),
}


class _Handler(BaseHTTPRequestHandler):
    def _answer(self) -> None:
        self.rfile.read(int(self.headers.get("content-length", 0)))
        found = next(
            (told for path, told in ANSWERS.items() if re.fullmatch(path, self.path)), (404, HOSTILE)
        )
        status, content = found if isinstance(found, tuple) else (200, found)
        body = (content if isinstance(content, str) else json.dumps(content, ensure_ascii=False)).encode()
        self.send_response(status)
        for name in ("x-dataset-rows", "x-dataset-version"):
            self.send_header(name, "1")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = do_DELETE = _answer

    def log_message(self, format: str, *args: Any) -> None:
        pass


@contextmanager
def hostile_server() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
