"""Description of recorded sessions: found by their id, exported to files and imported from them."""

from __future__ import annotations

from schemas.api.session_file import FoundSession
from stack.http.spec.operation import Operation


def operations(tag: str) -> tuple[Operation, ...]:
    return (
        Operation(
            method="get",
            path="/v1alpha/sessions/{session_id}",
            id="find_session",
            tag=tag,
            summary="Find a session by its id alone: its agent and its name.",
            answer=FoundSession,
            says="The session, without its turns.",
        ),
    )
