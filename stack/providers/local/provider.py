"""The inference provider `local`: models in files of this machine, each served by a process of its own."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from functools import partial
from pathlib import Path

from schemas.api.model import Model
from stack.errors import Invalid, Unavailable, UpstreamFailed
from stack.providers.inference.openai_compatible import OpenAICompatible
from stack.providers.inference.port import (
    Capabilities,
    InferenceEvent,
    InferenceRequest,
    RelayedAnswer,
    RelayedRequest,
)
from stack.providers.inference.settings import InferenceSettings
from stack.workers.lines import LineProcess
from stack.workers.starter import Starter

START_S = 600.0
"""How long a model may take to be converted and loaded, in seconds."""
_MAX_LINE_BYTES = 64 * 1024
_VARIABLES = ("HOME", "LANG", "PATH", "TMPDIR", "LD_LIBRARY_PATH", "CUDA_VISIBLE_DEVICES")

Checkpoints = Callable[[str], Awaitable[tuple[str, str] | None]]
"""Returns path and kind of the checkpoint of a training job with this name."""


class _Served:
    """A model that is served. `uses` counts running requests."""

    def __init__(self, process: LineProcess, provider: OpenAICompatible) -> None:
        self.process = process
        self.provider = provider
        self.uses = 0


class LocalModels:
    """`files` are GGUF files and folders of models, named by their last part without `.gguf`; checkpoints of training
    jobs are models, too. A model is loaded when it is first used, and the one that was not used for the longest
    time is ended if there are more than `most`. `cache` is a folder for converted models."""

    id = "local"
    base_url = ""
    capabilities = Capabilities(top_k=True, repetition_penalty=True, grammar=True, images=False)

    def __init__(self, files: Sequence[Path], cache: Path, most: int, checkpoints: Checkpoints) -> None:
        self._files = {_name(path): path.expanduser() for path in files}
        self._cache = cache
        self._most = most
        self._checkpoints = checkpoints
        self._starter = Starter("local models")
        self._one_start = asyncio.Lock()
        # In the order of their last use.
        self._served: dict[str, _Served] = {}

    async def models(self) -> list[Model]:
        """Returns the configured models, and the checkpoints that are served now."""
        return [_model(name) for name in dict.fromkeys((*self._files, *self._served))]

    async def infer(
        self, request: InferenceRequest, *, headers: Mapping[str, str]
    ) -> AsyncGenerator[InferenceEvent, None]:
        async with (
            self._using(request.model) as provider,
            aclosing(provider.infer(request, headers=headers)) as events,
        ):
            async for event in events:
                yield event

    @asynccontextmanager
    async def relay(
        self, request: RelayedRequest, *, headers: Mapping[str, str]
    ) -> AsyncIterator[RelayedAnswer]:
        async with self._using(request.model) as provider, provider.relay(request, headers=headers) as answer:
            yield answer

    async def aclose(self) -> None:
        for served in self._served.values():
            await served.provider.aclose()
        await self._starter.aclose()

    @asynccontextmanager
    async def _using(self, name: str) -> AsyncIterator[OpenAICompatible]:
        """Raises Invalid for an unknown model, Unavailable if others are in use, UpstreamFailed if it cannot be
        served."""
        if (served := self._running(name)) is None:
            async with self._one_start:
                served = self._running(name) or await self._start(name)
        self._served[name] = served
        served.uses += 1
        try:
            yield served.provider
        finally:
            served.uses -= 1

    def _running(self, name: str) -> _Served | None:
        """Takes a model out of the order of use; one whose process has died is forgotten."""
        served = self._served.pop(name, None)
        return served if served is not None and not served.process.has_exited() else None

    async def _start(self, name: str) -> _Served:
        path = await self._path(name)
        await self._make_room()
        cache = self._cache / hashlib.sha256(str(path).encode()).hexdigest()[:32]
        threads = max(1, (os.cpu_count() or 2) - 1)

        def command(descriptor: int) -> list[str]:
            module = "stack.providers.local.server"
            ends = [str(path), name, str(threads), str(cache), str(descriptor), str(os.getpid())]
            return [sys.executable, "-P", "-m", module, *ends]

        environment = {one: os.environ[one] for one in _VARIABLES if one in os.environ}
        try:
            process = await self._starter.launch(partial(LineProcess, command, environment, _MAX_LINE_BYTES))
        except OSError as error:
            raise Unavailable(f"The process for the model {name!r} cannot be started: {error}.") from None
        try:
            port = await _port(process)
        except BaseException as error:
            await self._starter.end(process)
            if isinstance(error, _Refused):
                raise UpstreamFailed(f"The model 'local/{name}' cannot be served: {error}.") from None
            raise
        settings = InferenceSettings(
            id=self.id, base_url=f"http://127.0.0.1:{port}/v1", flavour="llama.cpp", images=False
        )
        return _Served(process, OpenAICompatible(settings))

    async def _path(self, name: str) -> Path:
        if name in self._files:
            path: Path | None = self._files[name]
        else:
            known = await self._checkpoints(name)
            path = Path(known[0]) if known else None
        if path is None:
            raise Invalid(
                f"model: 'local/{name}' is neither a model of the setting local_models nor a checkpoint of a training job."
            )
        if not await asyncio.to_thread(path.exists):
            raise Invalid(f"model: the files of 'local/{name}' are gone from {path}.")
        return path

    async def _make_room(self) -> None:
        while len(self._served) >= self._most:
            idle = next((name for name, one in self._served.items() if not one.uses), None)
            if idle is None:
                raise Unavailable(
                    f"{self._most} other local models are in use, and local_running_models allows no more.",
                    retry_after=5,
                )
            ended = self._served.pop(idle)
            await ended.provider.aclose()
            await self._starter.end(ended.process)


class _Refused(Exception):
    pass


async def _port(process: LineProcess) -> int:
    """Raises _Refused with the reason."""
    lines = await process.read(START_S)
    if not lines:
        raise _Refused("its process ended" if lines is None else f"it was not ready after {START_S:g} s")
    said = json.loads(lines[0])
    if "refused" in said:
        raise _Refused(said["refused"])
    return int(said["port"])


def _name(path: Path) -> str:
    return path.name.removesuffix(".gguf")


def _model(name: str) -> Model:
    identifier = f"local/{name}"
    return Model(
        identifier=identifier, provider_id="local", provider_resource_id=name, id=identifier, owned_by="local"
    )
