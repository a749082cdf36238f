"""All inference providers of this server, and the resolution of model names to providers."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Iterable, Sequence

from msgspec import Struct

from schemas.api.model import Model
from stack.domain.near import nearest
from stack.errors import Invalid, ReplaystackError
from stack.providers.inference.demo_extractive import DemoExtractive
from stack.providers.inference.discovery import USUAL_PORTS, UsualPort, discover
from stack.providers.inference.openai_client import warm_up
from stack.providers.inference.openai_compatible import OpenAICompatible
from stack.providers.inference.port import InferenceProvider
from stack.providers.inference.settings import OPENAI_URL, InferenceSettings

LIST_TTL_S = 10.0
EMPTY_TTL_S = 1.0
"""How long an empty or failed list is used, in seconds: a server that is just starting is asked again
soon."""
LIST_TIMEOUT_S = 2.0
DISCOVERY_EVERY_S = 30.0
LONELY_DISCOVERY_EVERY_S = 2.0
"""Interval of discovery in seconds while no model server is known."""


class UnknownModel(Invalid):
    """No provider has the model. In a larger request this is an invalid value."""


class ProviderState(Struct, frozen=True, kw_only=True):
    """The health of one provider. `detail` names the problem and the remedy, and is empty without a problem;
    `origin` is settings, environment, discovered or built in."""

    id: str
    base_url: str
    origin: str
    reachable: bool
    detail: str = ""
    models: int = 0


class _Entry:
    """A provider with its last list of models. `asked_at` is -inf before the first request."""

    def __init__(self, provider: InferenceProvider, base_url: str, origin: str) -> None:
        self.provider = provider
        self.base_url = base_url
        self.origin = origin
        self.models: list[Model] = []
        self.failure = ""
        self.asked_at = float("-inf")
        self._asking = asyncio.Lock()

    async def refresh(self) -> None:
        """Updates the list if it is older than 10 s, an empty one after 1 s. Never raises: an error is stored
        in `failure`."""
        async with self._asking:
            if time.monotonic() - self.asked_at < (LIST_TTL_S if self.models else EMPTY_TTL_S):
                return
            try:
                async with asyncio.timeout(LIST_TIMEOUT_S):
                    self.models = await self.provider.models()
                self.failure = ""
            except TimeoutError:
                self.failure = (
                    f"{self.provider.id!r} ({self.base_url}) did not list its models within "
                    f"{LIST_TIMEOUT_S:g} s. Check that it runs."
                )
            except ReplaystackError as error:
                self.failure = error.detail
            if self.failure:
                self.models = []
            self.asked_at = time.monotonic()


class Models:
    """The providers: configured ones, `openai` from its two variables, `local` for models on this machine,
    discovered ones, and always `demo`.

    Raises ValueError if two have the same id. Discovery starts with `discover_now()` and is repeated
    automatically, at most every 30 s (2 s while no server is known), when models are listed or an unknown one
    is requested.
    """

    def __init__(
        self,
        settings: Sequence[InferenceSettings] = (),
        *,
        openai_base_url: str | None = None,
        openai_api_key: str | None = None,
        discovery: bool = True,
        ports: Iterable[UsualPort] = USUAL_PORTS,
        local: InferenceProvider | None = None,
    ) -> None:
        configured = [(one, "settings") for one in settings]
        if openai_base_url or openai_api_key:
            base_url = openai_base_url or OPENAI_URL
            of_environment = InferenceSettings(id="openai", base_url=base_url, api_key=openai_api_key)
            configured.append((of_environment, "environment"))
        repeated = [id for id, n in Counter(["demo", *(one.id for one, _ in configured)]).items() if n > 1]
        if repeated:
            raise ValueError(
                f"Two inference providers have the id {repeated[0]!r}. Ids must differ; demo is built in, and "
                "openai is what OPENAI_BASE_URL and OPENAI_API_KEY make."
            )
        self._entries: dict[str, _Entry] = {}
        for one, origin in configured:
            self._entries[one.id] = _Entry(OpenAICompatible(one), one.base_url, origin)
        if local is not None:
            if local.id in self._entries:
                raise ValueError(
                    "The id 'local' is that of models on this machine; name the provider differently."
                )
            self._entries[local.id] = _Entry(local, "", "settings")
        self._entries["demo"] = _Entry(DemoExtractive(), "", "built in")
        self._settings = [one for one, _ in configured]
        self._discovery = discovery
        self._ports = tuple(ports)
        self._discovered_at = float("-inf")
        self._discovering = asyncio.Lock()

    async def discover_now(self) -> None:
        """Checks the usual ports, unless this was done within 30 s (2 s while no server is known) or is
        disabled. Takes at most 0.5 s."""
        async with self._discovering:
            every_s = DISCOVERY_EVERY_S if len(self._entries) > 1 else LONELY_DISCOVERY_EVERY_S
            if not self._discovery or time.monotonic() - self._discovered_at < every_s:
                return
            self._discovered_at = time.monotonic()
            for found in await discover(self._settings, self._ports):
                if found.id not in self._entries:
                    self._entries[found.id] = _Entry(OpenAICompatible(found), found.base_url, "discovered")

    async def prepare(self) -> None:
        """Runs in the background of the server's start: looks for model servers, and imports their client if
        there are any."""
        await self.discover_now()
        if len(self._entries) > 1:
            await warm_up()

    async def resolve(self, model: str) -> tuple[InferenceProvider, str]:
        """Returns the provider of `model` and the provider's own name of it.

        `<provider>/<model>` is resolved without a list: a server may serve models that it does not list, and
        reports an error itself for unknown ones. A bare name must be unique among the listed models. Raises
        Invalid, UnknownModel.
        """
        found = self._known(model)
        if found is None:
            await self.list()
            found = self._known(model)
        if found is None:
            raise self._unknown(model)
        entry, name = found
        return entry.provider, name

    def _known(self, model: str) -> tuple[_Entry, str] | None:
        prefix, _, rest = model.partition("/")
        entry = self._entries.get(prefix)
        if entry is not None and rest and (prefix != "demo" or rest in DemoExtractive.NAMES):
            return entry, rest
        matches = [
            (one, listed.provider_resource_id)
            for one in self._entries.values()
            for listed in one.models
            if listed.provider_resource_id == model
        ]
        if len(matches) > 1:
            names = ", ".join(f"{one.provider.id}/{name}" for one, name in matches)
            raise Invalid(f"model: {model!r} is ambiguous. Say which one is meant: {names}.")
        return matches[0] if matches else None

    def _unknown(self, model: str) -> UnknownModel:
        known = [listed for one in self._entries.values() for listed in one.models]
        names = {listed.identifier: listed.identifier for listed in known}
        names |= {listed.provider_resource_id: listed.identifier for listed in known}
        near = nearest(model, names)
        hint = f" Nearest: {names[near]!r}." if near else ""
        return UnknownModel(
            f"model: {model!r} is unknown.{hint} GET /v1/models lists what there is; a name is "
            f"<provider>/<model> with one of the providers {', '.join(self._entries)}."
        )

    async def list(self) -> list[Model]:
        """Returns all models of the providers that respond, in the order of providers. Takes at most about 2
        s."""
        await self._refresh()
        return [listed for one in self._entries.values() for listed in one.models]

    async def state(self) -> Sequence[ProviderState]:
        """Returns the health of each provider, for health and doctor. Takes at most about 2 s."""
        await self._refresh()
        return [
            ProviderState(
                id=one.provider.id,
                base_url=one.provider.base_url,
                origin=one.origin,
                reachable=not one.failure,
                detail=one.failure,
                models=len(one.models),
            )
            for one in self._entries.values()
        ]

    async def _refresh(self) -> None:
        await self.discover_now()
        await asyncio.gather(*(one.refresh() for one in self._entries.values()))

    async def aclose(self) -> None:
        for one in self._entries.values():
            await one.provider.aclose()
