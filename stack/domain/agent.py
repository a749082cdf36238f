"""Agents: which agents may be created and updated, and whether an agent exists."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from schemas.api.agent import AgentConfig as RequestedConfig
from schemas.api.agent import (
    AgentTool,
    GreedySamplingStrategy,
    JsonSchemaResponseFormat,
    SamplingParams,
    SamplingStrategy,
    TopKSamplingStrategy,
    TopPSamplingStrategy,
)
from schemas.events.agent import AgentCreated, AgentDeleted, AgentUpdated
from schemas.events.base import Damaged, Event
from schemas.events.payload import AgentConfig
from stack.domain import payload
from stack.domain.json_schema import check_schema
from stack.domain.tool import check_tool_config, normalise_tools
from stack.errors import Conflict, ContentDamaged, Invalid, NotFound

_SECRET = re.compile(
    r"(?:^|[_-])key$|apikey$|(?:^|[_-])token$|secret|passw|authorization|credential|^headers$|^cookies?$",
    re.IGNORECASE,
)
DEFAULT_MAX_INFER_ITERS = 10
MAX_INFER_ITERS = 1_000
MAX_STOP_SEQUENCES = 4


class AgentState(Struct, frozen=True):
    """`config` is that of the newest version, None before creation and after deletion; `created_at` is in microseconds
    since 1970. `damage` says why the configuration cannot be read, "" if it can. The version of an agent is that of its
    stream: each event but the deletion makes one."""

    config: AgentConfig | None = None
    created_at: int = 0
    deleted: bool = False
    damage: str = ""


def evolve(state: AgentState, event: Event, recorded_at: int, version: int) -> AgentState:
    match event:
        case AgentCreated(config=config):
            return AgentState(config, recorded_at)
        case AgentUpdated(config=config):
            return replace(state, config=config, damage="")
        case AgentDeleted():
            return AgentState(deleted=True)
        case Damaged(name="agent.created"):
            return AgentState(created_at=recorded_at, damage=event.detail)
        case Damaged(name="agent.updated"):
            return replace(state, config=None, damage=event.detail)
        case Damaged(name="agent.deleted"):
            return AgentState(deleted=True)
    return state


def existing(state: AgentState, agent_id: str) -> AgentConfig:
    """Returns the agent's configuration. Raises NotFound if the agent never existed or was deleted, and ContentDamaged."""
    check_exists(state, agent_id)
    if state.config is None:
        raise ContentDamaged(
            f"The configuration of agent {agent_id!r} cannot be read. {state.damage} Or give the agent a new configuration "
            f"with POST /v1alpha/agents/{agent_id}."
        )
    return state.config


def check_exists(state: AgentState, agent_id: str) -> None:
    """Raises NotFound if the agent never existed or was deleted."""
    if state.config is None and not state.damage:
        raise unknown(agent_id)


def unknown(agent_id: str) -> NotFound:
    return NotFound(f"There is no agent {agent_id!r}. List the agents to see their ids.")


def create(config: RequestedConfig, toolgroups: Collection[str], shields: Collection[str]) -> list[Event]:
    """Checks everything that can be checked without calling a model, and normalises. Raises Invalid naming
    the field."""
    return [AgentCreated(config=normalise(config, toolgroups, shields))]


def no_version(agent_id: str, version: int, newest: int) -> NotFound:
    return NotFound(f"Agent {agent_id!r} has no version {version}; it has versions 1 to {newest}.")


def check_expected(agent_id: str, expected: int | None, version: int) -> None:
    """Raises Conflict if the agent has another version than expected (None: any)."""
    if expected not in (None, version):
        raise Conflict(
            f"expected_version is {expected}, but agent {agent_id!r} has version {version}. Read the agent again, and make "
            "the change to that configuration."
        )


def update(state: AgentState, agent_id: str, config: AgentConfig) -> list[Event]:
    """Returns no events if the agent has this configuration already. A damaged configuration can be replaced. Raises
    NotFound."""
    check_exists(state, agent_id)
    return [] if state.config == config else [AgentUpdated(config=config)]


def delete(state: AgentState, agent_id: str) -> list[Event]:
    existing(state, agent_id)
    return [AgentDeleted()]


def normalise(
    config: RequestedConfig,
    toolgroups: Collection[str],
    shields: Collection[str],
    where: str = "agent_config",
) -> AgentConfig:
    """Returns the configuration with defaults filled in, as it is stored. `where` is its place in the
    request. Raises Invalid naming the field."""
    if not config.model.strip():
        raise Invalid(
            f"{where}.model is empty. Name a model as <provider>/<model>; GET /v1/models lists them."
        )
    iterations = config.max_infer_iters
    if iterations is not None and not 1 <= iterations <= MAX_INFER_ITERS:
        raise Invalid(f"{where}.max_infer_iters is {iterations}; it must be between 1 and {MAX_INFER_ITERS}.")
    nested = config.tool_config.tool_choice if config.tool_config else None
    if config.tool_choice is not None and nested is not None and config.tool_choice != nested:
        raise Invalid(
            f"{where}.tool_choice is {config.tool_choice!r} but {where}.tool_config.tool_choice is {nested!r}; "
            "give one of them, or the same value twice."
        )
    check_toolgroups(config.toolgroups, toolgroups, f"{where}.toolgroups")
    client_tools = normalise_tools(config.client_tools, f"{where}.client_tools")
    names = {tool.name for tool in client_tools or ()}
    check_tool_config(config.tool_config, None if config.toolgroups else names, f"{where}.tool_config")
    if isinstance(config.response_format, JsonSchemaResponseFormat):
        check_schema(config.response_format.json_schema, f"{where}.response_format.json_schema")
    for field in ("input_shields", "output_shields"):
        for shield in getattr(config, field) or ():
            if shield not in shields:
                raise Invalid(
                    f"{where}.{field} names an unknown shield {shield!r}. Known: {_listed(shields)}."
                )
    normal = replace(
        config,
        client_tools=client_tools,
        sampling_params=sampling_params(config.sampling_params, f"{where}.sampling_params"),
        max_infer_iters=iterations or DEFAULT_MAX_INFER_ITERS,
        enable_session_persistence=bool(config.enable_session_persistence),
    )
    return payload.agent_config(normal)


def check_toolgroups(used: list[AgentTool] | None, known: Collection[str], where: str) -> None:
    """Raises Invalid for a toolgroup (`name`, or `name/tool`) that is not configured."""
    for index, tool in enumerate(used or ()):
        name = tool if isinstance(tool, str) else tool.name
        if name not in known and name.partition("/")[0] not in known:
            raise Invalid(f"{where}[{index}] names an unknown toolgroup {name!r}. Known: {_listed(known)}.")
        if not isinstance(tool, str) and (secret := _secret_in(tool.args)):
            raise Invalid(
                f"{where}[{index}].args.{secret} looks like a secret, and these are not stored. Give it to the "
                "toolgroup in the settings of the server."
            )


def _secret_in(args: Any) -> str:
    """Returns the path of the first field, at any depth, that is named like a secret; "" if there is none."""
    found = [("", args)]
    while found:
        path, value = found.pop()
        if isinstance(value, dict):
            for name, one in value.items():
                if _SECRET.search(name):
                    return f"{path}{name}"
                found.append((f"{path}{name}.", one))
        elif isinstance(value, list):
            found += [(f"{path}{index}.", one) for index, one in enumerate(value)]
    return ""


def sampling_params(given: SamplingParams | None, where: str) -> SamplingParams | None:
    """Converts what a client sent to the contract's form: flat parameters become the strategy that they
    imply."""
    if given is None:
        return None
    strategy = _strategy(given, where)
    penalty = given.repetition_penalty if given.repetition_penalty is not None else given.repeat_penalty
    if penalty is not None and not -2.0 <= penalty <= 2.0:
        raise Invalid(f"{where}.repetition_penalty is {penalty}; it must be between -2.0 and 2.0.")
    if given.max_tokens is not None and given.max_tokens < 0:
        raise Invalid(f"{where}.max_tokens is {given.max_tokens}; it must be 0 (no limit) or more.")
    if given.stop is not None and len(given.stop) > MAX_STOP_SEQUENCES:
        raise Invalid(
            f"{where}.stop has {len(given.stop)} sequences; at most {MAX_STOP_SEQUENCES} are allowed."
        )
    if given.stop is not None and "" in given.stop:
        raise Invalid(f"{where}.stop has an empty sequence; leave it out.")
    return SamplingParams(
        strategy=strategy, max_tokens=given.max_tokens, repetition_penalty=penalty, stop=given.stop
    )


def _strategy(given: SamplingParams, where: str) -> SamplingStrategy:
    strategy = given.strategy
    if strategy is None:
        if given.top_k is not None:
            strategy = TopKSamplingStrategy(given.top_k)
        elif given.top_p is not None or given.temperature:
            strategy = TopPSamplingStrategy(given.temperature, given.top_p)
        else:
            strategy = GreedySamplingStrategy()
    match strategy:
        case TopKSamplingStrategy(top_k=top_k) if top_k < 1:
            raise Invalid(f"{where}.strategy.top_k is {top_k}; it must be at least 1.")
        case TopPSamplingStrategy(temperature=temperature, top_p=top_p):
            if temperature is not None and not 0.0 <= temperature <= 100.0:
                raise Invalid(f"{where}.strategy.temperature is {temperature}; it must be 0 or more.")
            if top_p is not None and not 0.0 < top_p <= 1.0:
                raise Invalid(f"{where}.strategy.top_p is {top_p}; it must be above 0 and at most 1.")
    return strategy


def _listed(names: Collection[str]) -> str:
    return ", ".join(sorted(names)) or "none is configured"
