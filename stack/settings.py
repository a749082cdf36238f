"""The settings: their names, types, defaults and descriptions. `stack/config.py` finds their values."""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from stack.providers.inference.settings import InferenceSettings


class ApiKey(Struct, frozen=True, forbid_unknown_fields=True):
    """A caller's key; `name` is the `actor` of what the caller does."""

    name: Annotated[str, Meta(pattern=r"^[A-Za-z0-9_.@-]{1,64}$")]
    key: Annotated[str, Meta(min_length=8)]


def _field(description: str, **extra: Any) -> Meta:
    return Meta(description=description, extra=extra or None)


class Settings(Struct, frozen=True, kw_only=True):
    """Everything that can be set. Sizes are in bytes; a name ends in its unit."""

    data: Annotated[Path, _field("Folder of the log, the blobs and the read models.")] = Path(
        "~/.replaystack"
    )
    host: Annotated[str, _field("Address to listen on.")] = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65535), _field("Port to listen on; 0 takes a free one.")] = 8321
    allow_open: Annotated[
        bool, _field("Listen on other addresses than loopback without any API key: anyone may call.")
    ] = False
    api_keys: Annotated[
        list[ApiKey], _field("Bearer keys of callers: `name:key,name2:key2`.", secret=True)
    ] = []
    allowed_hosts: Annotated[
        list[str], _field("Names in `Host` that are answered beside loopback; `*` answers to any.")
    ] = []
    allowed_origins: Annotated[
        list[str], _field("Origins whose web pages may call, such as `https://app.example`.")
    ] = []
    max_body_bytes: Annotated[int, Meta(ge=1024), _field("Largest request body.")] = 32 * 2**20
    max_bytes_in_flight: Annotated[
        int,
        Meta(ge=2**20),
        _field(
            "Request bodies that may be in memory at once, all requests together; beyond it requests get 503. "
            "The first 64 KiB of each body do not count, and one request is always let in."
        ),
    ] = 128 * 2**20
    body_timeout_s: Annotated[
        float,
        Meta(gt=0),
        _field("A request body must keep arriving: within this time at the pace of `min_body_bytes_per_s`."),
    ] = 20.0
    min_body_bytes_per_s: Annotated[
        int, Meta(ge=0), _field("Slowest pace of a request body; 0 asks for any byte in time.")
    ] = 64
    body_deadline_s: Annotated[
        float, Meta(gt=0), _field("A request body must have arrived completely within this time.")
    ] = 600.0
    max_request_line_bytes: Annotated[
        int, Meta(ge=256, le=60_000), _field("Longest path and query of a request.")
    ] = 32 * 2**10
    max_header_bytes: Annotated[
        int, Meta(ge=1024), _field("Largest headers of a request, all names and values together.")
    ] = 64 * 2**10
    max_header_count: Annotated[int, Meta(ge=16), _field("Most headers of a request.")] = 256
    header_timeout_s: Annotated[
        float, Meta(gt=0), _field("A request line and its headers must arrive within this time.")
    ] = 15.0
    idle_timeout_s: Annotated[
        float, Meta(gt=0), _field("A connection without a request is closed after this time.")
    ] = 30.0
    unread_timeout_s: Annotated[
        float,
        Meta(gt=0),
        _field("A connection whose client reads nothing of an answer for this long is closed."),
    ] = 60.0
    max_connections: Annotated[
        int,
        Meta(ge=8),
        _field("Most connections at once; fewer where the process may not open enough files."),
    ] = 4096
    max_page_bytes: Annotated[
        int,
        Meta(ge=1024),
        _field(
            "About the largest page of a list; what does not fit is on the next one. A page has at least one item."
        ),
    ] = 16 * 2**20
    max_agent_bytes: Annotated[int, Meta(ge=1024), _field("Largest configuration of an agent, as JSON.")] = (
        2**20
    )
    rate_limits: Annotated[
        Literal["auto", "on", "off"],
        _field(
            "Whether requests are limited for each API key and each client address; `auto` is on unless the server "
            "listens on loopback only. A limit of 0 is none; ten seconds' worth may come at once."
        ),
    ] = "auto"
    max_requests_per_minute: Annotated[
        int, Meta(ge=0), _field("Requests for each key and address; beyond it they get 429.")
    ] = 3000
    max_model_tokens_per_minute: Annotated[
        int, Meta(ge=0), _field("Tokens that models read and write for each key and address.")
    ] = 1_000_000
    max_appended_bytes_per_minute: Annotated[
        int, Meta(ge=0), _field("Bytes of POSTs, and of telemetry that is sent, for each key and address.")
    ] = 512 * 2**20
    max_wrong_keys_per_minute: Annotated[
        int,
        Meta(ge=0),
        _field("Unknown API keys that an address may try; keys that were right there before go on working."),
    ] = 60
    dataset_roots: Annotated[
        list[Path], _field("Folders beneath which `lsfs://` and `file://` datasets are read; none otherwise.")
    ] = []
    max_dataset_bytes: Annotated[
        int, Meta(ge=1024), _field("Most that a dataset's URI may hold, also unpacked and as JSON.")
    ] = 2**30
    max_dataset_fetch_bytes: Annotated[
        int, Meta(ge=1024), _field("Most that is fetched from an `https://` URI of a dataset.")
    ] = 256 * 2**20
    max_dataset_rows: Annotated[
        int, Meta(ge=1), _field("Most rows that one request may add to a dataset.")
    ] = 10_000_000
    turn_deadline_s: Annotated[
        float, Meta(gt=0), _field("A turn, or a row of an evaluation, that runs longer than this fails.")
    ] = 1800.0
    hold_back_ms: Annotated[
        int,
        Meta(ge=0),
        _field("How long a stream waits for the model's first sign of life before its status."),
    ] = 500
    keep_alive_s: Annotated[float, Meta(gt=0), _field("A silent stream is kept alive this often.")] = 15.0
    restart_limit: Annotated[int, Meta(ge=0), _field("A turn is restarted at most this often.")] = 3
    restart_max_age_h: Annotated[float, Meta(gt=0), _field("A turn older than this is not restarted.")] = 24.0
    shutdown_grace_s: Annotated[
        float,
        Meta(ge=0),
        _field("At shutdown, running turns get this long to finish before they are parked."),
    ] = 5.0
    max_running_turns: Annotated[int, Meta(ge=1), _field("Turns that may run at once.")] = 256
    max_completions: Annotated[
        int, Meta(ge=1), _field("Chat completions that may be passed through at once.")
    ] = 1024
    eval_running_jobs: Annotated[
        int, Meta(ge=1), _field("Evaluation jobs that may run at once; others wait as scheduled.")
    ] = 4
    eval_concurrency: Annotated[
        int, Meta(ge=1, le=1024), _field("Rows of one evaluation job that are evaluated at once.")
    ] = 8
    eval_row_attempts: Annotated[
        int, Meta(ge=1, le=100), _field("How often a row is tried when the model server fails or is busy.")
    ] = 3
    eval_max_rows: Annotated[
        int, Meta(ge=1), _field("Rows that one request to evaluate rows at once may carry.")
    ] = 1000
    node: Annotated[
        str, _field("Name of this node as owner of turns; by default made once and kept in the data folder.")
    ] = ""
    view_linger_ms: Annotated[
        int, Meta(ge=0), _field("How long the read models collect events when nobody waits for them.")
    ] = 25
    view_linger_max_ms: Annotated[int, Meta(ge=0), _field("The same under load.")] = 100
    inference: Annotated[
        list[InferenceSettings],
        _field(
            "Model providers; in TOML one `[[inference]]` table each, in the environment as JSON.", flag=False
        ),
    ] = []
    openai_base_url: Annotated[
        str,
        _field("Base URL of the provider `openai`, any OpenAI-compatible server.", env="OPENAI_BASE_URL"),
    ] = ""
    openai_api_key: Annotated[str, _field("Its key.", env="OPENAI_API_KEY", secret=True)] = ""
    discover_models: Annotated[
        bool, _field("Look for model servers on the usual loopback ports at start.")
    ] = True
    own_telemetry: Annotated[bool, _field("Keep the server's own traces and metrics in its own store.")] = (
        True
    )
    database_memory_bytes: Annotated[
        int,
        Meta(ge=64 * 2**20),
        _field(
            "Most memory that the database of the read models takes for its buffers; it takes what it needs."
        ),
    ] = 512 * 2**20
    otlp_http_port: Annotated[
        int, Meta(ge=0, le=65535), _field("Port that takes telemetry over HTTP beside the API's; 0 for none.")
    ] = 4318
    otlp_grpc_port: Annotated[
        int, Meta(ge=0, le=65535), _field("Port that takes telemetry over gRPC; 0 for none.")
    ] = 4317
    telemetry_retention_days: Annotated[
        float, Meta(gt=0), _field("Telemetry that was received longer ago than this is removed.")
    ] = 30.0
    telemetry_retention_bytes: Annotated[
        int,
        Meta(ge=2**20),
        _field(
            "Of telemetry as it came, beyond which the oldest is removed; its tables take half as much more."
        ),
    ] = 16 * 2**30
    telemetry_max_spans: Annotated[
        int, Meta(ge=1, le=100_000), _field("Spans that one query returns at most.")
    ] = 1000
    log_level: Annotated[Literal["debug", "info", "warning", "error"], _field("What is logged.")] = "info"
    log_format: Annotated[
        Literal["auto", "text", "json"], _field("Form of the log; `auto` is text on a terminal, else JSON.")
    ] = "auto"


def is_loopback(host: str) -> bool:
    """Whether `host` (a name or an address, without port) is this machine only."""
    name = host.rstrip(".").lower()
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name.strip("[]")).is_loopback
    except ValueError:
        return False
