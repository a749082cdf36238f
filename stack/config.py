"""Loads the values of the settings, and records the origin of each.

A value is taken from the first of: a flag, the environment (`REPLAYSTACK_<NAME>`), the TOML file (`--config`,
`REPLAYSTACK_CONFIG`, otherwise `./replaystack.toml`), the default. Unknown names are errors: a misspelt
setting that is silently ignored is hard to find.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from stack.domain.near import nearest
from stack.providers.inference.settings import shown_url
from stack.providers.retrieval.settings import check as check_collection
from stack.providers.shields.settings_check import check as check_shield
from stack.providers.tools.settings_check import check as check_toolgroup
from stack.settings import ApiKey, Settings, is_loopback

PREFIX = "REPLAYSTACK_"
CONFIG_VARIABLE = "REPLAYSTACK_CONFIG"
CONFIG_FILE = "replaystack.toml"
MASK = "********"
ADMIN = "admin"
"""The actor of the commands on the server's own machine; no API key may have this name."""

_SECRET_FIELDS = ("key", "api_key", "headers", "env", "client_secret")


class ConfigError(Exception):
    """The settings are invalid. The message names the value, its origin and the remedy."""


class Setting(Struct, frozen=True):
    """Properties of one setting other than its value. `variables` are in order of precedence."""

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
    def kinds(self) -> tuple[str, ...]:
        """The values of `kind` that select the fields of a table in a list."""
        items = get_args(get_args(self.type)[0]) if self.is_list else ()
        return tuple(str(one.__struct_config__.tag) for one in items)

    @property
    def choices(self) -> tuple[str, ...]:
        return get_args(self.type) if get_origin(self.type) is Literal else ()


class Loaded(Struct, frozen=True):
    """The settings, and the origin of each value: a flag, a variable, a file or `default`."""

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
            # Secrets on a command line are visible in process listings.
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
    """Returns the effective settings.

    `flags` holds the values from the command line, by setting; None means not given. `config` is the
    `--config` file. Raises ConfigError.
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
    values["collections"] = [
        replace(one, path=str(Path(one.path).expanduser().absolute()))
        for one in values.get("collections", [])
    ]
    values["dataset_roots"] = [root.expanduser().absolute() for root in values.get("dataset_roots", [])]
    settings = Settings(**values)
    _check_together(settings)
    origins = {name: said[name][1] if name in said else "default" for name in SETTINGS}
    return Loaded(settings, origins)


def require_safe_listener(settings: Settings) -> None:
    """Raises ConfigError for a server that is reachable from other machines and requires no key."""
    if is_loopback(settings.host) or settings.api_keys or settings.allow_open:
        return
    raise ConfigError(
        f"host = {settings.host!r} can be reached from other machines, and no API key is set. Set "
        f"{PREFIX}API_KEYS=name:key (or [[api_keys]] in the TOML file), or say --allow-open to let anyone call."
    )


def shown(value: Any, secret: bool = False) -> Any:
    """Returns `value` as JSON-compatible data with its secrets masked, for display."""
    data = msgspec.to_builtins(value, enc_hook=str)
    if isinstance(data, list):
        return [_masked(item) for item in data]
    if isinstance(value, str) and "://" in value:
        return shown_url(value)
    return MASK if secret and data else data


def secrets_of(settings: Settings) -> list[str]:
    """Returns the secret strings in the settings, so that they can be masked in log lines."""
    secrets = [key.key for key in settings.api_keys]
    secrets += [
        settings.approval_webhook_secret,
        settings.openai_api_key,
        *(provider.api_key or "" for provider in settings.inference),
    ]
    secrets += [reranker.api_key or "" for reranker in settings.rerank]
    for group in settings.toolgroups:
        secrets += [group.api_key or "", *group.headers.values(), *group.env.values()]
        secrets += [group.oauth.client_secret or ""] if group.oauth else []
    return [secret for secret in secrets if len(secret) >= 8]


def _masked(item: Any) -> Any:
    if not isinstance(item, dict):
        return item
    masked = {
        name: MASK if name in _SECRET_FIELDS and value else _masked(value) for name, value in item.items()
    }
    for name in ("base_url", "url"):
        if masked.get(name):
            masked[name] = shown_url(masked[name])
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
            raise ConfigError(f"{path}: unknown setting {name!r}. {_likely(name, SETTINGS)}")
    if isinstance(content.get("data"), str):
        # A file's paths are relative to its own folder, wherever the command is run from.
        content["data"] = _relative_to(path, content["data"])
    roots = content.get("dataset_roots")
    if isinstance(roots, list) and all(isinstance(root, str) for root in roots):
        content["dataset_roots"] = [_relative_to(path, root) for root in roots]
    for table in content.get("collections", []):
        if isinstance(table, dict) and isinstance(table.get("path"), str):
            table["path"] = _relative_to(path, table["path"])
    return [(name, value, str(path)) for name, value in content.items()]


def _relative_to(file: Path, named: str) -> str:
    return str(file.absolute().parent / Path(named).expanduser())


def _from_environment(environ: Mapping[str, str]) -> list[tuple[str, Any, str]]:
    known = {setting.variables[0]: name for name, setting in SETTINGS.items()}
    found = [
        (name, environ[variable], variable)
        for name, setting in SETTINGS.items()
        for variable in reversed(setting.variables)
        # An empty variable counts as unset: compose files and shells use it for that.
        if environ.get(variable)
    ]
    for variable in environ:
        if variable.startswith(PREFIX) and variable not in known and variable != CONFIG_VARIABLE:
            likely = _likely(variable, [*known, CONFIG_VARIABLE])
            raise ConfigError(f"Unknown variable {variable} in the environment. {likely}")
    return found


def _likely(name: str, known: Iterable[str]) -> str:
    near = nearest(name.removeprefix(PREFIX), [one.removeprefix(PREFIX) for one in known])
    prefix = PREFIX if name.startswith(PREFIX) else ""
    return f"Did you mean {prefix + near!r}?" if near else "`replaystack config show` lists all of them."


def _converted(setting: Setting, value: Any, origin: str) -> Any:
    """Converts `value` to the setting's type. Text (flags, variables) is parsed leniently, TOML literally."""
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
        if setting.kinds and reason.endswith(".kind`"):
            reason += f"; it must be one of {', '.join(setting.kinds)}"
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
    """Checks combinations of values. Raises ConfigError."""
    names = [key.name for key in settings.api_keys]
    if ADMIN in names:
        raise ConfigError(f"api_keys: the name {ADMIN!r} is reserved for the commands on this machine.")
    if len(set(names)) < len(names) or len({key.key for key in settings.api_keys}) < len(names):
        raise ConfigError("api_keys: names and keys must be unique.")
    ids = [provider.id for provider in settings.inference]
    if settings.openai_base_url:
        ids.append("openai")
    for provider_id in ids:
        if provider_id == "demo" or ids.count(provider_id) > 1:
            by = "the embedded demo" if provider_id == "demo" else "another provider (or OPENAI_BASE_URL)"
            raise ConfigError(f"inference: the id {provider_id!r} is taken by {by}. Choose another one.")
    rerankers = ["bm25", *(reranker.id for reranker in settings.rerank)]
    if repeated := next((one for one in rerankers if rerankers.count(one) > 1), None):
        raise ConfigError(
            f"rerank: the id {repeated!r} is used twice; `bm25` is built in. Choose another one."
        )
    _check_each("toolgroups", settings.toolgroups, check_toolgroup)
    _check_each("shields", settings.shields, check_shield)
    if settings.approval_webhook_url and len(settings.approval_webhook_secret) < 8:
        raise ConfigError(
            "approval_webhook_secret: set a secret of at least 8 characters to sign the requests."
        )
    _check_each("collections", settings.collections, check_collection)
    if settings.view_linger_max_ms < settings.view_linger_ms:
        raise ConfigError("view_linger_max_ms is below view_linger_ms.")
    for origin in settings.allowed_origins:
        if "://" not in origin or origin.endswith("/"):
            raise ConfigError(f"allowed_origins: {origin!r} is not of the form https://name[:port].")


def _check_each(name: str, configured: Sequence[Any], check: Callable[[Any], None]) -> None:
    """Checks the tables of one setting, whose ids must differ. Raises ConfigError."""
    ids = [one.id for one in configured]
    for one in configured:
        if ids.count(one.id) > 1:
            raise ConfigError(f"{name}: the id {one.id!r} is used twice. Choose another one.")
        try:
            check(one)
        except ValueError as error:
            raise ConfigError(f"{name}: {one.id}: {error}") from None
