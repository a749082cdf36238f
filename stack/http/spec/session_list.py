"""Description of the list of all agents' sessions."""

from __future__ import annotations

from schemas.api.session_list import SessionList
from stack.http.spec.operation import Operation, Parameter


def operations(tag: str) -> tuple[Operation, ...]:
    return (
        Operation(
            method="get",
            path="/v1alpha/sessions",
            id="list_all_sessions",
            tag=tag,
            summary="List the sessions of all agents, newest first.",
            description="With the number of turns, the status of the last one, tokens and the first words of each. `next` is "
            "the `before` of the page that follows; it is absent on the last one.",
            parameters=(
                Parameter(
                    name="sort",
                    kind=str,
                    description="`created`, the default, orders by creation, `active` by the last event.",
                ),
                Parameter(name="before", kind=int, description="The `next` of the page before."),
                Parameter(
                    name="limit", kind=int, description="How many to return, 1 to 1000; 100 where absent."
                ),
                Parameter(name="agent_id", kind=str, description="Only sessions of this agent."),
                Parameter(
                    name="q",
                    kind=str,
                    description="Only sessions with this text in their name or in a message that was posted to them, or "
                    "with this id, agent or turn. Case does not matter.",
                ),
            ),
            answer=SessionList,
            says="The sessions.",
        ),
    )
