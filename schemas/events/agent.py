"""Events of `agent/<agent_id>`."""

from __future__ import annotations

from schemas.events.base import Deletion, Event
from schemas.events.payload import AgentConfig


class AgentCreated(Event, frozen=True, tag="agent.created.1"):
    """`config` is normalised: defaults filled in, older forms turned into the contract's."""

    config: AgentConfig


class AgentDeleted(Deletion, frozen=True, tag="agent.deleted.1"):
    """Deletes its sessions and turns too; their content is redacted."""


EVENTS = (AgentCreated, AgentDeleted)
AgentEvent = AgentCreated | AgentDeleted
