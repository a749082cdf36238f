"""Agents: given(events).when(command).then(events or refusal)."""

import pytest

from schemas.api.agent import (
    AgentConfig,
    SamplingParams,
    ToolConfig,
    TopKSamplingStrategy,
    TopPSamplingStrategy,
)
from schemas.events.agent import AgentCreated, AgentDeleted, AgentUpdated
from schemas.events.base import Damaged
from schemas.events.payload import SamplingStrategy
from stack.domain.agent import AgentState, create, delete, evolve, existing, update
from stack.errors import ContentDamaged, Invalid, NotFound


def config(**fields):
    return AgentConfig(model="demo/extractive", instructions="Answer.", **fields)


def given(*events):
    state = AgentState()
    for version, event in enumerate(events, 1):
        state = evolve(state, event, version * 10, version)
    return state


def created(**fields):
    [event] = create(config(**fields), toolgroups={"search"}, shields={"guard"})
    return event.config


def test_create_fills_in_the_contract_defaults():
    made = created()
    assert made.max_infer_iters == 10
    assert made.enable_session_persistence is False


@pytest.mark.parametrize(
    ("given_params", "strategy"),
    [
        (SamplingParams(), SamplingStrategy(type="greedy")),
        (SamplingParams(temperature=0.7), SamplingStrategy(type="top_p", temperature=0.7)),
        (SamplingParams(temperature=0.0), SamplingStrategy(type="greedy")),
        (SamplingParams(top_p=0.5), SamplingStrategy(type="top_p", top_p=0.5)),
        (SamplingParams(top_k=3), SamplingStrategy(type="top_k", top_k=3)),
    ],
)
def test_flat_sampling_parameters_imply_a_strategy(given_params, strategy):
    assert created(sampling_params=given_params).sampling_params.strategy == strategy


def test_repeat_penalty_is_the_repetition_penalty():
    params = created(sampling_params=SamplingParams(repeat_penalty=1.2)).sampling_params
    assert params.repetition_penalty == 1.2
    assert not hasattr(params, "repeat_penalty")


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"max_infer_iters": 0}, "agent_config.max_infer_iters is 0"),
        ({"toolgroups": ["nowhere"]}, "toolgroups[0] names an unknown toolgroup 'nowhere'. Known: search"),
        ({"input_shields": ["no one"]}, "input_shields names an unknown shield 'no one'. Known: guard"),
        ({"sampling_params": SamplingParams(max_tokens=-1)}, "max_tokens is -1"),
        ({"sampling_params": SamplingParams(stop=list("abcde"))}, "stop has 5 sequences"),
        ({"sampling_params": SamplingParams(strategy=TopKSamplingStrategy(0))}, "top_k is 0"),
        ({"sampling_params": SamplingParams(strategy=TopPSamplingStrategy(1.0, 0.0))}, "top_p is 0.0"),
        (
            {"sampling_params": SamplingParams(strategy=TopPSamplingStrategy(-1.0, 0.5))},
            "temperature is -1.0",
        ),
        ({"sampling_params": SamplingParams(repetition_penalty=3.0)}, "repetition_penalty is 3.0"),
        ({"tool_choice": "none", "tool_config": ToolConfig(tool_choice="auto")}, "tool_config.tool_choice"),
    ],
)
def test_what_is_wrong_is_named(fields, named):
    with pytest.raises(Invalid) as caught:
        created(**fields)
    assert named in caught.value.detail


def test_a_deleted_agent_is_not_there():
    state = given(AgentCreated(config=config()), AgentDeleted())
    with pytest.raises(NotFound):
        existing(state, "a")
    with pytest.raises(NotFound):
        delete(state, "a")


def test_an_update_replaces_the_configuration_and_an_equal_one_nothing():
    first, second = created(), created(max_infer_iters=3)
    state = given(AgentCreated(config=first))
    assert update(state, "a", first) == []
    [event] = update(state, "a", second)
    assert event == AgentUpdated(config=second)
    updated = given(AgentCreated(config=first), event)
    assert (existing(updated, "a"), updated.created_at) == (second, 10)
    assert update(updated, "a", second) == []
    assert update(updated, "a", first) == [AgentUpdated(config=first)]
    for state in (AgentState(), given(AgentCreated(config=first), event, AgentDeleted())):
        with pytest.raises(NotFound):
            update(state, "a", second)


def test_a_damaged_update_hides_the_configuration_until_the_next_one():
    config = created()
    state = given(AgentCreated(config=config), Damaged(name="agent.updated", detail="It is torn."))
    with pytest.raises(ContentDamaged, match="It is torn"):
        existing(state, "a")
    [event] = update(state, "a", config)
    assert existing(evolve(state, event, 30, 3), "a") == config
