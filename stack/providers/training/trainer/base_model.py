"""Loads the base model and its tokenizer, and tells devices apart."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch

from stack.providers.training.model_folder import ModelFolder, ModelRefused, open_folder
from stack.providers.training.trainer.refused import InputRefused

DTYPES = {"bf16": torch.bfloat16, "fp32": torch.float32}


class Base(NamedTuple):
    """`context` is the longest sequence in tokens; `vocabulary` is the number of tokens that the model has."""

    model: Any
    tokenizer: Any
    context: int
    vocabulary: int

    @property
    def pad(self) -> int:
        found = self.tokenizer.pad_token_id
        return int(found if found is not None else self.tokenizer.eos_token_id or 0)


def find_device() -> Any:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def load(path: str, on_hub: bool, dtype: str, device: Any) -> Base:
    """Loads a folder, an adapter's folder (merged into its base), or a model of the hub. Weights are read from
    safetensors files only, and no code of the model's author runs. Raises InputRefused."""
    try:
        folder = None if on_hub else open_folder(path)
    except ModelRefused as error:
        raise InputRefused(str(error)) from None
    place = folder.base if folder else path
    options = {"local_files_only": not (on_hub or (folder and folder.on_hub)), "trust_remote_code": False}
    try:
        model = _model(place, dtype, options)
        for adapter in folder.adapters if folder else ():
            model = _with_adapter(model, adapter)
        tokenizer = _tokenizer(path, folder, options)
    except (OSError, ValueError, KeyError, RuntimeError, ImportError) as error:
        raise InputRefused(f"the model {place} cannot be loaded: {_short(error)}") from error
    # Merging an adapter leaves its base frozen.
    model.requires_grad_(True)
    model.config.use_cache = False
    config = model.config.get_text_config()
    limit = getattr(config, "max_position_embeddings", None) or getattr(config, "n_positions", None)
    context = int(limit or tokenizer.model_max_length)
    return Base(model.to(device), tokenizer, context, model.get_input_embeddings().weight.shape[0])


def _model(place: str, dtype: str, options: dict[str, Any]) -> Any:
    from transformers import AutoModelForCausalLM
    from transformers.utils import logging

    logging.disable_progress_bar()
    model, found = AutoModelForCausalLM.from_pretrained(
        place, dtype=DTYPES[dtype], use_safetensors=True, output_loading_info=True, **options
    )
    if missing := sorted(found["missing_keys"]):
        # Transformers would give them random values.
        raise ValueError(f"its files lack {len(missing)} weights, such as {missing[0]}; copy it again")
    return model


def _with_adapter(model: Any, folder: str) -> Any:
    from peft import PeftModel

    return PeftModel.from_pretrained(model, folder).merge_and_unload()


def _tokenizer(path: str, folder: ModelFolder | None, options: dict[str, Any]) -> Any:
    from transformers import AutoTokenizer

    places = [path] if folder is None else [*reversed(folder.adapters), folder.base]
    for place in places:
        try:
            return AutoTokenizer.from_pretrained(place, **options)
        except (OSError, ValueError):
            if place == places[-1]:
                raise
    raise AssertionError


def _short(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:500]}"
