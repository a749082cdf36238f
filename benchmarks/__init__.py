"""Measurements against real servers in processes of their own: `python -m benchmarks [names] [--json] [--quick]`."""
