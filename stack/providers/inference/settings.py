"""The settings of one inference provider, from a `[[inference]]` table of the settings file."""

from __future__ import annotations

from typing import Annotated, Literal
from urllib.parse import urlsplit

from msgspec import Meta, Struct

from stack.providers.inference.port import Capabilities

Flavour = Literal["openai", "vllm", "ollama", "llama.cpp", "lmstudio", "generic"]
Seconds = Annotated[float, Meta(gt=0, le=86_400)]

OPENAI_URL = "https://api.openai.com/v1"

_CAPABILITIES: dict[Flavour, Capabilities] = {
    "openai": Capabilities(),
    "vllm": Capabilities(top_k=True, repetition_penalty=True, grammar=True),
    "llama.cpp": Capabilities(top_k=True, repetition_penalty=True, grammar=True),
    "lmstudio": Capabilities(top_k=True, repetition_penalty=True),
    # Ollama's OpenAI endpoint silently ignores both, which is worse than a refusal.
    "ollama": Capabilities(),
    "generic": Capabilities(top_k=True, repetition_penalty=True),
}


class InferenceSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One OpenAI-compatible server. `base_url` is the part before `/chat/completions`, usually ending in
    `/v1`.

    `flavour` determines the names of parameters and the supported features; by default it is derived from the
    host, the id or the usual loopback port. `top_k`, `repetition_penalty`, `grammar` and `images` override
    it. `first_token_timeout_s` is the limit from the request to the first event of the answer,
    `stall_timeout_s` from one event to the next; `answer_timeout_s` is that of an answer that is not
    streamed. `max_retries` counts retries before anything was received; a request that is only passed through
    is never retried. `headers` are added to all requests.
    """

    id: Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
    base_url: Annotated[str, Meta(pattern=r"^https?://[^\s]+$")]
    api_key: str | None = None
    flavour: Flavour | None = None
    connect_timeout_s: Seconds = 5.0
    first_token_timeout_s: Seconds = 120.0
    stall_timeout_s: Seconds = 60.0
    answer_timeout_s: Seconds = 600.0
    max_retries: Annotated[int, Meta(ge=0, le=10)] = 2
    headers: dict[str, str] = {}
    top_k: bool | None = None
    repetition_penalty: bool | None = None
    grammar: bool | None = None
    images: bool | None = None


def flavour_of(settings: InferenceSettings) -> Flavour:
    """Returns the kind of server: as configured, or derived from its host, its id or its port."""
    if settings.flavour is not None:
        return settings.flavour
    url = urlsplit(settings.base_url)
    host = url.hostname or ""
    if host == "openai.com" or host.endswith(".openai.com"):
        return "openai"
    by_id: dict[str, Flavour] = {
        "vllm": "vllm",
        "ollama": "ollama",
        "llama.cpp": "llama.cpp",
        "llamacpp": "llama.cpp",
        "llama-cpp": "llama.cpp",
        "lmstudio": "lmstudio",
    }
    if settings.id.lower() in by_id:
        return by_id[settings.id.lower()]
    by_port: dict[int, Flavour] = {11434: "ollama", 1234: "lmstudio"}
    return by_port.get(url.port or 0, "generic") if is_loopback(host) else "generic"


def capabilities_of(settings: InferenceSettings) -> Capabilities:
    """Returns the provider's capabilities: by its flavour, overridden by its settings."""
    base = _CAPABILITIES[flavour_of(settings)]

    def chosen(said: bool | None, otherwise: bool) -> bool:
        return otherwise if said is None else said

    return Capabilities(
        top_k=chosen(settings.top_k, base.top_k),
        repetition_penalty=chosen(settings.repetition_penalty, base.repetition_penalty),
        grammar=chosen(settings.grammar, base.grammar),
        images=chosen(settings.images, base.images),
    )


def is_loopback(host: str) -> bool:
    """Returns whether a host name or address means this machine."""
    return host in ("localhost", "::1") or host.endswith(".localhost") or host.startswith("127.")


def shown_url(base_url: str) -> str:
    """Returns a URL for display: without user, password, query or fragment."""
    url = urlsplit(base_url)
    host = f"[{url.hostname}]" if url.hostname and ":" in url.hostname else url.hostname or ""
    port = f":{url.port}" if url.port else ""
    return f"{url.scheme}://{host}{port}{url.path}"
