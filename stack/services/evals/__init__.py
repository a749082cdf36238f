"""Benchmarks and evaluation jobs."""
