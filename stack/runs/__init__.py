"""Durable runs: one kernel for turns, evaluation jobs, and other work that continues after its request has
ended."""
