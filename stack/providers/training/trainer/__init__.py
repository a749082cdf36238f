"""The program of a training worker: fine-tuning and preference optimisation with torch.

Its modules are imported in the interpreter that the setting `train_python` names; the server imports none of
them. They use the standard library, msgspec, torch, transformers, peft and torchao.
"""
