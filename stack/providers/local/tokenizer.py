"""A byte-level BPE tokenizer of a folder, in the terms of a GGUF file."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from stack.providers.training.model_folder import ModelFolder, ModelRefused

_LLAMA_3 = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
_QWEN_2 = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s"
_GENERATION = re.compile(r"\{%-?\s*(?:end)?generation\s*-?%\}")
"""Marks of what is trained, which llama.cpp's templates do not know."""


def add_tokenizer(writer: Any, folder: ModelFolder, size: int) -> None:
    """Writes the vocabulary of `size` tokens, merges, special tokens and the chat template. Raises ModelRefused
    for other tokenizers than byte-level BPE."""
    place = next(
        (
            one
            for one in (*reversed(folder.adapters), folder.base)
            if (Path(one) / "tokenizer.json").is_file()
        ),
        "",
    )
    if not place:
        raise ModelRefused(f"{folder.base} has no tokenizer.json")
    found = json.loads((Path(place) / "tokenizer.json").read_bytes())
    names, types = _vocabulary(found, size)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(_splitting(found))
    writer.add_token_list(names)
    writer.add_token_types(types)
    merges = found["model"]["merges"]
    writer.add_token_merges([one if isinstance(one, str) else " ".join(one) for one in merges])
    _add_special(writer, Path(place), {name: number for number, name in enumerate(names)})


def _vocabulary(found: dict[str, Any], size: int) -> tuple[list[str], list[int]]:
    import gguf

    names = [f"[PAD{number}]" for number in range(size)]
    types = [int(gguf.TokenType.UNUSED)] * size
    for name, number in found["model"]["vocab"].items():
        names[number], types[number] = name, int(gguf.TokenType.NORMAL)
    for one in found.get("added_tokens", ()):
        kind = gguf.TokenType.CONTROL if one["special"] else gguf.TokenType.USER_DEFINED
        names[one["id"]], types[one["id"]] = one["content"], int(kind)
    return names, types


def _splitting(found: dict[str, Any]) -> str:
    """Returns llama.cpp's name of how text is split into words before merges."""
    before = found.get("pre_tokenizer") or {}
    steps = before.get("pretokenizers", [before])
    patterns = [step["pattern"].get("Regex", "") for step in steps if step.get("type") == "Split"]
    is_bytes = any(step.get("type") == "ByteLevel" for step in steps)
    if found["model"].get("type") == "BPE" and is_bytes:
        if not patterns:
            return "gpt-2"
        for start, name in ((_LLAMA_3, "llama-bpe"), (_QWEN_2, "qwen2")):
            if patterns[0].startswith(start):
                return name
    raise ModelRefused(
        "its tokenizer is not a byte-level BPE of a known kind; use llama.cpp's convert_hf_to_gguf.py"
    )


def _add_special(writer: Any, folder: Path, numbers: dict[str, int]) -> None:
    path = folder / "tokenizer_config.json"
    config = json.loads(path.read_bytes()) if path.is_file() else {}
    for kind in ("bos", "eos", "pad"):
        token = config.get(f"{kind}_token")
        name = token.get("content") if isinstance(token, dict) else token
        if name in numbers:
            getattr(writer, f"add_{kind}_token_id")(numbers[name])
    writer.add_add_bos_token(bool(config.get("add_bos_token", False)))
    template = folder / "chat_template.jinja"
    text = template.read_text() if template.is_file() else config.get("chat_template")
    if isinstance(text, str):
        writer.add_chat_template(_GENERATION.sub("", text))
