"""The settings: one typed object, and where each of its values came from.

A value is taken from the first of: a flag, the environment (`REPLAYSTACK_<NAME>`), the TOML file (`--config`,
`REPLAYSTACK_CONFIG`, else `./replaystack.toml`), the default. What nobody knows is an error: a setting that is
misspelt and silently ignored costs its author an afternoon.
"""

from __future__ import annotations

import difflib
import ipaddress
import os
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Meta, Struct

from stack.providers.inference.settings import InferenceSettings, shown_url

PREFIX = "REPLAYSTACK_"
CONFIG_VARIABLE = "REPLAYSTACK_CONFIG"
CONFIG_FILE = "replaystack.toml"
MASK = "********"
ADMIN = "admin"
"""The actor of the commands on the server's own machine; no API key may have this name."""

_SECRET_FIELDS = ("key", "api_key", "headers")


class ConfigError(Exception):
    """The settings are wrong. The message says which value, where it came from and what to do."""


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


class Setting(Struct, frozen=True):
    """What is known of one setting beside its value. `variables` in the order in which they count."""

    name: str
    type: Any
    default: Any
    description: str
    variables: tuple[str, ...]
    secret: bool
    flag: bool

    @property
    def is_list(self) -> bool:
        return get_origin(self.type) is list

    @property
    def option(self) -> str:
        return "--" + self.name.replace("_", "-")

    @property
    def choices(self) -> tuple[str, ...]:
        return get_args(self.type) if get_origin(self.type) is Literal else ()


class Loaded(Struct, frozen=True):
    """Settings, and for each where its value came from: a flag, a variable, a file or `default`."""

    settings: Settings
    origins: dict[str, str]


def _described() -> dict[str, Setting]:
    hints = get_type_hints(Settings, include_extras=True)
    known = {}
    for field in msgspec.structs.fields(Settings):
        kind, *metas = get_args(hints[field.name])
        described = next(meta for meta in metas if meta.description)
        extra = described.extra or {}
        default = field.default if field.default is not msgspec.NODEFAULT else []
        secret = extra.get("secret", False)
        standard = (extra["env"],) if "env" in extra else ()
        known[field.name] = Setting(
            field.name,
            kind,
            default,
            described.description,
            (PREFIX + field.name.upper(), *standard),
            secret,
            # A secret on a command line is in every process listing.
            extra.get("flag", True) and not secret,
        )
    return known


SETTINGS = _described()
_TYPES = get_type_hints(Settings, include_extras=True)


def load(
    flags: Mapping[str, Any] | None = None,
    environ: Mapping[str, str] = os.environ,
    config: Path | None = None,
) -> Loaded:
    """The settings as they are in force.

    `flags` holds what was said on the command line, by setting; None is unsaid. `config` is the `--config`
    file. Raises ConfigError.
    """
    said: dict[str, tuple[Any, str]] = {}
    for name, value, origin in (
        *_from_file(config, environ),
        *_from_environment(environ),
        *((name, value, SETTINGS[name].option) for name, value in (flags or {}).items() if value is not None),
    ):
        said[name] = (value, origin)
    values = {name: _converted(SETTINGS[name], value, origin) for name, (value, origin) in said.items()}
    values["data"] = Path(values.get("data", SETTINGS["data"].default)).expanduser().absolute()
    values["dataset_roots"] = [root.expanduser().absolute() for root in values.get("dataset_roots", [])]
    settings = Settings(**values)
    _check_together(settings)
    origins = {name: said[name][1] if name in said else "default" for name in SETTINGS}
    return Loaded(settings, origins)


def require_safe_listener(settings: Settings) -> None:
    """Raises ConfigError for a server that strangers could reach and that would ask for no key."""
    if is_loopback(settings.host) or settings.api_keys or settings.allow_open:
        return
    raise ConfigError(
        f"host = {settings.host!r} can be reached from other machines, and no API key is set. Set "
        f"{PREFIX}API_KEYS=name:key (or [[api_keys]] in the TOML file), or say --allow-open to let anyone call."
    )


def is_loopback(host: str) -> bool:
    """Whether `host` (a name or an address, without port) is this machine only."""
    name = host.rstrip(".").lower()
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name.strip("[]")).is_loopback
    except ValueError:
        return False


def shown(value: Any, secret: bool = False) -> Any:
    """`value` as JSON-compatible data with its secrets masked, for people to read."""
    data = msgspec.to_builtins(value, enc_hook=str)
    if isinstance(data, list):
        return [_masked(item) for item in data]
    if isinstance(value, str) and "://" in value:
        return shown_url(value)
    return MASK if secret and data else data


def secrets_of(settings: Settings) -> list[str]:
    """The secret strings among the settings, so that no log line shows one."""
    secrets = [key.key for key in settings.api_keys]
    secrets += [settings.openai_api_key, *(provider.api_key or "" for provider in settings.inference)]
    return [secret for secret in secrets if len(secret) >= 8]


def _masked(item: Any) -> Any:
    if not isinstance(item, dict):
        return item
    masked = {name: MASK if name in _SECRET_FIELDS and value else value for name, value in item.items()}
    if "base_url" in masked:
        masked["base_url"] = shown_url(masked["base_url"])
    return {name: value for name, value in masked.items() if value not in (None, {})}


def _from_file(config: Path | None, environ: Mapping[str, str]) -> list[tuple[str, Any, str]]:
    named = config or (Path(environ[CONFIG_VARIABLE]) if environ.get(CONFIG_VARIABLE) else None)
    path = (named or Path(CONFIG_FILE)).expanduser()
    if named is None and not path.is_file():
        return []
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise ConfigError(f"Cannot read the settings file {path}: {reason}.") from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path} is not valid TOML: {error}.") from None
    for name in content:
        if name not in SETTINGS:
            raise ConfigError(f"{path}: unknown setting {name!r}. Did you mean {nearest(name, SETTINGS)!r}?")
    if isinstance(content.get("data"), str):
        # A file means its own folder, wherever the command is run from.
        content["data"] = _beside(path, content["data"])
    roots = content.get("dataset_roots")
    if isinstance(roots, list) and all(isinstance(root, str) for root in roots):
        content["dataset_roots"] = [_beside(path, root) for root in roots]
    return [(name, value, str(path)) for name, value in content.items()]


def _beside(file: Path, named: str) -> str:
    return str(file.absolute().parent / Path(named).expanduser())


def _from_environment(environ: Mapping[str, str]) -> list[tuple[str, Any, str]]:
    known = {setting.variables[0]: name for name, setting in SETTINGS.items()}
    found = [
        (name, environ[variable], variable)
        for name, setting in SETTINGS.items()
        for variable in reversed(setting.variables)
        # An empty variable is an unset one: that is how compose files and shells leave things out.
        if environ.get(variable)
    ]
    for variable in environ:
        if variable.startswith(PREFIX) and variable not in known and variable != CONFIG_VARIABLE:
            likely = nearest(variable, [*known, CONFIG_VARIABLE])
            raise ConfigError(f"Unknown variable {variable} in the environment. Did you mean {likely}?")
    return found


def nearest(name: str, known: Iterable[str]) -> str:
    """The known name that `name` most likely stands for."""
    return difflib.get_close_matches(name, list(known), n=1, cutoff=0.0)[0]


def _converted(setting: Setting, value: Any, origin: str) -> Any:
    """`value` in the setting's type. Text (flags, variables) is read leniently, TOML literally."""
    from_text = isinstance(value, str)
    try:
        if from_text and setting.is_list:
            value = _listed(setting, value)
        return msgspec.convert(
            value, _TYPES[setting.name], strict=not from_text, dec_hook=lambda kind, raw: kind(raw)
        )
    except (msgspec.MsgspecError, TypeError, ValueError) as error:
        said = "" if setting.secret or not setting.flag else f" = {value!r}"
        reason = f"it must be one of {', '.join(setting.choices)}" if setting.choices else str(error)
        raise ConfigError(f"{setting.name}{said} (from {origin}): {reason}.") from None


def _listed(setting: Setting, text: str) -> list[Any]:
    if text.lstrip().startswith("["):
        return list(msgspec.json.decode(text))
    parts = [part.strip() for part in text.split(",") if part.strip()]
    if setting.type == list[ApiKey]:
        pairs = [part.partition(":") for part in parts]
        if not all(colon for _, colon, _ in pairs):
            raise ValueError("each key is written name:key")
        return [{"name": name, "key": key} for name, _, key in pairs]
    return parts


def _check_together(settings: Settings) -> None:
    """What no single value shows. Raises ConfigError."""
    names = [key.name for key in settings.api_keys]
    if ADMIN in names:
        raise ConfigError(f"api_keys: the name {ADMIN!r} is taken by this machine's own commands.")
    if len(set(names)) < len(names) or len({key.key for key in settings.api_keys}) < len(names):
        raise ConfigError("api_keys: each name and each key may be there once only.")
    ids = [provider.id for provider in settings.inference]
    if settings.openai_base_url:
        ids.append("openai")
    for provider_id in ids:
        if provider_id == "demo" or ids.count(provider_id) > 1:
            by = "the embedded demo" if provider_id == "demo" else "another provider (or OPENAI_BASE_URL)"
            raise ConfigError(f"inference: the id {provider_id!r} is taken by {by}. Choose another one.")
    if settings.view_linger_max_ms < settings.view_linger_ms:
        raise ConfigError("view_linger_max_ms is below view_linger_ms.")
    for origin in settings.allowed_origins:
        if "://" not in origin or origin.endswith("/"):
            raise ConfigError(f"allowed_origins: {origin!r} is not of the form https://name[:port].")
