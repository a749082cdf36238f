"""The path of a session on a server, for commands that take only its id."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote


def session_path(server: Any, session_id: str) -> str:
    """Returns `/v1alpha/agents/<agent>/session/<session>`. Raises AnswerError if the server has no such session."""
    found = server.ask("GET", f"/v1alpha/sessions/{quote(session_id, safe='')}")
    agent_id, session_id = (quote(found[name], safe="") for name in ("agent_id", "session_id"))
    return f"/v1alpha/agents/{agent_id}/session/{session_id}"
