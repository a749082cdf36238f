"""A scenario as a TOML file: what is changed when a recorded session is run again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from schemas.api.session_check import Kind
from schemas.events.payload import AgentConfig
from schemas.events.turn import ResolvedTool
from schemas.session_file import Tolerance
from stack.errors import Invalid
from stack.services.replay.rerun import Scenario

FIXED = frozenset(("model", "enable_session_persistence"))
"""Fields of a configuration that a scenario cannot change: the answers are recorded."""


class ChangedTool(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A tool of the server, by its name for the model; fields that are absent stay as they are recorded. A tool that is
    not recorded needs an `input_schema`."""

    name: str
    description: str | None = None
    input_schema: dict[str, Any] | None = None
    toolgroup: str | None = None
    repeatable: bool | None = None
    approval: list[dict[str, Any]] | None = None


class ScenarioFile(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """`agent` holds fields of the agent's configuration; `remove` the names of tools that are taken away, and `tools` those
    that are changed or added. `tolerance` takes the place of that of a session file."""

    agent: dict[str, Any] = {}
    remove: list[str] = []
    tools: list[ChangedTool] = []
    tolerance: Tolerance | None = None

    @property
    def accepts(self) -> frozenset[Kind]:
        """The classes of the differences that the scenario itself makes."""
        kinds: set[Kind] = {"request"} if self.agent or self.remove or self.tools else set()
        if self.remove or self.tools or "client_tools" in self.agent or "toolgroups" in self.agent:
            kinds.add("tool set")
        return frozenset(kinds)

    def scenario(self) -> Scenario:
        return Scenario(agent=self._agent, tools=self._tools)

    def _agent(self, config: AgentConfig) -> AgentConfig:
        if not self.agent:
            return config
        changed = {**msgspec.to_builtins(config), **self.agent}
        try:
            return msgspec.convert(changed, AgentConfig)
        except msgspec.ValidationError as error:
            raise Invalid(f"The scenario's [agent] does not fit: {error}.") from None

    def _tools(self, tools: list[ResolvedTool]) -> list[ResolvedTool]:
        found = {one.name: one for one in tools if one.name not in self.remove}
        for one in self.tools:
            known = found.get(one.name)
            if known is None and one.input_schema is None:
                raise Invalid(f"The scenario adds the tool {one.name!r} without an input_schema.")
            known = known or ResolvedTool(one.name, one.name, one.toolgroup or "scenario", {})
            given = {
                field: getattr(one, field)
                for field in ("description", "input_schema", "toolgroup", "repeatable", "approval")
                if getattr(one, field) is not None
            }
            found[one.name] = replace(known, **given)
        return list(found.values())


def read_scenario(path: Path) -> ScenarioFile:
    """Raises Invalid for a file that is not a scenario, and OSError."""
    try:
        scenario = msgspec.toml.decode(path.read_bytes(), type=ScenarioFile)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Invalid(f"{path} is not a scenario: {error}.") from None
    known = set(AgentConfig.__struct_fields__)
    for field in scenario.agent:
        if field not in known or field in FIXED:
            allowed = ", ".join(sorted(known - FIXED))
            raise Invalid(f"{path}: [agent] cannot change {field!r}. It can change: {allowed}.")
    return scenario
