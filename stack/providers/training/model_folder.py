"""A model in a folder: what it is, and whether its files are whole and safe to load.

Without torch, so that the server refuses a damaged base model before its job exists. Only headers are read: a
header that agrees with the size of its file excludes truncation, not changed bits.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from msgspec import Struct

_PICKLES = (".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt")
_MAX_HEADER_BYTES = 100_000_000
"""The limit of the safetensors library."""
_DEEPEST = 16
"""Adapters that are trained on adapters."""


class ModelRefused(ValueError):
    """A folder does not hold a model that can be trained. The text says why, and the remedy."""


class ModelFolder(Struct, frozen=True, kw_only=True):
    """`kind` is full or adapter. `adapters` are the folders of the adapters to apply to the base in this order.
    `base` is the folder of the weights; its `config` is the content of config.json. `on_hub` means that an adapter names
    its base by a name of the hub: then `base` is that name, and `config` is empty."""

    kind: str
    base: str
    adapters: list[str]
    config: dict[str, Any]
    on_hub: bool = False

    @property
    def context(self) -> int:
        """The longest sequence in tokens; 0 if unknown."""
        return int(
            self.text_config.get("max_position_embeddings") or self.text_config.get("n_positions") or 0
        )

    @property
    def text_config(self) -> dict[str, Any]:
        return self.config.get("text_config") or self.config


def open_folder(path: str | Path) -> ModelFolder:
    """Describes the model in a folder. Raises ModelRefused."""
    adapters: list[str] = []
    folder = Path(path)
    while (folder / "adapter_config.json").is_file():
        adapters.insert(0, str(folder))
        if len(adapters) > _DEEPEST:
            raise ModelRefused(f"{path} is an adapter on more than {_DEEPEST} others; merge them first")
        _weights(folder)
        named = _json(folder / "adapter_config.json").get("base_model_name_or_path") or ""
        if not Path(named).is_absolute():
            return ModelFolder(kind="adapter", base=named, adapters=adapters, config={}, on_hub=True)
        folder = Path(named)
    if not folder.is_dir():
        of = " (the base model of an adapter)" if adapters else ""
        raise ModelRefused(f"{folder}{of} is not a folder")
    config = _json(folder / "config.json")
    _weights(folder)
    if config.get("quantization_config"):
        raise ModelRefused(
            f"{folder} is quantised, so its weights cannot be trained; train the model it was made of"
        )
    kind = "adapter" if adapters else "full"
    return ModelFolder(kind=kind, base=str(folder), adapters=adapters, config=config)


def undivided_layers(folder: ModelFolder, group_size: int) -> list[str]:
    """Returns the sizes in `config` that a group size does not divide: layers that quantisation would skip."""
    config = folder.text_config
    hidden, heads = config.get("hidden_size"), config.get("num_attention_heads")
    sizes = {"hidden_size": hidden, "intermediate_size": config.get("intermediate_size")}
    if hidden and heads:
        sizes["num_attention_heads * head_dim"] = heads * (config.get("head_dim") or hidden // heads)
    return [f"{name} {size}" for name, size in sizes.items() if size and size % group_size]


def _weights(folder: Path) -> None:
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        pickles = [path.name for path in sorted(folder.iterdir()) if path.suffix in _PICKLES]
        found = f"only {', '.join(pickles[:3])}" if pickles else "no weights"
        raise ModelRefused(
            f"{folder} has {found}; weights must be in *.safetensors files (a pickle can run code when it is "
            "loaded): save the model with save_pretrained"
        )
    index = folder / "model.safetensors.index.json"
    if index.is_file():
        shards = set(_json(index).get("weight_map", {}).values())
        if missing := sorted(shards - {path.name for path in files}):
            raise ModelRefused(
                f"{folder} lacks {', '.join(missing[:3])}, which its index names; copy it again"
            )
    for path in files:
        _check_safetensors(path)


def _check_safetensors(path: Path) -> None:
    """Raises ModelRefused if the header is invalid, or does not agree with the size of the file."""
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if size < 8 or length > min(_MAX_HEADER_BYTES, size - 8):
            raise _damaged(path, "its header is not whole")
        try:
            header = json.loads(file.read(length))
            ends = [int(one["data_offsets"][1]) for name, one in header.items() if name != "__metadata__"]
        except (ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError):
            raise _damaged(path, "its header is not valid") from None
    expected = 8 + length + max(ends, default=0)
    if size != expected:
        raise _damaged(path, f"it has {size} bytes, and its header says {expected}")


def _damaged(path: Path, why: str) -> ModelRefused:
    return ModelRefused(f"{path} is damaged: {why}; copy it again")


def _json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise ModelRefused(f"{path.parent} has no {path.name}; name the folder of a model") from None
    except (OSError, ValueError, RecursionError) as error:
        raise ModelRefused(f"{path} cannot be read: {error}") from None
    if not isinstance(found, dict):
        raise ModelRefused(f"{path} is not a JSON object")
    return found
