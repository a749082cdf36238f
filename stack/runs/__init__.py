"""Durable runs: one kernel for turns, evaluation jobs, and what else goes on after its request has ended."""
