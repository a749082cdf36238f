"""Real model servers for tests and benchmarks, each on loopback in its own process."""
