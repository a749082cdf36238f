"""Queries over traces, spans, logs and metrics."""
