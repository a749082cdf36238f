"""Names that were probably meant, and names that nothing is near to."""

from __future__ import annotations

import pytest

from stack.domain.near import nearest, nearest_path

FIELDS = ("model", "instructions", "client_tools", "max_infer_iters", "name", "top_k")
PATHS = (
    "/v1/agents",
    "/v1/datasets",
    "/v1/models",
    "/v1/models/{model_id}",
    "/v1/toolgroups/{toolgroup_id}",
    "/v1/agents/{agent_id}/session/{session_id}/turn",
    "/v1alpha/agents",
    "/v1alpha/agents/{agent_id}",
    "/v1alpha/agents/{agent_id}/sessions",
    "/v1alpha/agents/{agent_id}/session/{session_id}/turn",
    "/v1beta/datasets",
)


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("modle", "model"),
        ("Model", "model"),
        ("instruction", "instructions"),
        ("clientTools", "client_tools"),
        ("client-tools", "client_tools"),
        ("max_infer_iter", "max_infer_iters"),
        ("topk", "top_k"),
        ("client", "client_tools"),
        ("max", ""),
        ("model", ""),
        ("temperature", ""),
        ("x", ""),
        ("", ""),
        ("names_of_everything", ""),
    ],
)
def test_a_hint_is_given_only_where_something_is_near(name: str, near: str) -> None:
    assert nearest(name, FIELDS) == near


@pytest.mark.parametrize(
    ("path", "near"),
    [
        ("/v1alpha/agent", "/v1alpha/agents"),
        ("/v1/agent", "/v1/agents"),
        ("/agents", "/v1/agents"),
        ("/v1alpha/agnets/123/sessions", "/v1alpha/agents/{agent_id}/sessions"),
        ("/v1alpha/agents/1/session/2/turns", "/v1alpha/agents/{agent_id}/session/{session_id}/turn"),
        ("/v1alpha/datasets", "/v1beta/datasets"),
        ("/v2/agents", "/v1alpha/agents"),
        ("/v1/model", "/v1/models"),
        ("/v1/tool-runtime/list-tools", ""),
        ("/v1alpha/agents/1/zzz", ""),
        ("/v1/foo", ""),
        ("/nonsense", ""),
        ("/favicon.ico", ""),
        ("/", ""),
    ],
)
def test_a_path_is_hinted_at_only_where_one_is_near(path: str, near: str) -> None:
    assert nearest_path(path, PATHS) == near
