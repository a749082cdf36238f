"""The settings: their names, types, defaults and descriptions. `stack/config.py` loads their values."""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from projections.user_views.prices import Price
from stack.providers.inference.settings import InferenceSettings
from stack.providers.rerank.settings import RerankSettings
from stack.providers.retrieval.settings import CollectionSettings
from stack.providers.shields.settings import ShieldSettings
from stack.providers.tools.settings import ToolGroupSettings


class ApiKey(Struct, frozen=True, forbid_unknown_fields=True):
    """A caller's key; `name` is recorded as the `actor` of the caller's actions."""

    name: Annotated[str, Meta(pattern=r"^[A-Za-z0-9_.@-]{1,64}$")]
    key: Annotated[str, Meta(min_length=8)]


def _field(description: str, **extra: Any) -> Meta:
    return Meta(description=description, extra=extra or None)


class Settings(Struct, frozen=True, kw_only=True):
    """All settings. Sizes are in bytes; a name ends with its unit."""

    data: Annotated[Path, _field("Data folder: event log, blobs, read models, telemetry.")] = Path(
        "~/.replaystack"
    )
    host: Annotated[str, _field("Address to listen on.")] = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65535), _field("Port to listen on; 0 selects a free port.")] = 8321
    allow_open: Annotated[
        bool,
        _field("Allow listening on a non-loopback address without API keys: anyone can call the server."),
    ] = False
    api_keys: Annotated[
        list[ApiKey], _field("API keys (bearer tokens) of callers: `name:key,name2:key2`.", secret=True)
    ] = []
    allowed_hosts: Annotated[
        list[str], _field("Host names accepted in `Host` in addition to loopback; `*` accepts any.")
    ] = []
    allowed_origins: Annotated[
        list[str], _field("Origins of web pages that may call the server, such as `https://app.example`.")
    ] = []
    max_body_bytes: Annotated[int, Meta(ge=1024), _field("Maximum size of a request body.")] = 32 * 2**20
    max_bytes_in_flight: Annotated[
        int,
        Meta(ge=2**20),
        _field(
            "Upper bound on request bodies held in memory, over all requests; beyond it requests get "
            "503. The first 64 KiB of each body are not counted, and one request is always admitted."
        ),
    ] = 128 * 2**20
    body_timeout_s: Annotated[
        float,
        Meta(gt=0),
        _field(
            "Maximum time in which a request body may fall behind the rate `min_body_bytes_per_s`; then 408."
        ),
    ] = 20.0
    min_body_bytes_per_s: Annotated[
        int,
        Meta(ge=0),
        _field("Minimum rate of a request body; 0 requires at least one byte per `body_timeout_s`."),
    ] = 64
    body_deadline_s: Annotated[
        float, Meta(gt=0), _field("Maximum time for a request body to arrive completely; then 408.")
    ] = 600.0
    max_request_line_bytes: Annotated[
        int, Meta(ge=256, le=60_000), _field("Maximum length of a request's path and query; then 414.")
    ] = 32 * 2**10
    max_header_bytes: Annotated[
        int, Meta(ge=1024), _field("Maximum size of all request headers together; then 431.")
    ] = 64 * 2**10
    max_header_count: Annotated[int, Meta(ge=16), _field("Maximum number of request headers; then 431.")] = (
        256
    )
    header_timeout_s: Annotated[
        float, Meta(gt=0), _field("Maximum time for the request line and headers to arrive; then 408.")
    ] = 15.0
    idle_timeout_s: Annotated[float, Meta(gt=0), _field("Time after which an idle connection is closed.")] = (
        30.0
    )
    unread_timeout_s: Annotated[
        float,
        Meta(gt=0),
        _field("Time after which a connection is closed if its client does not read the response."),
    ] = 60.0
    max_connections: Annotated[
        int,
        Meta(ge=8),
        _field("Maximum number of connections; lower if the limit on open files requires it."),
    ] = 4096
    max_page_bytes: Annotated[
        int,
        Meta(ge=1024),
        _field(
            "Approximate maximum size of one page of a list. Further items are on the next page; a page"
            " has at least one item."
        ),
    ] = 16 * 2**20
    max_agent_bytes: Annotated[
        int, Meta(ge=1024), _field("Maximum size of an agent's configuration as JSON; then 413.")
    ] = 2**20
    rate_limits: Annotated[
        Literal["auto", "on", "off"],
        _field(
            "Rate limits per API key and per client address: `on`, `off`, or `auto` (on unless the "
            "server listens on loopback only). A limit of 0 means no limit. Bursts of ten seconds' "
            "worth are allowed."
        ),
    ] = "auto"
    max_requests_per_minute: Annotated[
        int, Meta(ge=0), _field("Maximum rate of requests per key and address; beyond it requests get 429.")
    ] = 3000
    max_model_tokens_per_minute: Annotated[
        int,
        Meta(ge=0),
        _field("Maximum rate of model tokens, input and output together, per key and address."),
    ] = 1_000_000
    max_appended_bytes_per_minute: Annotated[
        int, Meta(ge=0), _field("Maximum rate of request bytes (POST and OTLP) per key and address.")
    ] = 512 * 2**20
    max_wrong_keys_per_minute: Annotated[
        int,
        Meta(ge=0),
        _field(
            "Maximum rate of wrong API keys per address; beyond it they get 429. Correct keys always work."
        ),
    ] = 60
    dataset_roots: Annotated[
        list[Path],
        _field("Folders from which `lsfs://` and `file://` datasets may be read; none by default."),
    ] = []
    prices: Annotated[
        list[Price],
        _field(
            "Prices of models for the costs in SQL: one `[[prices]]` table each in TOML, a JSON array in the environment.",
            flag=False,
        ),
    ] = []
    sql_timeout_s: Annotated[
        float,
        Meta(gt=0, le=3600),
        _field("Maximum time of an SQL query, and again of a client to read its result; then it is ended."),
    ] = 30.0
    sql_max_rows: Annotated[
        int, Meta(ge=1), _field("Maximum number of rows of an SQL result; more are cut off.")
    ] = 100_000
    sql_max_bytes: Annotated[
        int, Meta(ge=1024, le=2**30), _field("Maximum size of an SQL result; more is cut off.")
    ] = 32 * 2**20
    sql_memory_bytes: Annotated[
        int,
        Meta(ge=2**30),
        _field("Address space of a process that runs SQL; DuckDB uses a quarter of it for its buffers."),
    ] = 3 * 2**29
    sql_queries: Annotated[int, Meta(ge=1, le=64), _field("Maximum number of SQL queries at once.")] = 2
    sql_waiting: Annotated[
        int, Meta(ge=0), _field("Maximum number of SQL queries that wait for running ones; then 503.")
    ] = 16
    max_dataset_bytes: Annotated[
        int, Meta(ge=1024), _field("Maximum size behind a dataset URI, decompressed and as JSON.")
    ] = 2**30
    max_dataset_fetch_bytes: Annotated[
        int, Meta(ge=1024), _field("Maximum download size of an `https://` dataset URI.")
    ] = 256 * 2**20
    max_dataset_rows: Annotated[
        int, Meta(ge=1), _field("Maximum number of rows that one request may add to a dataset.")
    ] = 10_000_000
    max_dataset_cpu_s: Annotated[
        int,
        Meta(ge=1),
        _field("Maximum computing time to read one dataset source; 20 s and 1 s per MiB if that is less."),
    ] = 300
    max_dataset_memory_bytes: Annotated[
        int,
        Meta(ge=256 * 2**20),
        _field(
            "Maximum memory of the process that reads a dataset source; 1.5 GiB and 16 times its size if that is less."
        ),
    ] = 4 * 2**30
    turn_deadline_s: Annotated[
        float, Meta(gt=0), _field("Maximum duration of a turn or of one evaluation row; then it fails.")
    ] = 1800.0
    hold_back_ms: Annotated[
        int,
        Meta(ge=0),
        _field("Maximum time that a streamed response withholds its status until the model server responds."),
    ] = 500
    keep_alive_s: Annotated[
        float, Meta(gt=0), _field("Interval of keep-alive comments on a silent stream.")
    ] = 15.0
    restart_limit: Annotated[
        int, Meta(ge=0), _field("Maximum number of automatic restarts of a turn after crashes.")
    ] = 3
    restart_max_age_h: Annotated[
        float, Meta(gt=0), _field("Maximum age of a turn for an automatic restart.")
    ] = 24.0
    shutdown_grace_s: Annotated[
        float,
        Meta(ge=0),
        _field("Time that running turns get to finish at shutdown; then they are parked for the next start."),
    ] = 5.0
    max_running_turns: Annotated[int, Meta(ge=1), _field("Maximum number of concurrently running turns.")] = (
        256
    )
    max_completions: Annotated[
        int,
        Meta(ge=1),
        _field(
            "Maximum number of concurrent requests that are passed through to models; the same for reranking."
        ),
    ] = 1024
    eval_running_jobs: Annotated[
        int,
        Meta(ge=1),
        _field("Maximum number of concurrently running evaluation jobs; further jobs stay scheduled."),
    ] = 4
    eval_concurrency: Annotated[
        int,
        Meta(ge=1, le=1024),
        _field("Number of rows of one evaluation job that are evaluated concurrently."),
    ] = 8
    eval_row_attempts: Annotated[
        int, Meta(ge=1, le=100), _field("Maximum attempts per row when the model server fails or is busy.")
    ] = 3
    eval_max_rows: Annotated[
        int, Meta(ge=1), _field("Maximum number of rows in a request to `evaluations`.")
    ] = 1000
    local_models: Annotated[
        list[Path],
        _field("GGUF files and folders of models that llama.cpp serves as `local/NAME`; none by default."),
    ] = []
    local_running_models: Annotated[
        int, Meta(ge=1, le=64), _field("Maximum number of local models that are loaded at the same time.")
    ] = 1
    train_python: Annotated[
        str,
        _field(
            "Python interpreter with the packages of `replaystack[train]`, in which training runs; none by default."
        ),
    ] = ""
    train_roots: Annotated[
        list[Path],
        _field(
            "Folders in which base models are found and into which `checkpoint_dir` may point; none by default."
        ),
    ] = []
    train_running_jobs: Annotated[
        int,
        Meta(ge=1, le=64),
        _field("Maximum number of concurrently running training jobs; further jobs stay scheduled."),
    ] = 1
    train_silence_s: Annotated[
        float,
        Meta(gt=0),
        _field("Time without a sign of life after which a training worker is ended and its job fails."),
    ] = 60.0
    train_cancel_grace_s: Annotated[
        float,
        Meta(ge=0),
        _field("Time that a cancelled training job gets to finish its step; then its worker is killed."),
    ] = 30.0
    node: Annotated[
        str,
        _field(
            "Name of this node as owner of turns; by default generated once and stored in the data folder."
        ),
    ] = ""
    view_linger_ms: Annotated[
        int, Meta(ge=0), _field("Time for which the read models batch events while no reader waits.")
    ] = 25
    view_linger_max_ms: Annotated[int, Meta(ge=0), _field("The same under load, as an upper bound.")] = 100
    inference: Annotated[
        list[InferenceSettings],
        _field(
            "Model providers: one `[[inference]]` table each in TOML, a JSON array in the environment.",
            flag=False,
        ),
    ] = []
    openai_base_url: Annotated[
        str,
        _field("Base URL of the provider `openai`; any OpenAI-compatible server.", env="OPENAI_BASE_URL"),
    ] = ""
    openai_api_key: Annotated[
        str, _field("API key of the provider `openai`.", env="OPENAI_API_KEY", secret=True)
    ] = ""
    max_context_document_characters: Annotated[
        int,
        Meta(ge=0),
        _field(
            "Maximum length of a turn's documents that the model is sent as they are; of longer ones it is sent the "
            "passages that match the question."
        ),
    ] = 200_000
    max_retrieved_tokens: Annotated[
        int,
        Meta(ge=1),
        _field("Maximum size of all passages that one search returns; a token is a word of up to 8 letters."),
    ] = 4096
    collections: Annotated[
        list[CollectionSettings],
        _field(
            "Collections of documents: one `[[collections]]` table each in TOML, a JSON array in the environment.",
            flag=False,
        ),
    ] = []
    rerank: Annotated[
        list[RerankSettings],
        _field(
            "Rerankers in addition to `bm25`: one `[[rerank]]` table each in TOML, a JSON array in the environment.",
            flag=False,
        ),
    ] = []
    toolgroups: Annotated[
        list[ToolGroupSettings],
        _field(
            "Toolgroups of the server: one `[[toolgroups]]` table each in TOML, a JSON array in the environment.",
            flag=False,
        ),
    ] = []
    shields: Annotated[
        list[ShieldSettings],
        _field(
            "Shields that agents can name: one `[[shields]]` table each in TOML, a JSON array in the environment.",
            flag=False,
        ),
    ] = []
    approval_webhook_url: Annotated[
        str, _field("URL that is told of each decision that a turn needs (a signed POST); none by default.")
    ] = ""
    approval_webhook_secret: Annotated[
        str, _field("Secret with which the requests to `approval_webhook_url` are signed.", secret=True)
    ] = ""
    discover_models: Annotated[bool, _field("Discover model servers on the usual loopback ports.")] = True
    own_telemetry: Annotated[bool, _field("Store the server's own traces and metrics.")] = True
    database_memory_bytes: Annotated[
        int,
        Meta(ge=64 * 2**20),
        _field("Memory limit of DuckDB's buffers; memory is allocated as needed."),
    ] = 512 * 2**20
    otlp_http_port: Annotated[
        int,
        Meta(ge=0, le=65535),
        _field("Additional port for OTLP over HTTP; 0 disables it. The API port accepts OTLP as well."),
    ] = 4318
    otlp_grpc_port: Annotated[
        int, Meta(ge=0, le=65535), _field("Port for OTLP over gRPC; 0 disables it.")
    ] = 4317
    flight_port: Annotated[
        int, Meta(ge=0, le=65535), _field("Port for SQL over Arrow Flight SQL; 0 disables it.")
    ] = 0
    telemetry_retention_days: Annotated[
        float, Meta(gt=0), _field("Retention time of telemetry, from when it was received.")
    ] = 30.0
    telemetry_retention_bytes: Annotated[
        int,
        Meta(ge=2**20),
        _field(
            "Maximum size of the telemetry log; the oldest data is removed first. The tables take about"
            " half as much again."
        ),
    ] = 16 * 2**30
    telemetry_sealed_spans: Annotated[
        int,
        Meta(ge=1),
        _field("Number of old spans that are moved to a file of their own at once; SQL copies newer ones."),
    ] = 122_880
    telemetry_max_spans: Annotated[
        int, Meta(ge=1, le=100_000), _field("Maximum number of spans returned by one query.")
    ] = 1000
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"], _field("Minimum level of log messages.")
    ] = "info"
    log_format: Annotated[
        Literal["auto", "text", "json"],
        _field("Log format; `auto` is text on a terminal and JSON otherwise."),
    ] = "auto"


def is_loopback(host: str) -> bool:
    """Returns whether `host` (a name or an address, without port) is this machine only."""
    name = host.rstrip(".").lower()
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name.strip("[]")).is_loopback
    except ValueError:
        return False
