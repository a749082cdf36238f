"""The settings of one remote reranker, from a `[[rerank]]` table of the settings file."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from stack.providers.inference.settings import Seconds

Shape = Literal["cohere", "tei", "llama.cpp"]


class RerankSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One reranking server. `base_url` is the part before `/rerank`.

    `shape` is the form of its requests: `cohere` (also Jina, vLLM, Infinity), `tei` (Text Embeddings Inference, which
    serves one model) or `llama.cpp` (started with `--reranking`). `model` is the name of the model at the server, where it
    needs one. `answer_timeout_s` limits a whole answer. `headers` are added to all requests.
    """

    id: Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
    base_url: Annotated[str, Meta(pattern=r"^https?://[^\s]+$")]
    api_key: str | None = None
    shape: Shape = "cohere"
    model: str = ""
    connect_timeout_s: Seconds = 5.0
    answer_timeout_s: Seconds = 60.0
    headers: dict[str, str] = {}
