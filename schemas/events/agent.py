"""Events of `agent/<agent_id>`."""

from __future__ import annotations

from schemas.events.base import Deletion, Event
from schemas.events.payload import AgentConfig


class AgentCreated(Event, frozen=True, tag="agent.created.1"):
    """`config` is normalised: defaults are filled in, older forms are converted to the contract's."""

    config: AgentConfig


class AgentUpdated(Event, frozen=True, tag="agent.updated.1"):
    """The next version of the configuration, complete. The version of the created agent is 1."""

    config: AgentConfig


class AgentDeleted(Deletion, frozen=True, tag="agent.deleted.1"):
    """Deletes the agent together with its sessions and turns; their content is redacted."""


EVENTS = (AgentCreated, AgentUpdated, AgentDeleted)
AgentEvent = AgentCreated | AgentUpdated | AgentDeleted
