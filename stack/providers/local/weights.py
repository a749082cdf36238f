"""Weights of a checkpoint, read from safetensors files one by one, with those of adapters added.

Without torch, so that a checkpoint can be served where nothing is trained.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from stack.providers.training.model_folder import ModelFolder, ModelRefused

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float32]

_PREFIX = "base_model.model."
_OUTPUT, _INPUT = "lm_head.weight", "model.embed_tokens.weight"


class _Place(NamedTuple):
    path: Path
    offset: int
    dtype: str
    shape: tuple[int, ...]


class TensorFiles:
    """The tensors of all safetensors files in a folder. `model_folder.open_folder` has checked the files."""

    def __init__(self, folder: str | Path) -> None:
        self._places: dict[str, _Place] = {}
        for path in sorted(Path(folder).glob("*.safetensors")):
            with path.open("rb") as file:
                length = int.from_bytes(file.read(8), "little")
                header = json.loads(file.read(length))
            for name, one in header.items():
                if name != "__metadata__":
                    start = 8 + length + one["data_offsets"][0]
                    self._places[name] = _Place(path, start, one["dtype"], tuple(one["shape"]))

    @property
    def names(self) -> list[str]:
        return list(self._places)

    def shape(self, name: str) -> tuple[int, ...]:
        return self._places[name].shape

    def read(self, name: str) -> Array:
        """Returns a tensor in float32. Raises ModelRefused for other types than F32, F16 and BF16."""
        import numpy as np

        place = self._places[name]
        stored = {"F32": np.float32, "F16": np.float16, "BF16": np.uint16}.get(place.dtype)
        if stored is None:
            raise ModelRefused(f"{name} has the type {place.dtype}; only F32, F16 and BF16 can be converted")
        count = int(np.prod(place.shape))
        found: NDArray[Any] = np.fromfile(place.path, stored, count, offset=place.offset).reshape(place.shape)
        if place.dtype == "BF16":
            # The upper half of a float32.
            return (found.astype(np.uint32) << 16).view(np.float32)
        return found.astype(np.float32)


class MergedWeights:
    """The weights of a model with its adapters applied in their order: LoRA and DoRA, as peft merges them."""

    def __init__(self, folder: ModelFolder) -> None:
        self._base = TensorFiles(folder.base)
        self._adapters = [_Adapter(path) for path in folder.adapters]
        self.names = self._base.names
        for adapter in self._adapters:
            for layer in adapter.layers:
                # An output layer that shares its weights with the embedding becomes one of its own.
                if layer == _OUTPUT and layer not in self.names:
                    self.names.append(layer)
                if layer not in self.names:
                    raise ModelRefused(
                        f"the adapter {adapter.path} changes {layer}, which its base does not have"
                    )

    def shape(self, name: str) -> tuple[int, ...]:
        return self._base.shape(self._stored(name))

    def read(self, name: str) -> Array:
        weight = self._base.read(self._stored(name))
        for adapter in self._adapters:
            if name in adapter.layers:
                weight = adapter.apply(name, weight)
        return weight

    def _stored(self, name: str) -> str:
        return _INPUT if name == _OUTPUT and name not in self._base.names else name


class _Adapter:
    def __init__(self, path: str) -> None:
        self.path = path
        config = json.loads((Path(path) / "adapter_config.json").read_bytes())
        unknown = [
            name
            for name in ("rank_pattern", "alpha_pattern", "modules_to_save", "use_rslora")
            if config.get(name)
        ]
        if config.get("peft_type") != "LORA" or unknown or config.get("bias", "none") != "none":
            raise ModelRefused(
                f"the adapter {path} uses {', '.join(unknown) or config.get('peft_type')}; only LoRA and DoRA without it "
                "can be converted: merge it with peft's merge_and_unload and convert the result"
            )
        self._scale = config["lora_alpha"] / config["r"]
        self._files = TensorFiles(path)
        ends = (".lora_A.weight", ".lora_B.weight", ".lora_magnitude_vector")
        parts = [name.removeprefix(_PREFIX) for name in self._files.names]
        self.layers = {_without(name, ends) + ".weight" for name in parts}

    def apply(self, layer: str, weight: Array) -> Array:
        import numpy as np

        name = _PREFIX + layer.removesuffix(".weight")
        down, up = (self._files.read(f"{name}.lora_{part}.weight") for part in "AB")
        changed: Array = weight + np.float32(self._scale) * (up @ down)
        if f"{name}.lora_magnitude_vector" in self._files.names:
            magnitude = self._files.read(f"{name}.lora_magnitude_vector")
            changed *= (magnitude / np.linalg.norm(changed, axis=1))[:, None]
        return changed


def _without(name: str, ends: Iterable[str]) -> str:
    for end in ends:
        if name.endswith(end):
            return name.removesuffix(end)
    raise ModelRefused(f"{name} of an adapter is not known; merge it with peft's merge_and_unload")
