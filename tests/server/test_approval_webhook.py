"""A webhook is told of decisions that are needed."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from stack.providers.webhook import signature
from tests.server.api import Api
from tests.server.conftest import FreshServer
from tests.server.test_approvals import GROUP, MODEL

SECRET = "a secret of the webhook"


@contextmanager
def receiver(statuses: list[int]) -> Iterator[tuple[str, list[tuple[dict[str, str], bytes]]]]:
    """An HTTP server that answers with these statuses, and what it was sent."""
    received: list[tuple[dict[str, str], bytes]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            status = statuses[min(len(received), len(statuses) - 1)]
            received.append(({name.lower(): value for name, value in self.headers.items()}, body))
            self.send_response(status)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/hook", received
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_a_signed_request_is_sent_until_it_is_accepted(fresh_server: FreshServer) -> None:
    with receiver([500, 200]) as (url, received):
        environment = {
            "REPLAYSTACK_TOOLGROUPS": json.dumps([{"id": GROUP, "approval": [{}]}]),
            "REPLAYSTACK_APPROVAL_WEBHOOK_SECRET": SECRET,
        }
        server = fresh_server(environment=environment, approval_webhook_url=url)
        with server.http() as http:
            turn = Api(http).conversation(MODEL, toolgroups=[GROUP]).post("Compute.").json()
            [approval] = http.get("/v1alpha/approvals").json()["data"]
            end = time.monotonic() + 60
            while len(received) < 2 and time.monotonic() < end:
                time.sleep(0.05)
    (_, first), (headers, body) = received
    assert first == body
    told = json.loads(body)
    assert told["type"] == "approval.requested" and told["data"]["turn_id"] == turn["turn_id"]
    assert told["data"]["approval_id"] == headers["webhook-id"] == approval["approval_id"]
    signed = signature(SECRET, headers["webhook-id"], int(headers["webhook-timestamp"]), body)
    assert headers["webhook-signature"] == signed
    assert "6 * 7" not in body.decode(), "the arguments stay on the server"
