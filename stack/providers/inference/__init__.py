"""Inference providers. `port` is the protocol, the other modules implement it."""
