"""All rerankers of this server, and the resolution of model names to them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from schemas.api.model import Model
from stack.domain.near import nearest
from stack.errors import Invalid
from stack.providers.rerank.bm25 import BM25
from stack.providers.rerank.port import Reranker
from stack.providers.rerank.remote import RemoteReranker
from stack.providers.rerank.settings import RerankSettings


class Rerankers:
    """`bm25`, and one for each `[[rerank]]` table."""

    def __init__(self, settings: Sequence[RerankSettings] = ()) -> None:
        self._configured = {one.id: one for one in settings}
        self.rerankers: dict[str, Reranker] = {one.id: RemoteReranker(one) for one in settings}
        self.rerankers["bm25"] = BM25()

    def models(self) -> list[Model]:
        return [one.model() for one in self.rerankers.values()]

    def problems(self) -> list[str]:
        """Returns the errors of those whose last request failed."""
        remote = [one for one in self.rerankers.values() if isinstance(one, RemoteReranker)]
        return [f"{one.id}: {one.problem}" for one in remote if one.problem]

    def resolve(self, model: str) -> tuple[Reranker, str]:
        """Returns the reranker and its own name of the model, which is empty if the server needs none.

        A reranker's id means its configured model; `<id>/<name>` names any model of its server. Raises Invalid."""
        id, slash, name = model.partition("/")
        reranker = self.rerankers.get(id)
        if reranker is None or (slash and (not name or id not in self._configured)):
            known = [one.identifier for one in self.models()]
            near = nearest(model, known)
            hint = f" Nearest: {near!r}." if near else ""
            raise Invalid(f"model: there is no reranker {model!r}.{hint} Rerankers: {', '.join(known)}.")
        own = self._configured.get(id)
        return reranker, name or (own.model if own else "")

    async def aclose(self) -> None:
        await asyncio.gather(*(one.aclose() for one in self.rerankers.values()))
