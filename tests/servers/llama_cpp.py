"""A real llama.cpp server with a tiny model of random weights, in a process of its own.

    python -m tests.servers.llama_cpp --port 8080

With `--pooling mean` it serves `/embeddings` instead of completions, with `--pooling rank` it serves `/rerank`.

The weights say nothing, but sampling is real: with `tool_choice: required` or a JSON schema llama.cpp's grammar
decides what may come, so that the outputs are definite in form. The model file is written with `gguf` at first
use (about 1 MB) and kept in the temporary folder.
"""

from __future__ import annotations

import argparse
import os
import signal
import tempfile
import threading
from pathlib import Path
from typing import Any

import numpy as np

DIMS = 64
LAYERS = 2
HEADS = 4
FEED_FORWARD = 128
CONTEXT = 8192
NEWLINE = 3 + 10
"""Its token: three control tokens, then the bytes in order."""
PIECES = ("the", "answer", "is", "and", "of", "to", "in", "a", "it", "that", "name", "city", "true", "false")
# A tool call is bare JSON, so that its grammar begins at the first "{": with a longer marker random weights write
# text for ever, since llama.cpp allows text before a required call.
TEMPLATE = """\
{%- if tools is defined and tools %}
    {{- "<|system|>\\n\\nThese tools can be called:\\n\\n" }}
    {%- for tool in tools %}{{- tool | tojson }}{{- "\\n" }}{%- endfor %}
    {{- 'To call one, answer with {"name": its name, "parameters": its arguments}.</s>' }}
{%- endif %}
{%- for message in messages %}
    {%- if message.role == "tool" %}
        {{- "<|tool|>\\n\\n" + message.content + "</s>" }}
    {%- elif "tool_calls" in message and message.tool_calls %}
        {%- set call = message.tool_calls[0].function %}
        {{- "<|assistant|>\\n\\n" -}}
        {{- '{"name": "' + call.name + '", ' }}
        {{- '"parameters": ' }}
        {{- call.arguments | tojson }}
        {{- "}" }}
        {{- "</s>" }}
    {%- else %}
        {{- "<|" + message.role + "|>\\n\\n" + message.content | trim + "</s>" }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- "<|assistant|>\\n\\n" }}
    {%- if messages[-1].role == "tool" %}{{- " the" }}{%- endif %}
{%- endif %}"""


def write_model(path: Path, seed: int = 7) -> None:
    """Writes a llama model with random weights and a vocabulary of bytes and a few words (SPM)."""
    import gguf

    tokens: list[bytes] = [b"<unk>", b"<s>", b"</s>"]
    types = [gguf.TokenType.UNKNOWN, gguf.TokenType.CONTROL, gguf.TokenType.CONTROL]
    tokens += [f"<0x{byte:02X}>".encode() for byte in range(256)]
    types += [gguf.TokenType.BYTE] * 256
    words = ["▁", *(f"▁{word}" for word in PIECES), *(chr(code) for code in range(33, 127))]
    tokens += [word.encode() for word in words]
    types += [gguf.TokenType.NORMAL] * len(words)
    scores = [0.0] * 259 + [-float(number) for number in range(len(words))]

    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name("tiny-random")
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(DIMS)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(FEED_FORWARD)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_rope_dimension_count(DIMS // HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(len(tokens))
    writer.add_tokenizer_model("llama")
    writer.add_token_list(tokens)
    writer.add_token_scores(scores)
    writer.add_token_types(types)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_unk_token_id(0)
    writer.add_chat_template(TEMPLATE)

    random = np.random.default_rng(seed)
    prior = _prior(tokens)

    def add(name: str, *shape: int, constant: float | None = None) -> None:
        values = random.standard_normal(shape) * shape[-1] ** -0.5
        if constant is not None:
            values = np.full(shape, constant)
        elif name == "token_embd.weight":
            values[:, 0] = 8.0
            values[:, 1] = 0.0
            values[NEWLINE, 1] = 8.0
        elif name == "output.weight":
            values[:, 0] = prior / 6
            values[:, 1] = 0.0
            values[tokens.index(b"{"), 1] = 2.0
        else:
            values[:2, :] = 0.0
        writer.add_tensor(name, values.astype(np.float32))

    add("token_embd.weight", len(tokens), DIMS)
    add("output_norm.weight", DIMS, constant=1.0)
    add("output.weight", len(tokens), DIMS)
    for layer in range(LAYERS):
        add(f"blk.{layer}.attn_norm.weight", DIMS, constant=1.0)
        for part in ("attn_q", "attn_k", "attn_v", "attn_output"):
            add(f"blk.{layer}.{part}.weight", DIMS, DIMS)
        add(f"blk.{layer}.ffn_norm.weight", DIMS, constant=1.0)
        add(f"blk.{layer}.ffn_gate.weight", FEED_FORWARD, DIMS)
        add(f"blk.{layer}.ffn_up.weight", FEED_FORWARD, DIMS)
        add(f"blk.{layer}.ffn_down.weight", DIMS, FEED_FORWARD)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _prior(tokens: list[bytes]) -> np.ndarray[Any, np.dtype[np.float64]]:
    """How likely each token is whatever came before: dimension 0 of the state is constant, so that column 0 of
    the output weights acts as a bias. Words are likely, bytes are not.

    Dimension 1 is set after a newline only, and makes "{" all but certain there. An answer begins after a newline,
    so that a required call comes at once, at any temperature. After a tool's result the template begins the answer
    with a word: "{" is then unlikely, and llama.cpp takes one that begins no call for a broken answer."""
    prior = np.zeros(len(tokens))
    prior[:259] = -8.0
    prior[2] = 2.0
    for number, token in enumerate(tokens):
        if token.decode().startswith("▁"):
            prior[number] = 3.0
    return prior


def model_file() -> Path:
    """The model's path; written if it is not there yet, whole or not at all."""
    path = Path(tempfile.gettempdir()) / f"replaystack-tests-{os.getuid()}" / "tiny-random-5.gguf"
    if not path.exists():
        path.parent.mkdir(exist_ok=True)
        partial = path.with_suffix(f".{os.getpid()}")
        write_model(partial)
        partial.rename(path)
    return path


def serve(port: int, pooling: str = "") -> None:
    """Serves until a signal; the port is printed on a line once requests are answered."""
    import xllamacpp  # type: ignore[import-untyped]

    params = xllamacpp.CommonParams()
    params.model.path = str(model_file())
    params.model_alias = {f"tiny-{pooling or 'random'}"}
    params.hostnames = ["127.0.0.1"]
    params.port = port
    params.n_ctx = CONTEXT
    params.n_parallel = 2
    params.n_gpu_layers = 0
    params.cpuparams.n_threads = 1
    params.cpuparams_batch.n_threads = 1
    params.n_threads_http = 4
    params.use_jinja = True
    params.warmup = False
    params.verbosity = -1
    if pooling:
        params.embedding = True
        kind = f"LLAMA_POOLING_TYPE_{pooling.upper()}"
        params.pooling_type = getattr(xllamacpp.llama_pooling_type, kind)
    server = xllamacpp.Server(params)
    print(server.listening_address.rsplit(":", 1)[1], flush=True)
    stop = threading.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, lambda *_: stop.set())
    while not stop.wait(0.2):
        pass
    # The engine's threads need not be joined: nothing is kept.
    os._exit(0)


def main() -> None:
    parser = argparse.ArgumentParser(description="A llama.cpp server with a tiny random model.")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--pooling", choices=("mean", "rank"), default="")
    arguments = parser.parse_args()
    serve(arguments.port, arguments.pooling)


if __name__ == "__main__":
    main()
