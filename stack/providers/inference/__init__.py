"""Inference providers: what answers `infer`. `port` is the protocol, the other modules implement it."""
