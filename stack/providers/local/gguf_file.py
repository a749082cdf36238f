"""Converts a checkpoint of the Llama or Qwen family to a GGUF file, which llama.cpp can serve."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stack.providers.local.tokenizer import add_tokenizer
from stack.providers.local.weights import MergedWeights
from stack.providers.training.model_folder import ModelFolder, ModelRefused, open_folder

if TYPE_CHECKING:
    from stack.providers.local.weights import Array

_ARCHITECTURES = {"llama": "llama", "mistral": "llama", "qwen2": "qwen2", "qwen3": "qwen3"}
"""The model types of transformers that can be converted, and the architectures of llama.cpp."""


def convert(checkpoint: str | Path, target: Path) -> None:
    """Writes the model of a folder (with its adapters merged) to a file in half precision, which appears whole.
    Raises ModelRefused; OSError if there is no space."""
    import gguf

    folder = open_folder(checkpoint)
    if folder.on_hub:
        raise ModelRefused(
            f"{checkpoint} is an adapter on {folder.base}; download that model and name its folder"
        )
    architecture = _ARCHITECTURES.get(folder.config.get("model_type", ""))
    if architecture is None:
        raise ModelRefused(
            f"{folder.base} has the model type {folder.config.get('model_type')!r}; only {', '.join(_ARCHITECTURES)} can be "
            "converted here: use llama.cpp's convert_hf_to_gguf.py and name the file"
        )
    partial = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        writer = gguf.GGUFWriter(partial, architecture)
        writer.add_file_type(gguf.LlamaFileType.MOSTLY_F16)
        _add_shape(writer, folder.config)
        weights = MergedWeights(folder)
        add_tokenizer(writer, folder, weights.shape("model.embed_tokens.weight")[0])
        _write_tensors(writer, architecture, folder, weights)
        writer.close()
        partial.rename(target)
    finally:
        partial.unlink(missing_ok=True)


def _add_shape(writer: Any, config: dict[str, Any]) -> None:
    heads = config["num_attention_heads"]
    head = _head_size(config)
    rope = _rope(config)
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(heads)
    writer.add_head_count_kv(config.get("num_key_value_heads") or heads)
    writer.add_key_length(head)
    writer.add_value_length(head)
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_rope_dimension_count(head)
    writer.add_rope_freq_base(float(rope.get("rope_theta") or config.get("rope_theta") or 10_000))
    writer.add_vocab_size(config["vocab_size"])


def _write_tensors(writer: Any, architecture: str, folder: ModelFolder, weights: MergedWeights) -> None:
    """Writes one tensor after the other, so that the model is never in memory as a whole."""
    import gguf
    import numpy as np

    kind = {name: number for number, name in gguf.MODEL_ARCH_NAMES.items()}[architecture]
    known = gguf.get_tensor_name_map(kind, folder.config["num_hidden_layers"])
    names = {}
    for name in weights.names:
        if name.endswith("rotary_emb.inv_freq"):
            continue
        if (new := known.get_name(name, try_suffixes=(".weight", ".bias"))) is None:
            raise ModelRefused(
                f"{folder.base} has the tensor {name}, which llama.cpp's {architecture} does not have"
            )
        names[name] = new
        shape = weights.shape(name)
        dtype: Any = np.float16 if len(shape) > 1 else np.float32
        writer.add_tensor_info(new, shape, np.dtype(dtype), math.prod(shape) * np.dtype(dtype).itemsize)
    factors = list(_rope_factors(folder.config))
    if factors:
        writer.add_tensor_info("rope_freqs.weight", (len(factors),), np.dtype(np.float32), 4 * len(factors))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    for name, new in names.items():
        weight = weights.read(name)
        if architecture == "llama" and ("attn_q." in new or "attn_k." in new):
            weight = _interleaved(weight, folder.config, is_key="attn_k." in new)
        writer.write_tensor_data(weight.astype(np.float16 if weight.ndim > 1 else np.float32))
    if factors:
        writer.write_tensor_data(np.array(factors, np.float32))


def _interleaved(weight: Array, config: dict[str, Any], is_key: bool) -> Array:
    """Reorders the rows of each head: transformers rotates its two halves, llama.cpp neighbouring rows."""
    heads = config["num_attention_heads"]
    if is_key:
        heads = config.get("num_key_value_heads") or heads
    rows = weight.shape[0]
    halves = weight.reshape(heads, 2, rows // heads // 2, *weight.shape[1:])
    return halves.swapaxes(1, 2).reshape(weight.shape)


def _head_size(config: dict[str, Any]) -> int:
    return int(config.get("head_dim") or config["hidden_size"] // config["num_attention_heads"])


def _rope(config: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = config.get("rope_parameters") or config.get("rope_scaling") or {}
    return found


def _rope_factors(config: dict[str, Any]) -> Iterator[float]:
    """Yields by how much Llama 3 slows each rotation down for long contexts; nothing for plain rotations. The formula is
    that of transformers (`_compute_llama3_parameters`) and of llama.cpp's conversion."""
    rope = _rope(config)
    kind = rope.get("rope_type") or rope.get("type") or "default"
    if kind == "default":
        return
    if kind != "llama3":
        raise ModelRefused(f"its positions are scaled by {kind!r}, which cannot be converted here")
    base = float(rope.get("rope_theta") or config.get("rope_theta") or 10_000)
    low, high = rope["low_freq_factor"], rope["high_freq_factor"]
    old = rope["original_max_position_embeddings"]
    head = _head_size(config)
    for number in range(0, head, 2):
        length = 2 * math.pi * base ** (number / head)
        if length < old / high:
            yield 1.0
        elif length > old / low:
            yield float(rope["factor"])
        else:
            smooth = (old / length - low) / (high - low)
            yield 1 / ((1 - smooth) / rope["factor"] + smooth)
