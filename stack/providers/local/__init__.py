"""Models that run on this machine: checkpoints become GGUF files, which llama.cpp serves in a process of its own.

Its libraries (gguf, xllamacpp) come with the extra `local`.
"""
