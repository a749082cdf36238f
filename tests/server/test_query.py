"""Query parameters that an endpoint does not know are refused everywhere, in the error form of the path."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from stack.http.spec.document import OPERATIONS
from tests.server.api import Api, check_error

OPENAI = ("/v1/chat/completions", "/v1/completions", "/v1/embeddings", "/v1/moderations")
OTLP = ("/v1/traces", "/v1/metrics", "/v1/logs")


def everything() -> Iterator[tuple[str, str]]:
    """Method and path of every operation, under its older prefix as well."""
    for operation in OPERATIONS:
        path = operation.path
        while "{" in path:
            start, end = path.index("{"), path.index("}")
            path = f"{path[:start]}some{path[end + 1 :]}"
        yield operation.method, path
        older = path.replace("/v1alpha/", "/v1/", 1).replace("/v1beta/", "/v1/", 1)
        if older != path:
            yield operation.method, older
    for path in ("/schema", "/schema/openapi.json", "/schema/openapi.yaml", "/schema/ui/page.js"):
        yield "get", path


@pytest.mark.parametrize(("method", "path"), sorted(set(everything())))
def test_an_unknown_parameter_is_refused(client: httpx.Client, method: str, path: str) -> None:
    answer = client.request(method, path, params={"zzzz": "1"}, json={} if method == "post" else None)
    assert answer.status_code == 400, answer.text
    if path in OTLP:
        assert answer.json()["code"] == 3
        assert "'zzzz'" in answer.json()["message"]
    elif path in OPENAI or path.startswith("/v1/openai/"):
        assert answer.json()["error"]["type"] == "invalid_request_error"
        assert "'zzzz'" in answer.json()["error"]["message"]
    elif path.startswith("/jaeger/"):
        [error] = answer.json()["errors"]
        assert error["code"] == 400 and "'zzzz'" in error["msg"]
    else:
        detail = check_error(answer, 400)["detail"]
        assert "'zzzz'" in detail and "did you mean" not in detail


@pytest.mark.parametrize(
    ("path", "mentions"),
    [
        ("/v1alpha/agents?limt=1", "did you mean `limit`"),
        ("/v1/agents?start=0&limit=1", "did you mean `start_index`"),
        ("/v1/agents?first=0&limit=1", "Known here: as_of, limit, start_index."),
        ("/v1/agents?limit=1&startIndex=0", "did you mean `start_index`"),
        ("/v1beta/datasets/a/b/versions?Limit=1", "did you mean `limit`"),
        ("/v1beta/datasets/a/versions/diff?form=1", "did you mean `from`"),
        ("/v1/datasets/a/versions/diff?version=1", "Known here: as_of, from, limit, start_index, to."),
        ("/v1beta/datasetio/iterrows/a/b?versions=1", "did you mean `version`"),
        ("/v1alpha/eval/benchmarks/a/b/compare?a=0&c=1", "Known here: a, as_of, b, limit."),
        ("/v1alpha/agents/x/session/y/turn/z/stream?sped=1", "did you mean `speed`"),
        ("/v1alpha/agents/x/session/y?turn_id=1", "did you mean `turn_ids`"),
        ("/v1/tools?toolgroup=x", "did you mean `toolgroup_id`"),
        ("/v1/health?x", "There are none here."),
        ("/v1alpha/agents?=1", "''"),
    ],
)
def test_the_known_parameters_are_named(client: httpx.Client, path: str, mentions: str) -> None:
    check_error(client.get(path), 400, mentions)


@pytest.mark.parametrize(
    ("path", "mentions"),
    [
        ("/v1alpha/agents?limit=1&limit=2", "'limit' is given 2 times"),
        ("/v1/agents?limit=1&start_index=0&limit=1&limit=1", "'limit' is given 3 times"),
        ("/v1beta/datasets/a/versions/diff?from=1&to=2&to=2", "'to' is given 2 times"),
        ("/v1alpha/agents/x/session/y/turn/z/stream?speed=1&speed=2", "'speed' is given 2 times"),
        ("/v1alpha/agents?limit=1&limit=2&zzzz=1", "'limit' is given 2 times"),
    ],
)
def test_a_repeated_parameter_is_refused(client: httpx.Client, path: str, mentions: str) -> None:
    check_error(client.get(path), 400, mentions)


def test_known_parameters_are_taken_on_all_paths(api: Api) -> None:
    conversation = api.conversation()
    turn_id = conversation.turn()["turn_id"]
    for prefix in ("/v1alpha", "/v1"):
        session = f"{prefix}/agents/{conversation.agent_id}/session/{conversation.session_id}"
        for path in (
            f"{prefix}/agents?start_index=0&limit=1",
            f"{prefix}/agents/{conversation.agent_id}/sessions?limit=1",
            f"{session}?turn_ids={turn_id}",
            f"{session}?turn_ids={turn_id}&turn_ids=another",
            f"{session}/turn/{turn_id}/stream?speed=1000",
        ):
            assert api.http.get(path).status_code == 200, path


def test_what_is_not_there_stays_not_there(client: httpx.Client) -> None:
    check_error(client.get("/v1alpha/nothing?zzzz=1"), 404)
    check_error(client.put("/v1alpha/agents?zzzz=1"), 405)
