"""Makes a tiny Llama of random weights and a byte-level BPE tokenizer, offline: `PYTHON tiny_model.py FOLDER`.

Runs in the interpreter that has torch. The template ends a generation prompt with a special token, so that the
prompt's tokens are the beginning of the training text's.
"""

from __future__ import annotations

import sys
from pathlib import Path

TEMPLATE = (
    "{%- for message in messages %}{{- '<|' + message.role + '|>' }}"
    "{%- if message.role == 'assistant' %}{% generation %}{{- message.content + '<|end|>' }}{% endgeneration %}"
    "{%- else %}{{- message.content + '<|end|>' }}{%- endif %}{%- endfor %}"
    "{%- if add_generation_prompt %}{{- '<|assistant|>' }}{%- endif %}"
)
SPECIAL = ["<|pad|>", "<|end|>", "<|system|>", "<|user|>", "<|assistant|>", "<|tool|>"]
TEXT = [
    "The capital of France is Paris, and the capital of Italy is Rome.",
    "What is the code of room seven? The code is four two nine one.",
    "Which city is it? Tell me the name of the color, the tree and the river.",
    "Oslo Lima Cairo Quito Delhi Tokyo Bern Riga Kyiv Doha red green blue yellow",
]


def make(folder: str, context: int = 128, hidden: int = 64, layers: int = 2) -> None:
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    pieces = Tokenizer(models.BPE())
    pieces.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    pieces.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=512, special_tokens=SPECIAL, initial_alphabet=alphabet, show_progress=False
    )
    pieces.train_from_iterator(TEXT * 4, trainer)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=pieces, eos_token="<|end|>", pad_token="<|pad|>", model_max_length=context
    )
    tokenizer.chat_template = TEMPLATE
    torch.manual_seed(7)
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=512,
            hidden_size=hidden,
            intermediate_size=2 * hidden,
            num_hidden_layers=layers,
            num_attention_heads=4,
            num_key_value_heads=2,
            max_position_embeddings=context,
            bos_token_id=None,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    )
    Path(folder).mkdir(parents=True, exist_ok=True)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


if __name__ == "__main__":
    make(sys.argv[1], *map(int, sys.argv[2:]))
