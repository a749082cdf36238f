"""Determines which Parquet files of a dataset on the Hugging Face hub contain a split. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from stack.errors import Invalid

CONVERTED = "refs/convert/parquet"
"""The branch in which the hub keeps every dataset as Parquet: `<config>/<split>/<number>.parquet`."""

DEFAULT = "default"

Files = dict[str, dict[str, list[str]]]
"""Paths by config and split."""

_SHARD = re.compile(r"(?P<split>\w+(?:\.\w+)*)-\d{5}-of-\d{5}(?:-\w+)?\.parquet")
_KEYWORD = re.compile(
    r"(?:^|[^a-z])(?:(?P<train>train(?:ing)?)|(?P<validation>validation|valid|val|dev)|(?P<test>test(?:ing)?|eval(?:uation)?))"
    r"(?:$|[^a-z])"
)


def converted_files(paths: Iterable[str]) -> Files:
    """Returns the files of the branch `CONVERTED`. Splits that the hub converted only partially are left
    out."""
    files: Files = {}
    for path in sorted(paths):
        parts = path.split("/")
        if len(parts) == 3 and path.endswith(".parquet") and not parts[1].startswith("partial-"):
            files.setdefault(parts[0], {}).setdefault(parts[1], []).append(path)
    return files


def own_files(paths: Iterable[str]) -> Files:
    """Returns the files of a repository without a description of its files, by their names:
    `data/train-00000-of-00001.parquet`, `<config>/test-00000-of-00003.parquet`,
    `<config>/validation/0.parquet` or `train.parquet`."""
    files: Files = {}
    for path in sorted(paths):
        if not path.endswith(".parquet"):
            continue
        *folders, name = path.split("/")
        shard = _SHARD.fullmatch(name)
        if shard:
            split = shard["split"]
        else:
            split = _keyword(name.removesuffix(".parquet")) or ""
            while not split and folders:
                split = _keyword(folders.pop()) or ""
        config = next((folder for folder in reversed(folders) if folder not in ("data", split)), DEFAULT)
        files.setdefault(config, {}).setdefault(split or "train", []).append(path)
    return files


def described_files(paths: Sequence[str], configs: Any) -> Files:
    """Returns the files described by the `configs` of the dataset card. Raises Invalid if the description is
    invalid."""
    files: Files = {}
    try:
        for config in configs:
            name = config.get("config_name", DEFAULT)
            folder = str(config.get("data_dir", "")).strip("/")
            for split, patterns in _splits(config.get("data_files", "**")):
                found = [
                    path for path in sorted(paths) if any(_matches(path, one, folder) for one in patterns)
                ]
                if found:
                    files.setdefault(name, {}).setdefault(split, []).extend(found)
    except (AttributeError, KeyError, TypeError):
        raise Invalid("The card of the dataset describes its files in a way that is not known.") from None
    return {
        config: splits
        for config, splits in files.items()
        if all(path.endswith(".parquet") for found in splits.values() for path in found)
    }


def chosen(files: Files, config: str, split: str, shown: str) -> list[str]:
    """Returns the files of a split, in order. A config or split that is not specified ("") must be the only
    one, or `default`. Raises Invalid that lists what exists."""
    if not files:
        raise Invalid(f"{shown} has no Parquet files; datasets of the hub are read from those.")
    if not config:
        config = DEFAULT if DEFAULT in files else next(iter(files))
        if len(files) > 1 and config != DEFAULT:
            raise Invalid(f"{shown} has several configs; add ?config= with one of {_listed(files)}.")
    if config not in files:
        raise Invalid(f"{shown} has no config {config!r}; there are {_listed(files)}.")
    splits = files[config]
    if not split:
        if len(splits) > 1:
            raise Invalid(f"{shown} has several splits; add ?split= with one of {_listed(splits)}.")
        split = next(iter(splits))
    if split not in splits:
        raise Invalid(f"{shown} has no split {split!r}; there are {_listed(splits)}.")
    return splits[split]


def _keyword(text: str) -> str | None:
    match = _KEYWORD.search(text.lower())
    return match.lastgroup if match else None


def _splits(data_files: Any) -> Iterable[tuple[str, list[str]]]:
    if isinstance(data_files, str):
        return [("train", [data_files])]
    if isinstance(data_files, Mapping):
        return [(split, _several(patterns)) for split, patterns in data_files.items()]
    if all(isinstance(one, str) for one in data_files):
        return [("train", list(data_files))]
    return [(one["split"], _several(one["path"])) for one in data_files]


def _several(patterns: Any) -> list[str]:
    return [patterns] if isinstance(patterns, str) else list(patterns)


def _matches(path: str, pattern: str, folder: str) -> bool:
    whole = f"{folder}/{pattern}" if folder else pattern
    parts = re.split(r"(\*\*/|\*\*|\*|\?)", whole.removeprefix("./"))
    wild = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    return re.fullmatch("".join(wild.get(part) or re.escape(part) for part in parts), path) is not None


def _listed(names: Iterable[str]) -> str:
    known = sorted(names)
    return ", ".join(known[:20]) + (f" and {len(known) - 20} more" if len(known) > 20 else "")
