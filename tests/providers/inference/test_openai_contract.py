"""The provider contract on the scripted and on a real llama.cpp server."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from stack.errors import Invalid
from stack.providers.inference.openai_compatible import OpenAICompatible
from stack.providers.inference.settings import InferenceSettings
from tests.providers.inference.contract import ProviderContract, SchemaContract, answer_of, raw, request
from tests.servers.processes import RunningServer


class TestContractOnScripted(ProviderContract):
    @pytest.fixture
    async def provider(self, scripted: RunningServer) -> AsyncIterator[OpenAICompatible]:
        provider = OpenAICompatible(InferenceSettings(id="upstream", base_url=scripted.base_url))
        yield provider
        await provider.aclose()

    @pytest.fixture
    def model(self, request: pytest.FixtureRequest) -> str:
        return (
            "tools" if "required" in request.node.name or "named" in request.node.name else "text;chunks=20"
        )


class TestContractOnLlamaCpp(ProviderContract, SchemaContract):
    @pytest.fixture
    async def provider(self, llama_cpp: RunningServer) -> AsyncIterator[OpenAICompatible]:
        provider = OpenAICompatible(
            InferenceSettings(id="upstream", base_url=llama_cpp.base_url, flavour="llama.cpp")
        )
        yield provider
        await provider.aclose()

    @pytest.fixture
    def model(self) -> str:
        return "tiny-random"

    @pytest.mark.anyio
    async def test_a_grammar_is_followed(self, provider: OpenAICompatible) -> None:
        grammar = raw({"type": "grammar", "bnf": {"grammar": 'root ::= "yes" | "no"'}})
        answer = await answer_of(provider, request("tiny-random", response_format=grammar, max_tokens=20))
        assert answer.text in ("yes", "no")

    @pytest.mark.anyio
    async def test_what_the_server_refuses_is_invalid(self, provider: OpenAICompatible) -> None:
        with pytest.raises(Invalid, match=r"upstream.*refused the request \(400\)"):
            await answer_of(provider, request("tiny-random", {"role": "user", "content": 5}))
