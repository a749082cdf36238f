"""Description of forks of sessions."""

from __future__ import annotations

from schemas.api.session import AgentSessionCreateResponse, ForkSessionRequest
from stack.http.spec.operation import Operation


def operations(tag: str) -> tuple[Operation, ...]:
    return (
        Operation(
            method="post",
            path="/v1alpha/agents/{agent_id}/session/{session_id}/fork",
            id="fork_session",
            tag=tag,
            summary="Fork a session: a new session that shares its past up to a turn, a step or an event.",
            description="The session itself is not changed. Shared turns are those of the session that recorded them, and "
            "can be read in each fork. A turn in the middle of which the session is forked is copied up to that point.",
            body=ForkSessionRequest,
            answer=AgentSessionCreateResponse,
            says="The new session's id.",
        ),
    )
