"""Loads checkpoints as a user would, and says how they behave. It runs in the interpreter that has torch."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def load(folder: str) -> tuple[Any, Any]:
    """Loads a checkpoint with transformers (and peft) alone."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model: Any
    if (Path(folder) / "adapter_config.json").exists():
        from peft import AutoPeftModelForCausalLM

        model = AutoPeftModelForCausalLM.from_pretrained(folder)
    else:
        model = AutoModelForCausalLM.from_pretrained(folder)
    return model.eval(), AutoTokenizer.from_pretrained(folder)


def answers(folder: str, prompts: list[str]) -> list[str]:
    """Returns the greedy answers."""
    import torch

    model, tokenizer = load(folder)
    found = []
    for prompt in prompts:
        inputs = tokenizer.apply_chat_template(
            [{"role": "user", "content": prompt}],
            add_generation_prompt=True,
            return_tensors="pt",
            return_dict=True,
        )
        with torch.no_grad():
            made = model.generate(**inputs, max_new_tokens=24, do_sample=False, pad_token_id=0)
        found.append(tokenizer.decode(made[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True))
    return found


def adapter_without_effect(folder: str, base: str) -> float:
    """Returns the largest difference between the logits of the base and those of an adapter that is disabled."""
    import torch

    tokens = torch.arange(6, 106)[None]
    adapted, original = load(folder)[0], load(base)[0]
    with torch.no_grad(), adapted.disable_adapter():
        return float((adapted(tokens).logits - original(tokens).logits).abs().max())


def quantized(folder: str, job_file: str) -> dict[str, Any]:
    """Returns how the weights of a quantised checkpoint are held, and its loss on the validation rows of its
    job."""
    import torch
    from in_process import read_job

    from stack.providers.training.trainer.base_model import load as load_base
    from stack.providers.training.trainer.objective import Supervised

    job = read_job(Path(job_file))
    model, _ = load(folder)
    objective = Supervised(job, load_base(job.base, False, "fp32", "cpu"), "cpu")
    with torch.no_grad():
        _, sums = objective.loss(model, range(objective.validation_count), validation=True)
    kinds = {type(layer.mlp.up_proj.weight).__name__ for layer in model.model.layers}
    return {"kinds": sorted(kinds), "loss": sums["loss"] / sums["weight"]}


def merge(folder: str, target: str) -> None:
    """Merges an adapter with peft, and saves the result."""
    load(folder)[0].merge_and_unload().save_pretrained(target)
